"""The prior that most equations here share: a Gaussian random field for each component."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import GaussianRandomField, Grid
from pdesurr.pdes._periodic import AbstractPeriodicEvolution
from pdesurr.types import Key


class AbstractGaussianStart(AbstractPeriodicEvolution):
    """Every component starts at an independent draw of N(0, sigma^2 (-Lap + tau^2)^-gamma) without its mean."""

    sigma: eqx.AbstractVar[float]
    tau: eqx.AbstractVar[float]
    gamma: eqx.AbstractVar[float]

    def prior(self, grid: Grid) -> GaussianRandomField:
        """The law of one component."""
        return GaussianRandomField(grid, self.sigma, self.tau, self.gamma, zero_mean=True)

    @property
    def deviation(self) -> float:
        """The prior's standard deviation, the same at every point."""
        return self.prior(self.grid(64)).mean_square ** 0.5

    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid c"]:
        count = len(self.components)
        keys = [key] if count == 1 else list(jax.random.split(key, count))
        return jnp.concatenate([self.prior(grid)(k) for k in keys], axis=-1)
