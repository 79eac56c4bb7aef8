"""The two-scale Lorenz-96 system: slow waves on a ring, each site with fast ones of its own."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import FourierBasis, Grid
from pdesurr.pdes._direct import AbstractExactInTime
from pdesurr.pdes._inputs import require_numbers
from pdesurr.solvers import repeated, trajectory
from pdesurr.types import Key


class Lorenz96(AbstractExactInTime):
    """K sites on a ring, with J fast variables each; the map of all of them at time 0 to `intervals` equal times up to `horizon`.

        dX_k/dt   = X_{k-1} (X_{k+1} - X_{k-2}) - X_k + F - (h c / b) sum_j Y_{j,k}
        dY_{j,k}/dt = -c b Y_{j+1,k} (Y_{j+2,k} - Y_{j-1,k}) - c Y_{j,k} + (h c / b) X_k

    `forcing` F, coupling `h`, ratio of times `c` and of sizes `b`; h = 0 is the one-scale system. j wraps inside each site, as in the
    Multiscale Neural Operator's code (Lutjens et al. 2022); Lorenz (1996) wraps it into the next site. The grid has a node a site,
    (0, K), K >= 4; fields are "X" and "Y1" ... "YJ". Prior: X whole numbers in -15 ... 14 and Y normal, run for `spin_up` units, so
    samples lie on the attractor. The quadratic terms alone keep sum X^2, and sum_j Y^2 at each site.

    Reference: classical Runge-Kutta at equal steps of at most `dt`. After one unit X is off by a median of 6e-5 (at worst of 16 samples
    9e-4) with the paper's 0.005, and by 1e-7 (1e-6) with 0.001. It is chaotic: errors grow by e in less than a unit, so horizons beyond
    some ten units cannot be certified, and float32 and float64 draw different samples from one key. Good values: F = 20, h = 0.5,
    b = 10, c = 8, K = J = 4.
    """

    forcing: float | Float[Array, ""] = 20.0
    h: float | Float[Array, ""] = 0.5
    b: float | Float[Array, ""] = 10.0
    c: float | Float[Array, ""] = 8.0
    fast: int = eqx.field(static=True, default=4)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    dt: float = eqx.field(static=True, default=0.001)
    spin_up: float = eqx.field(static=True, default=10.0)

    def __check_init__(self):
        require(isinstance(self.fast, int) and self.fast >= 4, "fast", "a number >= 4, so that neighbours differ", self.fast)
        require(0 < self.dt <= 0.02, "dt", "a time step in (0, 0.02]", self.dt)
        require_numbers(self, "spin_up", zero=True)
        require_numbers(self, "b", "c")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("X", *(f"Y{j + 1}" for j in range(self.fast)))

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.inputs

    def grid(self, n: int) -> Grid:
        return Grid([FourierBasis(n, 0.0, float(n))])

    # The equation.

    def rate(self, a: Float[Array, "K c"]) -> Float[Array, "K c"]:
        """The time derivative of (X, Y_1 ... Y_J)."""
        forcing, h, b, c = (jnp.asarray(v, a.dtype) for v in (self.forcing, self.h, self.b, self.c))
        x, y = a[:, 0], a[:, 1:]
        coupling = h * c / b
        slow = jnp.roll(x, 1) * (jnp.roll(x, -1) - jnp.roll(x, 2)) - x + forcing - coupling * jnp.sum(y, axis=1)
        turn = jnp.roll(y, -1, axis=1) * (jnp.roll(y, -2, axis=1) - jnp.roll(y, 1, axis=1))
        return jnp.concatenate([slow[:, None], -c * b * turn - c * y + coupling * x[:, None]], axis=1)

    # The prior and the reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "K c"]:
        first, second = jax.random.split(key)
        x = jax.random.randint(first, (*grid.shape, 1), -15, 15).astype(jnp.result_type(float))
        y = jax.random.normal(second, (*grid.shape, self.fast), jnp.float32).astype(x.dtype)
        start = jnp.concatenate([x, y], axis=1)
        return self._advance(self.spin_up, self.dt)(start) if self.spin_up else start

    def check(self, a: Float[Array, "K c"], grid: Grid) -> None:
        require(grid.ndim == 1 and grid.fourier and grid.shape[0] >= 4, "grid", "a ring of at least four sites", grid, "use pde.grid(K)")

    def recorded(self, a: Float[Array, "K c"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return self._recorded(a, self.dt)

    def _recorded(self, a: Float[Array, "K c"], dt: float) -> tuple[dict[str, Array], Bool[Array, ""]]:
        states = trajectory(self._advance(self.horizon / self.intervals, dt), self.intervals, include_start=True)(a)
        return {name: states[..., i] for i, name in enumerate(self.inputs)}, jnp.all(jnp.isfinite(states))

    def _advance(self, length: float, dt: float):
        count = max(1, math.ceil(length / dt * (1 - 1e-9)))
        size = length / count

        def step(u: Array) -> Array:
            k1 = self.rate(u)
            k2 = self.rate(u + size / 2 * k1)
            k3 = self.rate(u + size / 2 * k2)
            k4 = self.rate(u + size * k3)
            return u + size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

        return repeated(step, count)

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """The same start with half the step."""
        return self._recorded(self.sample(key, grid), self.dt / (2 if finer else 1))
