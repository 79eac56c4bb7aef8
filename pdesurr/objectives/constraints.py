"""Whether a model's box and what holds by construction agree with what is asked."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.checks import UsageError, expected, require
from pdesurr.fields.jets import Jet
from pdesurr.models.constrained import HardConstraint
from pdesurr.models.coordinate import Beside
from pdesurr.objectives.physics import AbstractText, Observations, Problem, WithUnknowns, unknowns_of
from pdesurr.types import Key


def check_model(model: Any, problem: Problem) -> None:
    """Raise `UsageError` if `model` is not a function of the point with the problem's channels, or was made for a smaller box."""
    check_domain(model, problem)
    texts = [term for term in problem.terms.values() if isinstance(term, AbstractText)]
    for name in unknowns_of(model):
        require(any(name in term.reads({name: 0.0}) for term in texts), f"unknown {name!r}", "a number that a term's text reads", name,
                "give the text an argument of that name")
    points = jnp.zeros((2, len(problem.names)))
    try:
        shape = eqx.filter_eval_shape(lambda: model(None, points)).shape
    except UsageError:
        raise
    except Exception as error:
        what = "a coordinate network, which answers model(None, points) (an operator needs an input: see `SpectralResidual`)"
        raise expected("model", what, type(model).__name__) from error
    require(shape == (2, problem.channels), "model", f"one with {problem.channels} outputs", shape)


def check_domain(model: Any, problem: Problem) -> None:
    """Raise `UsageError` if a term of `problem` has points outside the box that the model was made for, where it has one."""
    while hasattr(model, "model"):
        model = model.model
    if isinstance(model, Beside):
        for part in model.models:
            check_domain(part, problem)
        return
    held = getattr(model, "arguments", {})
    if "lower" not in held:
        return
    for name, term in problem.terms.items():
        at = [np.asarray(term.at)] if isinstance(term, Observations) else [np.array([r.lower, r.upper]) for r in term.regions]
        low, high = (f(np.concatenate(at), axis=0) for f in (np.min, np.max))
        fits = len(low) == len(held["lower"])
        require(fits, f"term {name!r}", f"points of {len(held['lower'])} coordinates, as the model's box", f"{len(low)} coordinates")
        slack = 1e-6 * np.subtract(held["upper"], held["lower"])
        within = bool(np.all(low >= held["lower"] - slack) and np.all(high <= held["upper"] + slack))
        require(within, f"term {name!r}", f"points within the model's box, from {held['lower']} to {held['upper']}",
                f"points from {low.tolist()} to {high.tolist()}", "make the model on the problem's box")


def check_constraints(model: Any, problem: Problem, key: Key, tolerance: float = 1e-4) -> None:
    """Raise `UsageError` if a term of `problem` is violated by more than `tolerance` at a point where the constraint leaves a
    `HardConstraint` no say: where the term's residual is the same whatever the free model and its derivatives are.

    Of other models nothing is checked. Costs an evaluation of the lift, the factor and each text at the terms' points."""
    bound = model.model if isinstance(model, WithUnknowns) else model
    if not isinstance(bound, HardConstraint):
        return
    unknowns = unknowns_of(model)
    for name, drawn in problem.draw(key).items():
        x = Jet.coordinates(drawn.points, problem.indices(name, unknowns))
        free = [jax.random.normal(k, (len(drawn.points), problem.channels), x.dtype) for k in jax.random.split(key, len(x.parts))]
        lift = bound.lift(x) + Jet(tuple(map(jnp.zeros_like, free)), x.indices)
        residual = problem.evaluate(name, lift, drawn, unknowns)
        moved = problem.evaluate(name, lift + bound.factor(x) * Jet(tuple(free), x.indices), drawn, unknowns)
        stuck = jnp.abs(moved - residual) <= 1e-3 * tolerance
        worst = float(jnp.max(jnp.where(stuck, jnp.abs(residual), 0.0)))
        require(worst <= tolerance, "HardConstraint", f"a lift that satisfies the term {name!r} where the factor is zero",
                f"a residual of {worst:.1e} there", "change the lift, or the factor so that it does not vanish there")
