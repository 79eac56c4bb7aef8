"""Variable projection: the head of a feature model is solved for, the features move by Gauss-Newton steps of what the head leaves."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.objectives.linear import head_system, weights_system
from pdesurr.objectives.physics import Problem
from pdesurr.objectives.sampling import AbstractSampler, Fresh, Points
from pdesurr.train.least_squares import damped_solution, marquardt_step
from pdesurr.train.stages import AbstractStage, Advance
from pdesurr.types import Key, flattened

RIDGE = 1e-14  # of the head's solution, relative to the columns
FLOOR = 1e-3  # of the damping: a Gaussian without weight must not move far
MOST = 1.0  # a step moves no mean by more than half the box and no scale by more than a factor e


@dataclasses.dataclass(frozen=True)
class VariableProjection(AbstractStage):
    """Gauss-Newton steps with Marquardt's damping in what is not the head (means and scales of a `GaussianField`), the head being at its
    least squares solution before and after each: min_theta min_h |r(theta, h)|^2, on fixed points.

    A step, with J_h and J_theta the derivatives of the residuals r: the QR factorisation of [J_h, J_theta, r] leaves, below the head's
    rows, the triangle of P J_theta and P r, P the projection off the range of J_h: Kaufman's Jacobian of the projected residual and the
    residual itself. Where the problem is linear in u the head is exact; else it is one Gauss-Newton step on from where it was. Ends where
    a step lowers the loss by less than the fraction `tolerance`.

    Memory: residuals times numbers of the model. Time of a step: one factorisation of that matrix and, for each damping that is tried, a
    factorisation of the head's columns alone. With N Gaussians in d dimensions there are N (out + 2 d) columns.
    Source: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973); Kaufman, BIT 15 (1975).
    """

    steps: int = 20
    damping: float = 1e-2
    least: float = 1e-10
    tolerance: float = 1e-3
    sampler: AbstractSampler = Fresh("quasi")

    def __post_init__(self):
        require(self.steps >= 1, "steps", "a number > 0", self.steps)
        require(0 < self.least <= self.damping, "damping", f"a number of at least least={self.least} > 0", self.damping)

    @property
    def rounds(self) -> int:
        return self.steps

    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        return jnp.asarray(self.damping), self.sampler.draw(problem, model, self.sampler.start(problem, key), key)[0]

    def advance(self, problem: Problem, model: Any) -> Advance:
        require(hasattr(model, "features"), "model", "one that is linear in its head (GaussianField)", type(model).__name__)
        moving = jax.tree.map(eqx.is_inexact_array, model)
        moving = eqx.tree_at(lambda m: m.head, moving, False)
        require(any(jax.tree.leaves(moving)), "model", "one whose features have numbers of their own (GaussianField)", type(model).__name__)
        loss = eqx.filter_jit(lambda model, drawn: problem.loss(model, drawn)[0])

        @eqx.filter_jit
        def solved(model: Any, drawn: Points) -> tuple[Any, Array]:
            """The head one Gauss-Newton step on, and the loss there."""
            jacobian, r = head_system(model, problem, drawn)
            change = damped_solution(jacobian, r, RIDGE).reshape(model.head.shape)
            model = eqx.tree_at(lambda m: m.head, model, model.head - change.astype(model.head.dtype))
            return model, loss(model, drawn)

        @eqx.filter_jit
        def projected(model: Any, drawn: Points) -> tuple[Array, Array]:
            by_head, r = head_system(model, problem, drawn)
            return _projected(by_head, weights_system(model, problem, drawn, moving)[0], r)

        def moved(model: Any, change: Array) -> Any:
            x, back = flattened(model, moving)
            return back(x + change)

        def squares_from(model: Any, drawn: Points) -> Callable[[Array], Array]:
            return lambda change: jnp.where(jnp.max(jnp.abs(change)) <= MOST, solved(moved(model, change), drawn)[1], jnp.inf)

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            del key
            damping, drawn = state
            better, found_loss = solved(model, drawn)
            before, after = float(loss(model, drawn)), float(found_loss)
            model, before = (better, after) if after < before else (model, before)
            if not math.isfinite(before):
                return model, state, [before], False
            jacobian, r = projected(model, drawn)
            rest = max(before - float(jnp.sum(r**2)), 0.0) ** 0.5  # what a nonlinear problem's head has not reached yet
            jacobian = jnp.concatenate([jacobian, jnp.zeros_like(jacobian[:1])])
            r = jnp.concatenate([r, jnp.full((1,), rest, r.dtype)])
            found = marquardt_step(jacobian, r, squares_from(model, drawn), float(damping), self.least, FLOOR)
            if found is None:
                return model, state, [before], False
            change, value, lower = found
            return solved(moved(model, change), drawn)[0], (jnp.asarray(lower), drawn), [value], (before - value) > self.tolerance * before

        return advance


def _projected(by_head: Float[Array, "rows head"], by_theta: Float[Array, "rows theta"],
               r: Float[Array, " rows"]) -> tuple[Float[Array, "least theta"], Float[Array, " least"]]:
    """P J_theta and P r up to a rotation of the rows."""
    norms = jnp.maximum(jnp.linalg.norm(by_head, axis=0), jnp.finfo(r.dtype).tiny ** 0.5)
    upper = jnp.linalg.qr(jnp.concatenate([by_head / norms[None], by_theta, r[:, None]], axis=1), mode="r")
    head = by_head.shape[1]
    return upper[head:, head:-1], upper[head:, -1]
