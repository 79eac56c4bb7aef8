"""The Allen-Cahn equation."""

import equinox as eqx
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._periodic import AbstractUnadvected
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart


class AllenCahn(AbstractUnadvected, AbstractRandomStart):
    """u_t = epsilon Lap u + rate (u - u^3) on (-length / 2, length / 2)^dimension, periodic; the map u(., 0) -> u(., horizon).

    The gradient flow of the energy int epsilon |grad u|^2 / 2 + rate (u^2 - 1)^2 / 4, which falls. Solutions settle at -1 and 1 with
    layers of width sqrt(epsilon / rate) between them. The defaults are the physics-informed benchmark's: epsilon = 1e-4, rate = 5 on
    (-1, 1), horizon 1. Its own start x^2 cos(pi x) has a kink at the seam, so that 512 Fourier modes reach 1.2e-5 only.
    Prior: N(0, sigma^2 (-Lap + tau^2)^-gamma) without mean. Good values: 512 nodes for epsilon = 1e-4, 256 for 1e-3.
    """

    epsilon: float | Float[Array, ""] = 1e-4
    rate: float | Float[Array, ""] = 5.0
    dimension: int = eqx.field(static=True, default=1)
    length: float = eqx.field(static=True, default=2.0)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(64.0, 5.0, 3.0)
    largest_step: float = eqx.field(static=True, default=0.01)

    def __check_init__(self):
        require_numbers(self, "epsilon", "rate")
        require(self.dimension in (1, 2, 3), "dimension", "1, 2 or 3", self.dimension)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,) * self.dimension

    def linear(self, u: AbstractField) -> AbstractField:
        return self.epsilon * laplacian(u, *("x", "y", "z")[: self.dimension])

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return self.rate * (u - u * u * u)
