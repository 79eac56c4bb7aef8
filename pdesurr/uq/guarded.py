"""The surrogate where it may be trusted, the solver where not."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.checks import DivergedError, expected, require
from pdesurr.surrogates import Surrogate
from pdesurr.uq.conformal import check_samples
from pdesurr.uq.estimates import AbstractEstimate, check_estimate

Answer = Callable[[Array], Array]  # of one sample


@dataclasses.dataclass(frozen=True)
class Routed:
    """Answers `u`, the surrogate's estimated relative error of each sample, and which ones the solver gave instead."""

    u: Float[np.ndarray, "n *grid c"]
    estimates: Float[np.ndarray, " n"]
    solved: Bool[np.ndarray, " n"]


class Guarded:
    """What `guarded` makes: `routed = self(a)`; `calls` counts samples, `solves` those that went to the solver."""

    def __init__(self, surrogate: Answer, solver: Answer, estimate: AbstractEstimate, tolerance: float):
        require(isinstance(tolerance, (int, float)) and 0 < tolerance < math.inf, "tolerance", "a relative error > 0", tolerance)
        functions = callable(surrogate) and callable(solver)
        require(functions, "surrogate, solver", "functions of one sample", solver, "pass lambda a: pde.solve(a, grid)")
        require(not isinstance(solver, Surrogate), "solver", "the true solver, after the surrogate", type(solver).__name__)
        check_estimate(estimate, surrogate)
        self.tolerance, self.calls, self.solves = tolerance, 0, 0

        def one(a: Array) -> tuple[Array, Array]:
            u = surrogate(a)
            return u, estimate(a, u)

        self._first, self._solver = jax.jit(jax.vmap(one)), jax.jit(solver)

    def __call__(self, a: Float[Array, "n *grid c_in"] | Float[np.ndarray, "n *grid c_in"]) -> Routed:
        """A batch, outside jit. Raises `UsageError` for inputs that are not finite, `DivergedError` where the solver's answer is not."""
        check_samples(a, "input")
        values = jnp.asarray(a, jnp.result_type(float))
        require(bool(jnp.all(jnp.isfinite(values))), "input", "finite values", "NaN or infinity", "repair or drop those samples")
        u, estimates = (np.array(v) for v in self._first(values))
        solved = ~(estimates <= self.tolerance)  # what is not a number is not to be trusted
        if solved.any():
            self._check_solver(values[0], u.shape[1:])
        for i in np.flatnonzero(solved):  # one at a time: their number differs from batch to batch, and each would compile anew
            u[i] = np.asarray(self._solver(values[i]))
        if not np.isfinite(u).all():
            raise DivergedError("the solver's answer is not finite for an input that the surrogate was not trusted with")
        self.calls, self.solves = self.calls + len(u), self.solves + int(solved.sum())
        return Routed(u, estimates, solved)

    def _check_solver(self, a: Array, shape: tuple[int, ...]) -> None:
        try:
            answer = jax.eval_shape(self._solver, a)
        except jax.errors.JAXTypeError as error:
            raise expected("solver", "a function that jax can trace", "one that asks for its input's values",
                           "wrap NumPy code in jax.pure_callback") from error
        require(answer.shape == shape, "solver", f"answers of the surrogate's shape, {shape}", answer.shape)


def guarded(surrogate: Answer, solver: Answer, estimate: AbstractEstimate, tolerance: float) -> Guarded:
    """The surrogate's answer where its estimated relative error is at most `tolerance`, the solver's elsewhere, with both counted.

    `surrogate` and `solver` map one input `(*grid, c_in)` to `(*grid, c)`; `estimate`: best one that is `calibrated`, so that the error
    keeps the tolerance as often as its coverage says. Where the surrogate seldom keeps it the solver alone is cheaper.
    """
    return Guarded(surrogate, solver, estimate, tolerance)
