"""The viscous Burgers equation on a periodic interval."""

import math
import warnings
from functools import partial
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from pdesurr.checks import DivergedError, require
from pdesurr.fields import AbstractField, FourierBasis, GaussianRandomField, Grid, d
from pdesurr.pdes._base import AbstractEvolution, Setting
from pdesurr.pdes._inputs import looked_at, require_numbers, require_state, require_times
from pdesurr.solvers import etdrk, repeated
from pdesurr.types import Key

Method = Literal["auto", "cole_hopf", "heat_kernel", "etdrk4"]
METHODS = get_args(Method)
SHARP = 4.0  # |u| h / (2 nu) from which on a front has too few nodes
CFL = 2.0  # |u| k_max dt; ETDRK4 is unstable from about 2.8
ROUNDING = {"float64": 1e-9, "float32": 1e-5}  # what `rounding` may reach: float64 stays far below float32 storage
IMAGES = 2  # periodic images of the heat kernel on either side: enough for sqrt(2 nu t) up to a third of the length


class Burgers(AbstractEvolution):
    """u_t + (u^2 / 2)_x = nu u_xx on (0, length), periodic; the map u(., 0) -> u(., horizon).

    `nu`: kinematic viscosity, length^2 / time, > 0. All other quantities are in the same (dimensionless) units. Prior over
    u(., 0): N(0, sigma^2 (-d_xx + tau^2)^-gamma). The defaults are the problem of Kovachki et al., JMLR 24(89), section 6.2,
    equation 41, on (0, 2 pi) with nu = 0.1, and without the constant mode, which the authors' sampler leaves out too:
    std(u0) = 1.044 (`zero_mean=False` puts it back: 1.118). The ICLR text says (0, 1): there the same nu damps the answer to
    nearly a constant.

    Solutions form shocks of width about nu / |u|: a grid needs a few nodes in one. Energy decays, the mean is conserved, and
    max |u| never grows.

    Good values: nu = 0.1 with 1024 to 8192 nodes; nu = 0.01 with 1024 or more; nu = 0.001 with 8192.
    """

    nu: float | Float[Array, ""] = 0.1
    length: float = eqx.field(static=True, default=2 * math.pi)
    horizon: float = eqx.field(static=True, default=1.0)
    sigma: float = eqx.field(static=True, default=25.0)
    tau: float = eqx.field(static=True, default=5.0)
    gamma: float = eqx.field(static=True, default=2.0)
    zero_mean: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        require_numbers(self, "nu", "length", "horizon", "sigma")
        require(self.gamma > 0.5, "gamma", "a smoothness > 1/2, so that u0 has pointwise values", self.gamma)

    # What the battery and the data room read.

    @property
    def parameters(self) -> dict[str, float]:
        return {"nu": float(self.nu), "length": self.length, "horizon": self.horizon, "sigma": self.sigma, "tau": self.tau,
                "gamma": self.gamma, "zero_mean": float(self.zero_mean)}

    @property
    def units(self) -> dict[str, str]:
        return {"u": "1", "nu": "1", "x": "1", "t": "1"}

    @property
    def record_times(self) -> tuple[float, ...]:
        return (0.0, self.horizon)

    @property
    def input(self) -> tuple[tuple[str, int | None], ...]:
        return (("u", 0),)

    @property
    def output(self) -> tuple[tuple[str, int | None], ...]:
        return (("u", 1),)

    def grid(self, n: int) -> Grid:
        return Grid([FourierBasis(n, 0.0, self.length)])

    # The equation.

    def linear(self, u: AbstractField) -> AbstractField:
        return self.nu * d(u, "x", 2)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return -d(u * u / 2, "x")

    # The prior and the reference solutions.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n 1"]:
        return self._prior(grid)(key)

    def _prior(self, grid: Grid) -> GaussianRandomField:
        return GaussianRandomField(grid, self.sigma, self.tau, self.gamma, self.zero_mean)

    def solve(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...] | None = None, *, method: Method = "auto",
              speed: float | None = None) -> Float[Array, "..."]:
        """u at `times` `(time, n, 1)`, or `(n, 1)` at the horizon if `times` is None.

        "cole_hopf" is exact up to rounding, which `rounding` estimates; "heat_kernel" is the same formula as a sum of positive
        terms, exact over a far wider range at O(n^2) cost; "etdrk4" steps under the CFL limit for velocities up to `speed` (|u|
        never grows, so max |a|; inside jit, where that is not known, it must be given). "auto" takes the first of the three that
        is right for `a`; under vmap it computes all three, so name one there. Raises `UsageError` on a wrong shape, method
        or time, and `DivergedError` instead of returning NaN (outside jit; inside, the caller checks).
        """
        require(method in METHODS, "method", f"one of {METHODS}", method)
        a = require_state(a, (*grid.shape, 1))
        at = (self.horizon,) if times is None else tuple(times)
        require_times(at)
        with looked_at(a) as concrete:
            speed = float(jnp.max(jnp.abs(a))) if speed is None and concrete else speed
        require(speed is not None or method in ("cole_hopf", "heat_kernel"), "speed",
                "a bound on |u|, since under jit, vmap and grad it cannot be read off the data", speed,
                "give speed=float(jnp.max(jnp.abs(a))), or method='heat_kernel', which needs none")
        if at[0] == 0:
            later = self.solve(a, grid, at[1:], method=method, speed=speed) if len(at) > 1 else jnp.zeros((0, *a.shape), a.dtype)
            return jnp.concatenate([a[None], later])
        with looked_at(self, a) as concrete:
            if concrete and (sharpness := float(self.sharpness(a, grid))) > SHARP:
                n = grid.shape[0]
                warnings.warn(f"Burgers(nu={float(self.nu):g}): {n} nodes do not resolve the fronts of this input, the answer may be wrong "
                              f"by a per cent or more; take {math.ceil(n * sharpness / SHARP)} nodes or more", stacklevel=3)
            if concrete and method == "cole_hopf":
                worst = float(jnp.max(self.rounding(a, grid, at)))
                require(worst <= 1e-3, "method", "one that keeps its digits for this input: 'auto' or 'heat_kernel'",
                        f"'cole_hopf', whose rounding error is {worst:.1e} in {a.dtype.name} here")
        routes = {"cole_hopf": self.cole_hopf, "heat_kernel": self.heat_kernel, "etdrk4": partial(self.etdrk4, speed=speed or 0.0)}
        if method == "auto":
            choice = self.best_method(a, grid, at)
            if isinstance(choice, Tracer):
                u = jax.lax.switch(choice, [partial(route, grid=grid, times=at) for route in routes.values()], a)
            else:
                u = list(routes.values())[int(choice)](a, grid, at)
        else:
            u = routes[method](a, grid, at)
        if not isinstance(u, Tracer) and not bool(jnp.all(jnp.isfinite(u))):
            raise DivergedError(f"Burgers(nu={self.nu}) on {grid.shape[0]} nodes left the finite numbers; take more nodes or a larger nu")
        return u[0] if times is None else u

    def best_method(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...]) -> Int[Array, ""]:
        """0 if Cole-Hopf by FFT is right for `a`, else 1 if the heat kernel's sum is, else 2 (ETDRK4)."""
        fast = jnp.all(self.rounding(a, grid, times) <= ROUNDING[a.dtype.name]) & self.is_resolved(a, grid)
        return jnp.where(fast, 0, jnp.where(self.heat_kernel_is_safe(a, grid), 1, 2))

    # Cole (1951) and Hopf (1950): with the mean m removed by a Galilean shift, phi = exp(-Phi / (2 nu)), Phi_x = u - m, solves
    # the heat equation, and u(x, t) = m - 2 nu phi_x / phi at x - m t.

    def cole_hopf(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...]) -> Float[Array, "time n 1"]:
        """The exact solution at all `times` in one go, by FFTs: spectrally accurate in x, no time step, O(n log n)."""
        return self._cole_hopf(a, grid, times)[0]

    def rounding(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...]) -> Float[Array, " time"]:
        """Estimated relative rounding error of `cole_hopf`: machine epsilon times max phi(., 0) / min phi(., t)."""
        return self._cole_hopf(a, grid, times)[1]

    def _cole_hopf(self, a: Array, grid: Grid, times: tuple[float, ...]) -> tuple[Array, Array]:
        basis = self._basis(grid)
        nu, mean, phi_hat = jnp.asarray(self.nu, a.dtype), jnp.mean(a), grid.transform(jnp.exp(self._exponent(a, grid)))
        k, slope_symbol = basis.wavenumbers(half=True), jnp.asarray(basis.symbol(1, half=True), phi_hat.dtype)
        eps, tiny = jnp.finfo(a.dtype).eps, jnp.finfo(a.dtype).tiny

        def at(t: Array) -> tuple[Array, Array]:
            shift = jax.lax.complex(-nu * jnp.asarray(k**2, a.dtype) * t, -mean * jnp.asarray(k, a.dtype) * t)
            moved_hat = phi_hat * jnp.exp(shift)
            moved = grid.inverse(moved_hat)
            return mean - 2 * nu * grid.inverse(moved_hat * slope_symbol) / moved, eps / jnp.maximum(jnp.min(moved), tiny)

        u, rounding = jax.vmap(at)(jnp.asarray(times, a.dtype))
        return u[..., None], rounding

    def heat_kernel(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...]) -> Float[Array, "time n 1"]:
        """The same solution as a quotient of sums over the periodic heat kernel K: u = m + (sum_y K (x - y) / t phi) / (sum_y K phi).

        Every term of the denominator is positive, so nothing cancels: rounding stays near machine precision however far phi
        ranges, until it underflows (`heat_kernel_is_safe`). A product with an n x n matrix per time. Times must be > 0.
        """
        basis = self._basis(grid)
        nu, mean, phi = jnp.asarray(self.nu, a.dtype), jnp.mean(a), jnp.exp(self._exponent(a, grid))
        offset = basis.nodes - basis.lower
        offset = np.where(offset > self.length / 2, offset - self.length, offset)
        lag = jnp.asarray(offset[:, None] + self.length * np.arange(-IMAGES, IMAGES + 1), a.dtype)

        def at(t: Array) -> Array:
            kernel = jnp.exp(-(lag**2) / (4 * nu * t))  # the same for every sample: one matrix product for a batch
            columns = jnp.stack([jnp.sum(kernel, 1), jnp.sum(kernel * lag, 1) / t])
            total, moment = _circulant_product(columns, phi)
            return mean + basis.shift(moment / total, mean * t)

        return jax.lax.map(at, jnp.asarray(times, a.dtype))[..., None]

    def heat_kernel_is_safe(self, a: Float[Array, "n 1"], grid: Grid) -> Bool[Array, ""]:
        """Whether phi keeps its digits in this dtype: its smallest value must not underflow, and the grid must resolve it."""
        return (jnp.min(self._exponent(a, grid)) > math.log(float(jnp.finfo(a.dtype).tiny)) + 12) & self.is_resolved(a, grid)

    def is_resolved(self, a: Float[Array, "n 1"], grid: Grid) -> Bool[Array, ""]:
        """Whether phi changes by less than a factor e from node to node: |u| h / (2 nu) <= 1."""
        return self.sharpness(a, grid) <= 1

    def sharpness(self, a: Float[Array, "n 1"], grid: Grid) -> Float[Array, ""]:
        """max |u - mean| h / (2 nu): the logarithm of phi's largest change from node to node. Relative L2 errors of four draws of the
        prior at nu = .1, .01 and .001 on 64 to 2048 nodes, against 8192: at most 1.3 % up to 1, .03 to 8 % from 1 to 4, 1 to 11 % from 4
        to 9, more beyond."""
        h = self.length / self._basis(grid).n
        return jnp.max(jnp.abs(a - jnp.mean(a))) * h / (2 * jnp.asarray(self.nu, a.dtype))

    def _exponent(self, a: Float[Array, "n 1"], grid: Grid) -> Float[Array, " n"]:
        """log phi(., 0), shifted so that its maximum is 0."""
        exponent = -self._basis(grid).antiderivative(a[:, 0], 0) / (2 * jnp.asarray(self.nu, a.dtype))
        return exponent - jnp.max(exponent)

    @staticmethod
    def _basis(grid: Grid) -> FourierBasis:
        basis = grid.bases[0]
        require(grid.ndim == 1 and isinstance(basis, FourierBasis), "grid", "one Fourier axis", grid)
        assert isinstance(basis, FourierBasis)
        return basis

    def etdrk4(self, a: Float[Array, "n 1"], grid: Grid, times: tuple[float, ...], *, speed: float,
               steps: int | None = None) -> Float[Array, "time n 1"]:
        """u at `times` by ETDRK4 with 2/3 de-aliasing; each interval is cut into `steps` equal steps, or as many as the CFL
        limit |u| k_max dt <= 2 asks for when |u| <= `speed`."""
        equation = self.semilinear(grid)
        k_max = float(np.max(grid.wavenumbers()[0])) * 2 / 3
        u_hat, now, states = grid.transform(a[:, 0]), 0.0, []
        for t in times:
            require(t >= now, "times", "an increasing sequence from 0", times)
            if t > now:
                count = steps or max(8, math.ceil((t - now) * speed * k_max / CFL))
                u_hat = repeated(etdrk(equation, (t - now) / count), count)(u_hat)
            states.append(grid.inverse(u_hat))
            now = t
        return jnp.stack(states)[..., None]

    # Ways to solve, for comparisons at equal error.

    def settings(self, grid: Grid) -> tuple[tuple[Setting, ...], ...]:
        sizes = [n for n in (32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192) if n <= grid.shape[0]]
        steps = (64, 32, 16, 8, 4, 2)
        return tuple((Setting("heat_kernel", (n,), None), Setting("cole_hopf", (n,), None), *(Setting("etdrk4", (n,), s) for s in steps))
                     for n in sizes)

    def solve_at(self, a: Float[Array, "n 1"], grid: Grid, setting: Setting) -> Float[Array, "n 1"]:
        coarse = grid.with_shape(*setting.shape)
        a = a if coarse == grid else grid.resample(a, *setting.shape)
        if setting.route == "etdrk4":
            u = self.etdrk4(a, coarse, (self.horizon,), speed=1.0, steps=setting.steps)[0]
        else:
            u = (self.cole_hopf if setting.route == "cole_hopf" else self.heat_kernel)(a, coarse, (self.horizon,))[0]
        return u if coarse == grid else coarse.resample(u, *grid.shape)

    # What a data file stores.

    @property
    def routes(self) -> tuple[str, ...]:
        return ("cole_hopf", "heat_kernel", "etdrk4")

    @property
    def refined_routes(self) -> tuple[str, ...]:
        return ("heat_kernel", "etdrk4")

    def record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        u0 = self.sample(key, grid)
        u, ok = self._evolve(u0, grid, route)
        return {"u": jnp.concatenate([u0[None], u])[..., 0]}, ok

    def refined_record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        u0, fine = self.sample(key, grid), grid.with_shape(2 * grid.shape[0])
        u, ok = self._evolve(grid.resample(u0, *fine.shape), fine, route)
        return {"u": jnp.concatenate([u0[None], u[:, ::2]])[..., 0]}, ok

    def _evolve(self, u0: Float[Array, "n 1"], grid: Grid, route: str) -> tuple[Float[Array, "time n 1"], Bool[Array, ""]]:
        """u at the later record times by one route, and whether the route is right for this sample."""
        later = self.record_times[1:]
        if route == "cole_hopf":
            u, rounding = self._cole_hopf(u0, grid, later)
            return u, jnp.all(rounding <= ROUNDING[u0.dtype.name]) & self.is_resolved(u0, grid)
        if route == "heat_kernel":
            return self.heat_kernel(u0, grid, later), self.heat_kernel_is_safe(u0, grid)
        speed = 6 * float(np.sqrt(self._prior(grid).mean_square))  # max |u0| of a Gaussian field stays below six deviations
        u = self.etdrk4(u0, grid, later, speed=speed)
        return u, (jnp.max(jnp.abs(u0)) <= speed) & jnp.all(jnp.isfinite(u))


def _circulant_product(columns: Float[Array, "c n"], v: Float[Array, " n"], block: int = 512) -> Float[Array, "c n"]:
    """sum_j columns[:, (i - j) mod n] v_j, a block of rows at a time so that no n x n matrix is held for large n."""
    n = v.shape[0]
    rows = jnp.arange(-(-n // block) * block).reshape(-1, min(block, n)) if n % block == 0 else jnp.arange(n)[None]

    def part(i: Array) -> Array:
        matrix = columns[:, (i[:, None] - jnp.arange(n)[None, :]) % n]
        return jnp.einsum("cij,j->ci", matrix, v, precision="highest")

    return jnp.moveaxis(jax.lax.map(part, rows), 0, 1).reshape(columns.shape[0], n)
