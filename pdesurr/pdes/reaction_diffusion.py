"""The Fisher-KPP reaction-diffusion equation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._periodic import AbstractUnadvected
from pdesurr.pdes._prior import KernelField
from pdesurr.solvers import repeated, strang
from pdesurr.types import Key


class ReactionDiffusion(AbstractUnadvected):
    """u_t = nu u_xx + rho u (1 - u) on (0, 1), periodic; the map u(., 0) -> u(., horizon).

    The problem of Neural Spectral Methods (Du et al., ICLR 2024), with rho = 5 and nu = 0.005, 0.01, 0.05 or 0.1. If 0 <= u <= 1 at
    first, it stays so and grows to 1. Prior: the periodic Gaussian process with kernel exp(-sin^2(pi (x - y)) / (2 scale^2)),
    scale 0.2, on 64 nodes continued by their Fourier series, rescaled so that each draw's minimum is 0 and its maximum 1.
    `strang` splits into the two flows that are known exactly, heat and the logistic curve.
    """

    nu: float | Float[Array, ""] = 0.005
    rho: float | Float[Array, ""] = 5.0
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    scale: float = eqx.field(static=True, default=0.2)
    largest_step: float = eqx.field(static=True, default=0.01)

    def __check_init__(self):
        require_numbers(self, "nu", "rho")
        self.law  # noqa: B018  (refuses a bad scale)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (1.0,)

    @property
    def law(self) -> KernelField:
        """Of u(., 0) before it is rescaled."""
        return KernelField(self.scale, 64)

    def linear(self, u: AbstractField) -> AbstractField:
        return self.nu * d(u, "x", 2) + self.rho * u

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return -self.rho * (u * u)

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n 1"]:
        g = self.law(key, grid)[..., None]
        low, high = jnp.min(g), jnp.max(g)
        return (g - low) / (high - low)

    def strang(self, a: Float[Array, "n 1"], grid: Grid, steps: int) -> Float[Array, "n 1"]:
        """u at the horizon by `steps` steps of Strang splitting."""
        k, nu, rho = grid.wavenumbers()[0], jnp.asarray(self.nu, a.dtype), jnp.asarray(self.rho, a.dtype)

        def heat(u: Array, t: float) -> Array:
            return grid.inverse(grid.transform(u) * jnp.exp(-nu * t * jnp.asarray(k**2, a.dtype)))

        def logistic(u: Array, t: float) -> Array:
            growth = jnp.exp(rho * t)
            return u * growth / (1 + u * (growth - 1))

        return repeated(strang(heat, logistic, self.horizon / steps), steps)(a[:, 0])[:, None]
