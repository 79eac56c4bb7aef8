"""Whether what holds by construction agrees with what is asked."""

from typing import Any

import jax
import jax.numpy as jnp

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.models.constrained import HardConstraint
from pdesurr.objectives.physics import Problem, WithUnknowns, unknowns_of
from pdesurr.types import Key


def check_constraints(model: Any, problem: Problem, key: Key, tolerance: float = 1e-4) -> None:
    """Raise `UsageError` if a term of `problem` is violated by more than `tolerance` at a point where the constraint leaves a
    `HardConstraint` no say: where the term's residual is the same whatever the free model and its derivatives are.

    Of other models nothing is checked. Costs an evaluation of the lift, the factor and each text at the terms' points."""
    bound = model.model if isinstance(model, WithUnknowns) else model
    if not isinstance(bound, HardConstraint):
        return
    unknowns = unknowns_of(model)
    for name, drawn in problem.draw(key).items():
        read = {index for channel in problem.indices(name, unknowns) for index in channel}
        x = Jet.coordinates(drawn.points, read)
        free = [jax.random.normal(k, (len(drawn.points), problem.channels), x.dtype) for k in jax.random.split(key, len(x.parts))]
        lift = bound.lift(x) + Jet(tuple(map(jnp.zeros_like, free)), x.indices)
        residual = problem.evaluate(name, lift, drawn, unknowns)
        moved = problem.evaluate(name, lift + bound.factor(x) * Jet(tuple(free), x.indices), drawn, unknowns)
        stuck = jnp.abs(moved - residual) <= 1e-3 * tolerance
        worst = float(jnp.max(jnp.where(stuck, jnp.abs(residual), 0.0)))
        require(worst <= tolerance, "HardConstraint", f"a lift that satisfies the term {name!r} where the factor is zero",
                f"a residual of {worst:.1e} there", "change the lift, or the factor so that it does not vanish there")
