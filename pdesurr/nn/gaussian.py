"""A Gaussian on n numbers with a covariance that is diagonal plus low rank."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class LowRankGaussian(eqx.Module):
    """N(mean, diag(deviation^2) + factors factors^T) on n numbers, by a QR factorisation of the scaled factors: O(n rank^2)."""

    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]
    factors: Float[Array, "n rank"]

    @property
    def marginal(self) -> Float[Array, " n"]:
        """The standard deviation of each number."""
        return jnp.sqrt(self.deviation**2 + jnp.sum(self.factors**2, axis=-1))

    def rescaled(self, factor: float | Float[Array, ""]) -> "LowRankGaussian":
        """All deviations times `factor`."""
        return LowRankGaussian(self.mean, self.deviation * factor, self.factors * factor)

    def log_density(self, v: Float[Array, " n"]) -> Float[Array, ""]:
        gap, log_determinant = (v - self.mean) / self.deviation, 2 * jnp.sum(jnp.log(self.deviation))
        rank = self.factors.shape[-1]
        if rank:  # I + S^T S = R^T R without squaring S, which may be large: deviations are small where factors hold the variance
            stacked = jnp.concatenate([self.factors / self.deviation[:, None], jnp.eye(rank, dtype=v.dtype)])
            q, r = jnp.linalg.qr(stacked)
            gap = jnp.concatenate([gap, jnp.zeros(rank, v.dtype)])
            gap = gap - jnp.matmul(q, jnp.matmul(q.T, gap, precision="highest"), precision="highest")
            log_determinant = log_determinant + 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(r))))
        squares = jnp.sum(gap**2)
        return -0.5 * (squares + log_determinant + v.size * jnp.log(2 * jnp.pi).astype(v.dtype))
