"""The heat equation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, Grid, laplacian
from pdesurr.pdes._prior import AbstractGaussianStart


class Heat(AbstractGaussianStart):
    """u_t = nu Lap u on (0, length)^dimension, periodic; the map u(., 0) -> u(., horizon).

    `nu`: diffusivity, length^2 / time, > 0. Exact in one step: mode k decays by exp(-nu |k|^2 t). The mean is conserved, and all
    norms and maxima of |u| fall. Prior: N(0, sigma^2 (-Lap + tau^2)^-gamma) without mean.
    """

    nu: float | Float[Array, ""] = 0.01
    dimension: int = eqx.field(static=True, default=1)
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    sigma: float = eqx.field(static=True, default=49.0)
    tau: float = eqx.field(static=True, default=7.0)
    gamma: float = eqx.field(static=True, default=2.5)
    largest_step: float = eqx.field(static=True, default=float("inf"))

    def __check_init__(self):
        require(not isinstance(self.nu, (int, float)) or self.nu > 0, "nu", "a diffusivity > 0", self.nu)
        require(self.dimension in (1, 2, 3), "dimension", "1, 2 or 3", self.dimension)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,) * self.dimension

    @property
    def fastest(self) -> float:
        return 0.0

    def speed(self, u: Float[Array, "*grid 1"], grid: Grid) -> Float[Array, ""]:
        return jnp.zeros((), u.dtype)

    def linear(self, u: AbstractField) -> AbstractField:
        return self.nu * laplacian(u, *("x", "y", "z")[: self.dimension])

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return 0.0 * u
