"""Linear advection."""

import equinox as eqx
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, d
from pdesurr.pdes._periodic import AbstractExactStep
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart


class Advection(AbstractExactStep, AbstractRandomStart):
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
    prior: AbstractStart = GaussianStart(49.0, 7.0, 2.5)
    largest_step: float = eqx.field(static=True, default=1.0)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,)

    def linear(self, u: AbstractField) -> AbstractField:
        return -self.velocity * d(u, "x")
