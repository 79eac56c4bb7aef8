"""Laws of a positive coefficient a(x) on the unit square, for diffusion in random media."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import CosineBasis, GaussianRandomField, Grid, lognormal, threshold
from pdesurr.pdes._law import AbstractLaw
from pdesurr.types import Key


class AbstractCoefficient(AbstractLaw):
    """The law of a coefficient that is positive everywhere."""


class AbstractGaussianCoefficient(AbstractCoefficient):
    """A function of a field N(0, (-Lap + tau^2)^-gamma), Neumann walls, without its mean, of `modes` cosines an axis."""

    tau: eqx.AbstractVar[float]
    gamma: eqx.AbstractVar[float]
    modes: eqx.AbstractVar[int]

    def __check_init__(self):
        require(self.gamma > 1, "gamma", "a smoothness > 1, so that the field has pointwise values", self.gamma)
        require(self.modes >= 2, "modes", "a number of cosines >= 2", self.modes)

    def law(self, grid: Grid) -> GaussianRandomField:
        cosines = Grid([CosineBasis(self.modes, b.lower, b.upper) for b in grid.bases])
        return GaussianRandomField(cosines, 1.0, self.tau, self.gamma, zero_mean=True)

    def field(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        law = self.law(grid)
        return law.grid.interpolate(law.coefficients(key), grid)


class PiecewiseConstant(AbstractGaussianCoefficient):
    """`high` where the Gaussian field is >= 0, `low` elsewhere.

    3 and 12 are those of Li et al., ICLR 2021, and Kovachki et al., JMLR 24(89), section 6.3; the authors' released script has 4 and
    12; the "rough" set of MgNO (He et al., ICLR 2024) 2 and 12 with tau = 5.
    """

    low: float = eqx.field(static=True, default=3.0)
    high: float = eqx.field(static=True, default=12.0)
    tau: float = eqx.field(static=True, default=3.0)
    gamma: float = eqx.field(static=True, default=2.0)
    modes: int = eqx.field(static=True, default=256)

    def __check_init__(self):
        for name in ("low", "high"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, name, "a coefficient > 0", value)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        return threshold(self.field(key, grid), self.low, self.high)


class LogNormal(AbstractGaussianCoefficient):
    """exp(scale g), g the Gaussian field at a root mean square of 1: `scale` = 1 has a contrast of about 100, 2 of 10 000."""

    scale: float = eqx.field(static=True, default=1.0)
    tau: float = eqx.field(static=True, default=3.0)
    gamma: float = eqx.field(static=True, default=2.0)
    modes: int = eqx.field(static=True, default=256)

    def __check_init__(self):
        require(math.isfinite(self.scale) and self.scale > 0, "scale", "a number > 0", self.scale)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        deviation = self.law(grid).mean_square ** 0.5
        return lognormal(self.field(key, grid), self.scale / deviation)


class Trigonometric(AbstractCoefficient):
    """prod_{k=1..scales} (1 + cos(c_k pi (x + y)) / 2) (1 + sin(c_k pi (y - 3 x)) / 2), c_k uniform in (2^(k-1), 1.5 2^(k-1)): the
    multiscale coefficient of MgNO (He et al., ICLR 2024), with six scales. Its finest wave needs some 256 nodes an axis."""

    scales: int = eqx.field(static=True, default=6)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes, jnp.result_type(float)), -1, 0)
        k = 2.0 ** jnp.arange(self.scales)
        c = k * (1 + jax.random.uniform(key, (self.scales,), jnp.float32).astype(k.dtype) / 2)
        waves = [(1 + jnp.cos(ck * jnp.pi * (x + y)) / 2) * (1 + jnp.sin(ck * jnp.pi * (y - 3 * x)) / 2) for ck in c]
        return jnp.prod(jnp.stack(waves), axis=0)
