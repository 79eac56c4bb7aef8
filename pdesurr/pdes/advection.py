"""Linear advection."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d
from pdesurr.pdes._prior import AbstractGaussianStart


class Advection(AbstractGaussianStart):
    """u_t + velocity u_x = 0 on (0, length), periodic; the map u(., 0) -> u(., horizon) is a shift by velocity * horizon.

    Exact in one step: the equation is linear, and an exponential scheme is then the exact solution. Every norm is conserved.
    Prior: N(0, sigma^2 (-d_xx + tau^2)^-gamma) without mean, of standard deviation 0.274.
    """

    velocity: float | Float[Array, ""] = 1.0
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=0.5)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    sigma: float = eqx.field(static=True, default=49.0)
    tau: float = eqx.field(static=True, default=7.0)
    gamma: float = eqx.field(static=True, default=2.5)
    largest_step: float = eqx.field(static=True, default=float("inf"))

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,)

    @property
    def fastest(self) -> float:
        return 0.0

    def speed(self, u: Float[Array, "n 1"], grid: Grid) -> Float[Array, ""]:
        return jnp.zeros((), u.dtype)

    def linear(self, u: AbstractField) -> AbstractField:
        return -self.velocity * d(u, "x")

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return 0.0 * u
