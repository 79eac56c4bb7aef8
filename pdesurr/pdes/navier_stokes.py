"""Two-dimensional incompressible Navier-Stokes on the torus, in vorticity form."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, Grid, SpectralField, d, known, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart
from pdesurr.solvers import crank_nicolson_euler, repeated, trajectory
from pdesurr.types import Key


class NavierStokes(AbstractRandomStart):
    """w_t + u . grad w = nu Lap w - drag w + f on (0, length)^2, periodic, with div u = 0 and w = dv/dx - du/dy.

    The stream function gives the velocity: -Lap psi = w, (u, v) = (psi_y, -psi_x). This is the sign of the public data of Li et
    al.; other packages have the opposite one. The forcing is

        f = forcing (sin 2 pi (x + y) / length + cos 2 pi (x + y) / length) - kolmogorov k cos(k y), k = 2 pi wavenumber / length;

    the second is the curl of the body force kolmogorov sin(k y) e_x. Prior over w(., 0): N(0, sigma^2 (-Lap + tau^2)^-gamma)
    without mean. The defaults are the nu = 1e-3 set of Li et al. (ICLR 2021, section 5.3; Kovachki et al., JMLR 24(89), section
    6.4): unit torus, f of amplitude 0.1, w at t = 0, 1 ... 50, the first ten to the others. Its files were drawn with std(w0) =
    .262; the authors' code gives .185 since June 2022, which is `GaussianStart(7**1.5, 7.0, 2.5)`. Neural Spectral Methods (Du et
    al., ICLR 2024) start from `KernelStart()`, at nu = 1e-2, 1e-3 and 1e-4 without forcing, horizon 3.

    Conserved without viscosity, drag and forcing: energy and enstrophy; always: the mean of w (zero).
    Good values: nu = 1e-3 on 64 nodes an axis, 1e-4 on 128, 1e-5 on 256.
    """

    nu: float | Float[Array, ""] = 1e-3
    drag: float | Float[Array, ""] = 0.0
    forcing: float = eqx.field(static=True, default=0.1)
    kolmogorov: float = eqx.field(static=True, default=0.0)
    wavenumber: int = eqx.field(static=True, default=4)
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=50.0)
    intervals: int = eqx.field(static=True, default=50)
    history: int = eqx.field(static=True, default=10)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(2**0.5 * 7**1.5, 7.0, 2.5)
    largest_step: float = eqx.field(static=True, default=0.05)

    def __check_init__(self):
        require_numbers(self, "nu", "drag", zero=True)
        require(self.wavenumber >= 1, "wavenumber", "a whole number >= 1", self.wavenumber)

    @property
    def components(self) -> tuple[str, ...]:
        return ("w",)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length, self.length)

    # The equation.

    def linear(self, u: AbstractField) -> AbstractField:
        return self.nu * laplacian(u, "x", "y") - self.drag * u

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return self.advection(-u.inverse_laplacian("x", "y")) + known(u, self.source, "x", "y")

    @staticmethod
    def advection(psi: AbstractField) -> AbstractField:
        """-u . grad w = (u^2 - v^2)_xy + (uv)_yy - (uv)_xx: two products, where the plain form has two of derivatives."""
        u, v = d(psi, "y"), -d(psi, "x")
        shear = u * v
        return d(d(u * u - v * v, "x"), "y") + (d(shear, "y", 2) - d(shear, "x", 2))

    def source(self, x: Array, y: Array) -> Array:
        """f(x, y)."""
        phase, k = 2 * math.pi / self.length * (x + y), 2 * math.pi * self.wavenumber / self.length
        return self.forcing * (jnp.sin(phase) + jnp.cos(phase)) - self.kolmogorov * k * jnp.cos(k * y)

    def residual_of_stream(self, psi: AbstractField) -> AbstractField:
        """The equation's residual for a stream function: what a calculus without an inverse Laplacian reads."""
        w = -laplacian(psi, "x", "y")
        return d(w, "t") - self.linear(w) - self.advection(psi) - known(psi, self.source, "x", "y")

    # The prior and the step.

    def velocity(self, w: Float[Array, "n n"], grid: Grid) -> tuple[Array, Array]:
        """(u, v) of a vorticity."""
        psi = -SpectralField(grid, nodal=w, dealias=1.0).inverse_laplacian()
        return d(psi, "y").values, -d(psi, "x").values  # pyright: ignore[reportAttributeAccessIssue]

    def speed(self, u: Float[Array, "n n 1"], grid: Grid) -> Float[Array, ""]:
        u, v = self.velocity(u[..., 0], grid)
        return jnp.max(jnp.abs(u) + jnp.abs(v))

    @property
    def fastest(self) -> float:
        """Start of the prior, plus what each forcing drives in the viscous balance, or in the time there is; and a quarter more, as the
        two together were found to go up to a fifth above their sum (nu = 1e-5, to t = 10 and 20)."""
        bound = 3 * self.prior.deviation(self.grid(32)) * self.length / (2 * math.pi)
        unit = 2 * math.pi / self.length
        for k, amplitude in ((2**0.5 * unit, 2 * self.forcing), (self.wavenumber * unit, self.kolmogorov * self.wavenumber * unit)):
            rate = float(self.nu) * k**2 + float(self.drag)
            bound += abs(amplitude) / k * (min(self.horizon, 1 / rate) if rate > 0 else self.horizon)
        return 1.25 * bound

    # The public sets' own scheme.

    def replay(self, a: Float[Array, "n n 1"], grid: Grid, times: tuple[float, ...], dt: float = 1e-4) -> Float[Array, "time n n 1"]:
        """w at equally spaced `times` by the scheme of the public sets: Crank-Nicolson and forward Euler, 2/3 mask."""
        count = max(1, round(times[0] / dt))
        step = repeated(crank_nicolson_euler(self.semilinear(grid), times[0] / count), count)
        states = trajectory(step, len(times))(grid.transform(a[..., 0]))
        return jax.vmap(grid.inverse)(states)[..., None]

    def replay_record(self, key: Key, grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """What a public file would hold of this sample: steps of 1e-4 on `refinement` times as many nodes (theirs had 256 an axis)."""
        fine = grid.with_shape(*(self.refinement * n for n in grid.shape))
        a = self.sample(key, fine)
        w = jnp.concatenate([a[None], self.replay(a, fine, self.record_times[1:])])[:, :: self.refinement, :: self.refinement, 0]
        return {"w": w}, jnp.all(jnp.isfinite(w))
