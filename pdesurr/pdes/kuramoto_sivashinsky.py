"""The Kuramoto-Sivashinsky equation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart


class KuramotoSivashinsky(AbstractRandomStart):
    """u_t + u u_x + u_xx + nu u_xxxx = 0 on (0, length), periodic; records at equal intervals, the first to the last.

    Chaotic from a length of about 22 (nu = 1) on; errors then grow by a factor e in some ten units of time, so that a horizon of
    50 is well within what float64 can follow. The mean is conserved. Modes with k^2 < 1 / nu grow at k^2 - nu k^4, and the
    advection hands their energy to shorter ones.
    Prior: N(0, sigma^2 (-d_xx + tau^2)^-gamma) without mean, of standard deviation 0.66. Good values: 2 nodes per unit length.
    """

    nu: float | Float[Array, ""] = 1.0
    length: float = eqx.field(static=True, default=64.0)
    horizon: float = eqx.field(static=True, default=20.0)
    intervals: int = eqx.field(static=True, default=20)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(0.5, 0.5, 2.0)
    largest_step: float = eqx.field(static=True, default=0.05)

    def __check_init__(self):
        require_numbers(self, "nu")

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,)

    @property
    def fastest(self) -> float:
        return max(5.0, 6 * self.deviation)  # on the attractor |u| stays below 4

    def speed(self, u: Float[Array, "n 1"], grid: Grid) -> Float[Array, ""]:
        return jnp.max(jnp.abs(u))

    def linear(self, u: AbstractField) -> AbstractField:
        return -d(u, "x", 2) - self.nu * d(u, "x", 4)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return -d(u * u / 2, "x")
