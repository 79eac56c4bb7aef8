"""The heat equation."""

import equinox as eqx
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._periodic import AbstractExactStep
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart


class Heat(AbstractExactStep, AbstractRandomStart):
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
    prior: AbstractStart = GaussianStart(49.0, 7.0, 2.5)
    largest_step: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        require_numbers(self, "nu")
        require(self.dimension in (1, 2, 3), "dimension", "1, 2 or 3", self.dimension)

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,) * self.dimension

    def linear(self, u: AbstractField) -> AbstractField:
        return self.nu * laplacian(u, *("x", "y", "z")[: self.dimension])
