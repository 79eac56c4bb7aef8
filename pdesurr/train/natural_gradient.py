"""Natural gradients: Newton's method in function space, for energies and for residuals."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.objectives.curvature import curvature_rows
from pdesurr.objectives.physics import Problem
from pdesurr.objectives.sampling import AbstractSampler, Fresh, Points
from pdesurr.train.stages import AbstractStage, Advance
from pdesurr.types import Key, flattened

LENGTHS = 0.5 ** jnp.arange(12.0)  # of the step, the best of which is taken


@dataclasses.dataclass(frozen=True)
class NaturalGradient(AbstractStage):
    """Steps along -(A^T A + damping trace / n)^-1 g, g the loss's gradient and A^T A its curvature (see
    `objectives.curvature`), each as long as lowers the loss most among halvings. What `LeastSquares` is for residuals, this is for an
    `Energy` as well; in float64.

    Points are fixed for all steps. Ends where no length lowers the loss. Memory: points times derivatives read times numbers.
    Source: Mueller and Zeinhofer, ICML 2023. Good values: 50 steps, a network of some hundred numbers, `Fresh("gauss")` up to three axes.
    """

    steps: int = 50
    damping: float = 1e-10
    sampler: AbstractSampler = Fresh("quasi")

    def __post_init__(self):
        require(self.steps >= 1, "steps", "a whole number >= 1", self.steps)
        require(self.damping > 0, "damping", "a number > 0, relative to the mean of the curvature's diagonal", self.damping)

    @property
    def rounds(self) -> int:
        return self.steps

    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        """The points."""
        return self.sampler.draw(problem, model, self.sampler.start(problem, key), key)[0]

    def advance(self, problem: Problem, model: Any) -> Advance:
        _, back = flattened(model)

        @jax.jit
        def step(x: Array, drawn: Points) -> tuple[Array, Array, Array]:
            loss = lambda v: problem.loss(back(v), drawn)[0]  # noqa: E731
            before, gradient = jax.value_and_grad(loss)(x)
            rows = curvature_rows(back(x), problem, drawn)
            matrix = jnp.matmul(rows.T, rows, precision="highest")
            ridge = self.damping * jnp.mean(jnp.diagonal(matrix)) * jnp.eye(x.size, dtype=x.dtype)
            downhill = -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix + ridge), gradient)
            values = jax.lax.map(lambda length: loss(x + length * downhill), LENGTHS.astype(x.dtype))
            values = jnp.where(jnp.isfinite(values), values, jnp.inf)
            best = jnp.argmin(values)
            fell = values[best] < before
            return jnp.where(fell, x + LENGTHS.astype(x.dtype)[best] * downhill, x), jnp.where(fell, values[best], before), fell

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            del key
            x, value, fell = step(flattened(model)[0], state)
            return back(x), state, [float(value)], bool(fell)

        return advance
