"""The Chebyshev basis: smooth functions between walls, whatever they do there."""

from functools import lru_cache

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractSpectralBasis, along, by_parts, check_interval, check_order, matrix_along, truncate


class ChebyshevBasis(AbstractSpectralBasis):
    """u(x) = sum_{k<n} u_hat_k T_k(s), s = 2 (x - lower) / L - 1, on the Gauss-Lobatto nodes s_j = -cos(pi j / (n-1)), ascending.

    Both walls are nodes. Coefficients of an analytic function fall exponentially, with no condition at the walls. Weights are
    Clenshaw and Curtis' (exact for degrees below n). The T_k are not orthogonal in plain L2: norms go through their Gram
    matrix. Each derivative multiplies rounding errors by up to n^2: of exp(x) on (-1, 1) in float32 the first is off by 1e-6, 7e-5
    and 1e-3 of its maximum at 16, 32 and 128 nodes, the second by 4e-5, 0.03 and 6; in float64 it is 1e-8 there. Differentiate
    twice in float64.
    Source: Trefethen, Spectral Methods in MATLAB (2000), chapters 6, 8 and 12.
    """

    n: int = eqx.field(static=True)
    lower: float = eqx.field(static=True, default=-1.0)
    upper: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        check_interval(self.n, self.lower, self.upper)

    @property
    def periodic(self) -> bool:
        return False

    @property
    def nodes(self) -> Float[np.ndarray, " n"]:
        angle = np.pi * (2 * np.arange(self.n) - (self.n - 1)) / (2 * (self.n - 1))
        nodes = (self.lower + self.upper) / 2 + self.length / 2 * np.sin(angle)
        nodes[[0, -1]] = self.lower, self.upper
        return nodes

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        weights = self.length * np.fft.irfft(_integrals(self.n), n=2 * (self.n - 1))[: self.n]
        weights[[0, -1]] /= 2
        return weights

    @property
    def nyquist(self) -> float:
        return float(self.n - 1)

    @property
    def gram(self) -> Float[np.ndarray, "n n"]:
        """G_jk, the integral of T_j T_k over the interval: (L / 2) (I(j + k) + I(|j - k|)) / 2, I(m) that of T_m over (-1, 1)."""
        j = np.arange(self.n)
        table = _integrals(2 * self.n)
        return self.length / 4 * (table[j[:, None] + j] + table[np.abs(j[:, None] - j)])

    def differentiation_matrix(self, order: int = 1) -> Float[np.ndarray, "n n"]:
        """Values at the nodes to values of the `order`-th derivative there. Host float64; rows sum to zero (the negative-sum
        trick), which keeps rounding errors small. Source: Baltensperger and Trummer, SIAM J. Sci. Comput. 24 (2003)."""
        check_order(order)
        return _differentiation_matrix(self.n, order) * (2 / self.length) ** order

    def indices(self, half: bool = False) -> Int[np.ndarray, " n"]:
        return np.arange(self.n)

    def transform(self, u: Array, axis: int) -> Array:
        return by_parts(lambda v: self._transform(v, axis), u)

    def inverse(self, u_hat: Array, axis: int, half: bool = False) -> Array:
        return by_parts(lambda v: self._values(v, axis), u_hat)

    def derivative_hat(self, u_hat: Array | np.ndarray, axis: int, order: int, half: bool = False) -> Array:
        """By the recurrence c'_{k-1} = c'_{k+1} + 2 k c_k (half of that for c'_0), as a cumulative sum from above."""
        check_order(order)
        c = jnp.moveaxis(jnp.asarray(u_hat), axis, 0)
        for _ in range(order):
            c = self._slope(c)
        return jnp.moveaxis(c, 0, axis)

    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        return self.inverse(self.derivative_hat(self.transform(u, axis), axis, order), axis)

    def orthonormal(self, u_hat: Array, axis: int, half: bool = False) -> Array:
        return matrix_along(np.linalg.cholesky(self.gram).T, u_hat, axis)

    def resample(self, u_hat: Array, axis: int, half: bool, n: int) -> Array:
        require(n >= 2, "n", "a number of nodes >= 2", n)
        return truncate(u_hat, axis, n)

    def functions(self, x: Float[Array, " p"], half: bool = False) -> Float[Array, "p n"]:
        """T_k(x) by the three-term recurrence, whose derivatives are finite at the walls too."""
        s = 2 / self.length * (x - float(self.lower)) - 1

        def step(pair: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            return (pair[1], 2 * s * pair[1] - pair[0]), pair[0]

        return lax.scan(step, (jnp.ones_like(s), s), length=self.n)[1].T

    def with_n(self, n: int) -> "ChebyshevBasis":
        return ChebyshevBasis(n, self.lower, self.upper)

    # u(cos(theta)) = sum_k u_hat_k cos(k theta): an even, periodic function of theta. Ascending nodes have theta descending.

    def _transform(self, u: Array, axis: int) -> Array:
        u = jnp.flip(u, axis)
        even = jnp.concatenate([u, jnp.flip(lax.slice_in_dim(u, 1, self.n - 1, axis=axis), axis)], axis)
        modes = jnp.real(jnp.fft.rfft(even, axis=axis, norm="forward"))
        return modes * along(self._twice(), axis, u.ndim).astype(modes.dtype)

    def _values(self, u_hat: Array, axis: int) -> Array:
        modes = u_hat / along(self._twice(), axis, u_hat.ndim).astype(u_hat.dtype)
        even = jnp.fft.irfft(lax.complex(modes, jnp.zeros_like(modes)), n=2 * (self.n - 1), axis=axis, norm="forward")
        return jnp.flip(lax.slice_in_dim(even, 0, self.n, axis=axis), axis)

    def _twice(self) -> np.ndarray:
        twice = np.full(self.n, 2.0)
        twice[[0, -1]] = 1.0
        return twice

    def _slope(self, c: Array) -> Array:
        """Coefficients of the first derivative; their axis is the first one."""
        scaled = c * along(4 / self.length * np.arange(self.n), 0, c.ndim).astype(c.dtype)
        shifted = truncate(scaled[1:], 0, self.n + self.n % 2)
        sums = lax.cumsum(shifted.reshape(-1, 2, *c.shape[1:]), axis=0, reverse=True).reshape(-1, *c.shape[1:])[: self.n]
        return sums * along(np.where(np.arange(self.n) == 0, 0.5, 1.0), 0, c.ndim).astype(c.dtype)


def _integrals(n: int) -> np.ndarray:
    """Integrals of T_0 ... T_{n-1} over (-1, 1)."""
    k = np.arange(n)
    return np.where(k % 2 == 0, 2 / np.where(k % 2 == 0, 1.0 - k**2, 1.0), 0.0)


@lru_cache(maxsize=64)
def _differentiation_matrix(n: int, order: int) -> np.ndarray:
    """On (-1, 1). Differences of nodes by a product of sines; higher orders by the recurrence D^m_ij = m / (s_i - s_j)
    (w_j / w_i D^(m-1)_ii - D^(m-1)_ij), w the barycentric weights. Source: Weideman and Reddy, ACM TOMS 26 (2000), eq. 8-10."""
    theta = np.pi * np.arange(n) / (n - 1)
    gaps = -2 * np.sin((theta[:, None] + theta) / 2) * np.sin((theta - theta[:, None]) / 2)
    np.fill_diagonal(gaps, 1.0)
    w = (-1.0) ** np.arange(n)
    w[[0, -1]] /= 2
    matrix = np.eye(n)
    for m in range(1, order + 1):
        matrix = m / gaps * (w[None, :] / w[:, None] * np.diag(matrix)[:, None] - matrix)
        np.fill_diagonal(matrix, 0.0)
        np.fill_diagonal(matrix, -matrix.sum(axis=1))
    matrix.setflags(write=False)
    return matrix
