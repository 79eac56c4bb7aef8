"""What a trained surrogate is for, in small: the input of an equation from a few noisy readings of its output."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr import metrics
from pdesurr.fields import Grid
from pdesurr.optimise import minimise, trust_region
from pdesurr.pdes import AbstractPDE, Burgers
from pdesurr.surrogates import load

READINGS, NOISE = 32, 0.02  # of the output, evenly among the nodes; in units of its standard deviation
DIRECTIONS, DRAWS = 16, 200  # principal components of draws of the prior
Solve = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Recovery:
    """Find a of the prior from readings y of its output: a = mean + sum_k c_k s_k v_k, v_k the principal components of draws of the prior
    and s_k their deviations, and c the minimum of

        |y - readings of the output|^2 / (2 noise^2) + |c|^2 / 2,

    the most probable one. `truth` is the draw that was read, `at` the numbers of the nodes. With `log` it is log a whose components are
    taken, of an input that is positive.
    """

    grid: Grid
    mean: Float[Array, "*grid c"]
    basis: Float[Array, "directions *grid c"]
    truth: Float[Array, "*grid c"]
    at: np.ndarray
    values: Float[Array, "readings c"]
    noise: float
    log: bool = False

    @classmethod
    def of(cls, pde: AbstractPDE, grid: Grid, solve: Solve, seed: int = 0, *, readings: int = READINGS, directions: int = DIRECTIONS,
           log: bool = False, every: int = 1) -> "Recovery":
        """`readings` evenly among the nodes of one axis; of several, at random ones within the walls, among every `every`-th an axis."""
        count = max(DRAWS, 8 * directions)
        keys = jax.random.split(jax.random.key(seed), count + 2)
        draws = np.asarray(jax.lax.map(lambda k: pde.sample(k, grid), keys[2:], batch_size=20))
        draws = np.log(draws) if log else draws
        mean, flat = draws.mean(axis=0), draws.reshape(count, -1)
        _, s, v = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
        basis = (v[:directions] * s[:directions, None] / count**0.5).reshape(directions, *mean.shape)
        nodes = mean[..., 0].size
        at = np.arange(0, nodes, max(1, nodes // readings)) if grid.ndim == 1 else _inside(grid, readings, every, seed)
        truth = pde.sample(keys[0], grid)
        end = solve(truth)
        exact, noise = end.reshape(nodes, -1)[at], NOISE * float(jnp.std(end))
        values = exact + noise * jax.random.normal(keys[1], exact.shape, exact.dtype)
        return cls(grid, jnp.asarray(mean, truth.dtype), jnp.asarray(basis, truth.dtype), truth, at, values, noise, log)

    @property
    def start(self) -> Float[Array, " directions"]:
        """The prior's mean."""
        return jnp.zeros(len(self.basis))

    def input(self, c: Float[Array, " directions"]) -> Float[Array, "*grid c"]:
        found = self.mean + jnp.tensordot(c, self.basis, axes=1)
        return jnp.exp(found) if self.log else found

    def read(self, model: Solve) -> Callable[[Array], Float[Array, " m"]]:
        """The readings of c, with the output by `model`, in units of the noise and less the data, in one row."""
        return lambda c: ((model(self.input(c)).reshape(-1, self.values.shape[-1])[self.at] - self.values) / self.noise).ravel()

    def objective(self, model: Solve) -> Callable[[Array], Float[Array, ""]]:
        """Of c, with the output by `model`."""
        misfit = self.read(model)
        return lambda c: (jnp.sum(misfit(c) ** 2) + jnp.sum(c**2)) / 2

    def error(self, c: Array) -> float:
        """The relative L2 error of the input (of its logarithm)."""
        found, truth = self.input(c), self.truth
        return float(metrics.relative_l2(*((jnp.log(found), jnp.log(truth)) if self.log else (found, truth)), self.grid))


def _inside(grid: Grid, readings: int, every: int, seed: int) -> np.ndarray:
    axes = zip(grid.bases, grid.shape, strict=True)
    within = tuple(slice(0, n, every) if b.periodic else slice(every, n - 1, every) for b, n in axes)
    numbers = np.arange(math.prod(grid.shape)).reshape(grid.shape)[within]
    return np.sort(np.random.default_rng(seed).choice(numbers.ravel(), readings, replace=False))


def recover(bundle: Path, pde: Burgers, grid: Grid, seed: int = 0) -> dict[str, Any]:
    """A flow's start from readings of its end, by the surrogate in `bundle`, and by it with corrections of the true solver.

    Returned: the objective that the surrogate claims at its minimum, and what the solver says; the same of `trust_region`, with its number
    of solves; relative L2 errors of both starts; and what a figure needs.
    """
    surrogate = load(Path(bundle))
    solve = lambda a: pde.solve(a, grid, method="heat_kernel")  # noqa: E731
    problem = Recovery.of(pde, grid, solve, seed)
    claim, truth = problem.objective(surrogate), problem.objective(solve)
    alone = minimise(claim, problem.start, truth=truth)
    corrected = trust_region(claim, truth, problem.start, radius=3.0, solves=20, tolerance=1e-3)
    found = {"truth": problem.truth, "alone": problem.input(alone.x), "corrected": problem.input(corrected.x)}
    x = np.asarray(grid.bases[0].nodes)
    return {
        "readings": len(problem.at), "noise": NOISE, "directions": DIRECTIONS, "claimed": alone.claimed, "verified": alone.verified,
        "calls": alone.calls, "error": problem.error(alone.x), "corrected": corrected.verified,
        "corrected_error": problem.error(corrected.x), "solves": corrected.solves,
        "starts": {k: np.asarray(a[:, 0]).tolist() for k, a in found.items()},
        "ends": {k: np.asarray(solve(a)[:, 0]).tolist() for k, a in found.items()},
        "x": x.tolist(), "at": x[problem.at].tolist(), "values": np.asarray(problem.values[:, 0]).tolist(),
    }
