"""The lid-driven cavity from rest."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, Grid, d, laplacian
from pdesurr.pdes._direct import AbstractExactInTime, by_nodes
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes.cavity import Cavity
from pdesurr.solvers.newton import newton
from pdesurr.solvers.rollout import repeated, trajectory
from pdesurr.solvers.stream import LidStream
from pdesurr.types import Key

ITERATIONS = 3  # of Newton's method in each step


class UnsteadyCavity(AbstractExactInTime):
    """rho (u_t + u . grad u) + grad p = mu Lap u, div u = 0 on (0, 1)^2, at rest at time 0, no slip at the walls, the lid y = 1 moving with
    lid(x) t / horizon; the map of the lid's velocity at the end, repeated along y, to (u, v, p) at `intervals` equal times up to `horizon`.
    p is zero at the corner (0, 0).

    `rho`: density, `mu`: viscosity, both > 0. The lid and its slope must vanish at the corners; prior as of `Cavity` with this `flatness`.
    The problem of random grid neural processes (Vadeboncoeur et al., ICML 2023), whose lid 1 - (2 x - 1)^6 is squared here: with its slope
    at the corners the flow is singular there.

    Reference: Chebyshev collocation of the stream function as in `Cavity`, implicit midpoint steps, `steps` an interval, by Newton's
    method: second order in time; p by least squares from the momentum. At rho = 1, mu = 0.1 and the benchmark's lid 12 nodes and 2 steps
    an interval are right to 1e-3 of the velocity's norm, 16 to 3e-4; the pressure converges more slowly. Float64 only; the
    work grows like n^6.
    """

    rho: float | Float[Array, ""] = 1.0
    mu: float | Float[Array, ""] = 0.1
    flatness: int = eqx.field(static=True, default=6)
    sigma: float = eqx.field(static=True, default=0.2)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=8)
    steps: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        require_numbers(self, "rho", "mu")
        require(isinstance(self.steps, int) and self.steps >= 1, "steps", "a whole number >= 1", self.steps)
        Cavity(flatness=self.flatness, sigma=self.sigma)  # refuses what it refuses

    @property
    def _lids(self) -> Cavity:
        return Cavity(flatness=self.flatness, sigma=self.sigma)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("lid",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u", "v", "p")

    @property
    def input(self) -> tuple[tuple[str, int | None], ...]:
        return (("lid", self.intervals),)

    def grid(self, n: int) -> Grid:
        return self._lids.grid(n)

    # The equation.

    def residual(self, u: AbstractField, v: AbstractField, p: AbstractField) -> tuple[AbstractField, AbstractField, AbstractField]:
        """Momentum along x and y, and the divergence."""
        force = lambda w, axis: (  # noqa: E731
            self.rho * (d(w, "t") + u * d(w, "x") + v * d(w, "y")) + d(p, axis) - self.mu * laplacian(w, "x", "y"))
        return force(u, "x"), force(v, "y"), d(u, "x") + d(v, "y")

    # The prior and the reference solution.

    def profile(self, x: Array) -> Array:
        """The lid of the benchmark."""
        return self._lids.profile(x)

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n n 1"]:
        return self._lids.sample(key, grid)

    def check(self, a: Float[Array, "n n 1"], grid: Grid) -> None:
        self._lids.check(a, grid)

    def recorded(self, a: Float[Array, "n n 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        stream, lid = LidStream(grid), a[1:-1, 0, 0]
        count = self.intervals * self.steps
        dt, speed = self.horizon / count, lid / count  # what the lid gains in a step

        def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            phi, i, worst = carry
            before, after, middle = speed * i, speed * (i + 1), speed * (i + 0.5)

            def equation(now: Array) -> Array:
                half = (phi + now) / 2
                gain = stream.vorticity(now, after) - stream.vorticity(phi, before)
                return self.rho * (gain / dt + stream.advection(half, middle)) - self.mu * stream.diffusion(half, middle)

            later, residual = newton(equation, phi, ITERATIONS)
            return later, i + 1, jnp.maximum(worst, residual * dt)

        zero = jnp.zeros((), a.dtype)
        start = jnp.zeros((len(lid), grid.shape[1] - 2), a.dtype) + 0 * lid[:, None]
        phi, number, worst = trajectory(repeated(step, self.steps), self.intervals)((start, zero, zero))
        phi, number = (jnp.concatenate([jnp.zeros_like(v[:1]), v]) for v in (phi, number))
        fields = jax.vmap(lambda f, i: self._flow(stream, grid, f, speed * i, lid / self.horizon))(phi, number)
        fields["lid"] = a[None, ..., 0] * (number / count)[:, None, None]
        scale = jnp.max(jnp.abs(stream.vorticity(phi[-1], lid)))
        return fields, jnp.isfinite(worst[-1]) & (worst[-1] <= 1e-7 * scale)

    def _flow(self, stream: LidStream, grid: Grid, phi: Array, lid: Array, gain: Array) -> dict[str, Array]:
        """Velocity, and the pressure whose gradient is what inertia and friction leave; `gain`: the lid's acceleration."""
        rest = lambda rate: self.rho * (stream.vorticity(rate, gain) + stream.advection(phi, lid)) - self.mu * stream.diffusion(phi, lid)  # noqa: E731
        rate, _ = newton(rest, jnp.zeros_like(phi), 1)
        of = lambda i, j: stream.velocity_parts(phi, lid, i, j)  # noqa: E731
        u, v = of(0, 0)
        terms = zip(stream.velocity_parts(rate, gain, 0, 0), of(1, 0), of(0, 1), of(2, 0), of(0, 2), strict=True)
        gradient = [self.mu * (w_xx + w_yy) - self.rho * (w_t + u * w_x + v * w_y) for w_t, w_x, w_y, w_xx, w_yy in terms]
        psi = stream.whole(phi, lid)
        return {"u": grid.derivative(psi, "y"), "v": -grid.derivative(psi, "x"), "p": stream.potential(*gradient)}

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(dataclasses.replace(self, steps=2 * self.steps) if finer else self, key, grid, finer)
