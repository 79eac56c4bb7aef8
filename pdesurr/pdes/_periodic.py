"""Evolution equations on periodic boxes, solved by ETDRK4 on Fourier coefficients: all but the equation, the prior and the step."""

import abc
import functools
import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from pdesurr.checks import DivergedError, require
from pdesurr.fields import AbstractField, FourierBasis, Grid, dealias_mask
from pdesurr.pdes._base import AbstractEvolution, Setting
from pdesurr.pdes._inputs import looked_at, require_numbers, require_state, require_times
from pdesurr.solvers import Step, etdrk, repeated, stable_step, trajectory
from pdesurr.types import Key

ROUTES = {"etdrk4": 1, "etdrk4, quarter steps": 4}
ROUGH = 0.05  # a share of short waves from which on errors of a per cent and more were found


class AbstractPeriodicEvolution(AbstractEvolution):
    """u_t = linear(u) + nonlinear(u) on a periodic box; states are recorded at `intervals` equal intervals up to `horizon`.

    A data file's samples are solved on `refinement` times as many nodes an axis as it stores. The map to learn takes the first
    `history` records to the later ones, or to the last one if `history` is 1. A subclass gives
    the equation's text, `lengths`, `sample`, and how large a time step may be: `largest_step` where only accuracy limits it, and
    `fastest`, a bound on the velocity at which solutions from the prior carry anything, which limits it by `stable_step`. A
    sample found to move faster than its steps allow, or to leave the finite numbers, counts as not solved.
    """

    horizon: eqx.AbstractVar[float]
    intervals: eqx.AbstractVar[int]
    history: eqx.AbstractVar[int]
    refinement: eqx.AbstractVar[int]
    largest_step: eqx.AbstractVar[float]

    def __check_init__(self):
        require_numbers(self, "horizon", "largest_step")
        require(all(math.isfinite(length) and length > 0 for length in self.lengths), "length", "a number > 0", self.lengths)
        require(self.intervals >= self.history >= 1, "history", f"a number of records from 1 to intervals={self.intervals}", self.history)
        require(self.refinement >= 1, "refinement", "a whole number >= 1", self.refinement)

    @property
    @abc.abstractmethod
    def lengths(self) -> tuple[float, ...]:
        """The box's length along each axis."""

    @property
    @abc.abstractmethod
    def fastest(self) -> float:
        """A bound on the advecting velocity of solutions from the prior; 0 where nothing is advected explicitly."""

    @abc.abstractmethod
    def speed(self, u: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
        """The largest advecting velocity of one state."""

    # What the data room reads.

    @property
    def units(self) -> dict[str, str]:
        return dict.fromkeys((*self.components, *self.grid(2).names, "t", *self.parameters), "1")

    @property
    def record_times(self) -> tuple[float, ...]:
        return tuple(float(t) for t in np.linspace(0, self.horizon, self.intervals + 1))

    @property
    def input(self) -> tuple[tuple[str, int | None], ...]:
        return tuple((name, i) for i in range(self.history) for name in self.components)

    @property
    def output(self) -> tuple[tuple[str, int | None], ...]:
        first = self.history if self.history > 1 else self.intervals
        return tuple((name, i) for i in range(first, self.intervals + 1) for name in self.components)

    def grid(self, n: int) -> Grid:
        return Grid([FourierBasis(n, 0.0, length) for length in self.lengths])

    # The reference solution.

    def step_size(self, grid: Grid, speed: float | None = None) -> float:
        """The largest step that is accurate and, for advecting velocities up to `speed` (`fastest` unless given), stable."""
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self))
        require(not traced, "dt", "a time step, since under a trace of the equation's numbers none can be chosen", None,
                "give dt=pde.step_size(grid) of the equation with plain numbers")
        speed = self.fastest if speed is None else speed
        symbol = self.semilinear(grid).symbol
        k = functools.reduce(np.maximum, np.broadcast_arrays(*(np.abs(k) for k in grid.wavenumbers())))
        return stable_step(symbol, speed * k * dealias_mask(grid, 2 / 3), self.largest_step)

    def solve(self, a: Float[Array, "*grid c"], grid: Grid, times: tuple[float, ...] | None = None, *,
              dt: float | None = None) -> Float[Array, "..."]:
        """u at `times` `(time, *grid, c)`, or at the horizon `(*grid, c)` if `times` is None, from the state `a` at time 0.

        `dt`: an upper bound on the time step, `step_size(grid)` unless given. Raises `UsageError` on a wrong shape or time, or a
        `dt` above what `a` allows (outside jit; inside, the caller checks), and `DivergedError` instead of returning NaN.
        """
        require(grid.fourier and grid.ndim == len(self.lengths), "grid", f"a periodic grid of {len(self.lengths)} axes", grid,
                "use pde.grid(n)")
        a, at = require_state(a, (*grid.shape, len(self.components))), (self.horizon,) if times is None else times
        require_times(at)
        at = tuple(at)
        require(dt is None or dt > 0, "dt", "a time step > 0", dt)
        with looked_at(self, a) as concrete:
            if concrete:
                allowed = self.step_size(grid, float(self.speed(a, grid)))
                right = f"a time step in (0, {allowed:.3g}], which is stable and accurate on {grid.shape} nodes"
                require(dt is None or dt <= allowed, "dt", right, dt)
                dt = dt or min(allowed, self.step_size(grid))
        u = self.evolve(a, grid, at, dt or self.step_size(grid))
        if not isinstance(u, Tracer) and not bool(jnp.all(jnp.isfinite(u))):
            raise DivergedError(f"{type(self).__name__} left the finite numbers on {grid.shape} nodes: give a smaller dt, or a start "
                                "from which the solution does not blow up")
        with looked_at(self, u) as concrete:
            if concrete and (share := float(self.roughness(u[-1], grid))) > ROUGH:
                warnings.warn(f"{type(self).__name__}: {grid.shape} nodes do not resolve this solution, {100 * share:.0f} % of it is in "
                              "waves shorter than four nodes; it may be wrong by a per cent or more: take more nodes", stacklevel=3)
        return u[0] if times is None else u

    @eqx.filter_jit
    def evolve(self, a: Float[Array, "*grid c"], grid: Grid, times: tuple[float, ...], dt: float) -> Float[Array, "time *grid c"]:
        """u at increasing `times` by equal steps of at most `dt` between any two of them."""
        u_hat, now, states = self._coefficients(a, grid), 0.0, []
        equation, gaps = self.semilinear(grid), np.diff((0.0, *times))
        if len(times) > 1 and np.allclose(gaps, gaps[0], rtol=1e-9):
            states_hat = trajectory(self._interval(equation, gaps[0], dt), len(times))(u_hat)
            return jax.vmap(lambda v: self._values(v, grid))(states_hat)
        for t in times:
            if t > now:
                u_hat = self._interval(equation, t - now, dt)(u_hat)
            states.append(self._values(u_hat, grid))
            now = t
        return jnp.stack(states)

    def roughness(self, u: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
        """The share of a state, less its mean, that is in waves shorter than four nodes, in the L2 norm. What it says of the error is
        tested on Navier-Stokes and two-dimensional Burgers equations (`tests/contracts/test_refusals.py`)."""
        u = u - jnp.mean(u, axis=tuple(range(grid.ndim)), keepdims=True)
        hat, smooth = grid.transform(u), dealias_mask(grid, 0.5)[..., None]
        rough = grid.inverse(hat * (1 - smooth).astype(hat.dtype))
        return jnp.linalg.norm(rough.ravel()) / jnp.maximum(jnp.linalg.norm(u.ravel()), jnp.finfo(u.dtype).tiny)

    @staticmethod
    def _interval(equation, length: float, dt: float) -> Step:
        count = max(1, math.ceil(length / dt * (1 - 1e-9)))
        return repeated(etdrk(equation, float(length) / count), count)

    def _coefficients(self, a: Float[Array, "*grid c"], grid: Grid) -> Array:
        a_hat = jnp.moveaxis(grid.transform(a), -1, 0)
        return a_hat[0] if len(self.components) == 1 else a_hat

    def _values(self, u_hat: Array, grid: Grid) -> Float[Array, "*grid c"]:
        u_hat = u_hat[None] if len(self.components) == 1 else u_hat
        return grid.inverse(jnp.moveaxis(u_hat, 0, -1))

    # What a data file stores, and its error.

    @property
    def routes(self) -> tuple[str, ...]:
        return tuple(ROUTES)

    @property
    def refined_routes(self) -> tuple[str, ...]:
        return tuple(ROUTES)

    def record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        fine = grid.with_shape(*(self.refinement * n for n in grid.shape))
        fields, right = self._recorded(self.sample(key, fine), fine, self.step_size(fine) / ROUTES[route])
        return _every(self.refinement, fields, grid), right

    def refined_record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        coarse, fine = (grid.with_shape(*(f * self.refinement * n for n in grid.shape)) for f in (1, 2))
        start = coarse.resample(self.sample(key, coarse), *fine.shape)
        dt = min(self.step_size(coarse) / 2, self.step_size(fine)) / ROUTES[route]
        fields, right = self._recorded(start, fine, dt)
        return _every(2 * self.refinement, fields, grid), right

    def _recorded(self, a: Float[Array, "*grid c"], grid: Grid, dt: float) -> tuple[dict[str, Array], Bool[Array, ""]]:
        u = jnp.concatenate([a[None], self.evolve(a, grid, self.record_times[1:], dt)])
        fastest = jnp.max(jax.vmap(lambda v: self.speed(v, grid))(u))
        right = jnp.all(jnp.isfinite(u)) & (fastest <= self.fastest * self.step_size(grid) / dt)
        return {name: u[..., i] for i, name in enumerate(self.components)}, right

    # Ways to solve, for comparisons at equal error.

    def settings(self, grid: Grid) -> tuple[tuple[Setting, ...], ...]:
        shapes = [tuple(n // f for n in grid.shape) for f in (16, 8, 4, 2, 1)]
        shapes = [shape for shape in shapes if min(shape) >= 16]
        steps = lambda shape, factor: math.ceil(self.horizon / (factor * self.step_size(grid.with_shape(*shape))))  # noqa: E731
        return tuple(tuple(Setting("etdrk4", shape, steps(shape, f)) for f in (1 / 4, 1 / 2, 1, 2, 4, 8)) for shape in shapes)

    def solve_at(self, a: Float[Array, "*grid c_in"], grid: Grid, setting: Setting) -> Float[Array, "*grid c_out"]:
        assert setting.steps is not None
        coarse, names = grid.with_shape(*setting.shape), len(self.components)
        times = self.record_times[self.history :] if self.history > 1 else (self.horizon,)
        start = self.record_times[self.history - 1]
        a = a[..., -names:]
        a = a if coarse == grid else grid.resample(a, *setting.shape)
        u = self.evolve(a, coarse, tuple(t - start for t in times), self.horizon / setting.steps)
        u = jnp.concatenate(list(u), axis=-1)
        return u if coarse == grid else coarse.resample(u, *grid.shape)


class AbstractUnadvected(AbstractPeriodicEvolution):
    """Nothing is advected explicitly: only accuracy limits the step."""

    @property
    def fastest(self) -> float:
        return 0.0

    def speed(self, u: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
        return jnp.zeros((), u.dtype)


class AbstractExactStep(AbstractUnadvected):
    """A linear equation: a step of an exponential scheme is exact, however long, and however rough the state."""

    def roughness(self, u: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
        return jnp.zeros((), u.dtype)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return 0.0 * u


def _every(factor: int, fields: dict[str, Array], grid: Grid) -> dict[str, Array]:
    """Every `factor`-th node of fields `(time, *grid)`."""
    return {name: v[(slice(None),) + (slice(None, None, factor),) * grid.ndim] for name, v in fields.items()}
