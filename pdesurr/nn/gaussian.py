"""A Gaussian on n numbers with a covariance that is diagonal plus low rank."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class LowRankGaussian(eqx.Module):
    """N(mean, diag(deviation^2) + factors factors^T) on n numbers, by Woodbury's formula and the determinant lemma: O(n rank^2)."""

    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]
    factors: Float[Array, "n rank"]

    @property
    def marginal(self) -> Float[Array, " n"]:
        """The standard deviation of each number."""
        return jnp.sqrt(self.deviation**2 + jnp.sum(self.factors**2, axis=-1))

    def log_density(self, v: Float[Array, " n"]) -> Float[Array, ""]:
        scaled = self.factors / self.deviation[:, None]
        gap = (v - self.mean) / self.deviation
        inner = jnp.eye(self.factors.shape[-1], dtype=v.dtype) + jnp.matmul(scaled.T, scaled, precision="highest")
        chol = jnp.linalg.cholesky(inner)
        part = jax.scipy.linalg.solve_triangular(chol, jnp.matmul(scaled.T, gap, precision="highest"), lower=True)
        squares = jnp.sum(gap**2) - jnp.sum(part**2)
        log_determinant = 2 * (jnp.sum(jnp.log(self.deviation)) + jnp.sum(jnp.log(jnp.diagonal(chol))))
        return -0.5 * (squares + log_determinant + v.size * jnp.log(2 * jnp.pi).astype(v.dtype))
