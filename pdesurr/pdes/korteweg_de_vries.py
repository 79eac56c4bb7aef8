"""The Korteweg-de Vries equation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart


class KortewegDeVries(AbstractRandomStart):
    """u_t + u u_x + delta^2 u_xxx = 0 on (0, length), periodic; the map u(., 0) -> u(., horizon).

    delta = 0.022 on (0, 2) is the problem of Zabusky and Kruskal, Phys. Rev. Lett. 15 (1965), whose solitons

        u = 3 c sech^2(sqrt(c) (x - c t - x_0) / (2 delta))

    pass through each other. Conserved: the integrals of u, of u^2, and of u^3 / 3 - delta^2 u_x^2. Prior: N(0, sigma^2 (-d_xx +
    tau^2)^-gamma) without mean, of standard deviation 0.34.
    Good values: 256 to 512 nodes. The symbol is imaginary: schemes that keep real parts of their coefficients fall to order one.
    """

    delta: float | Float[Array, ""] = 0.022
    length: float = eqx.field(static=True, default=2.0)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(64.0, 5.0, 3.0)
    largest_step: float = eqx.field(static=True, default=5e-4)

    def __check_init__(self):
        require_numbers(self, "delta")

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,)

    @property
    def fastest(self) -> float:
        return 10 * self.deviation  # a soliton train is up to twice as high as the start's highest crest, five deviations

    def speed(self, u: Float[Array, "n 1"], grid: Grid) -> Float[Array, ""]:
        return jnp.max(jnp.abs(u))

    def linear(self, u: AbstractField) -> AbstractField:
        return -(self.delta**2) * d(u, "x", 3)

    def nonlinear(self, u: AbstractField) -> AbstractField:
        return -d(u * u / 2, "x")
