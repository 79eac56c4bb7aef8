"""Stream functions of flow in a closed square under a moving lid, in a basis that vanishes with its slope at the walls.

Source: Trefethen, Spectral Methods in MATLAB (2000), program 38.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from pdesurr.fields import ChebyshevBasis, Grid


class LidStream:
    """psi = phi + lid(x) y^2 (y - 1) on (0, 1)^2: psi is zero on the walls, its slope too but for psi_y = lid at y = 1. phi are values at
    the inner Chebyshev nodes of `grid`, `(n - 2, m - 2)`; the lid must vanish with its slope at the corners."""

    def __init__(self, grid: Grid):
        first, second = grid.shape
        self.bases, self.x = grid.bases, clamped(first)
        self.y = self.x if second == first else clamped(second)
        h = np.asarray(grid.bases[1].nodes)[1:-1]
        self.lift = (h**2 * (h - 1), 3 * h**2 - 2 * h, 6 * h - 2, np.full_like(h, 6.0))

    def part(self, phi: Float[Array, "n m"], lid: Float[Array, " n"], i: int, j: int) -> Float[Array, "n m"]:
        """The derivative of psi of order i along x and j along y, for the lid's velocity at the inner nodes."""
        left = jnp.matmul(jnp.asarray(self.x[i]), phi, precision="highest") if i else phi
        both = jnp.matmul(left, jnp.asarray(self.y[j]).T, precision="highest") if j else left
        along = jnp.asarray(self.x[i]) @ lid if i else lid
        return both + (along[:, None] * jnp.asarray(self.lift[j])[None, :] if j < 4 else 0.0)

    def vorticity(self, phi: Float[Array, "n m"], lid: Float[Array, " n"]) -> Float[Array, "n m"]:
        """w = -Lap psi."""
        return -self.part(phi, lid, 2, 0) - self.part(phi, lid, 0, 2)

    def advection(self, phi: Float[Array, "n m"], lid: Float[Array, " n"]) -> Float[Array, "n m"]:
        """u . grad w."""
        w_x, w_y = (-self.part(phi, lid, 3 - k, k) - self.part(phi, lid, 1 - k, 2 + k) for k in (0, 1))
        return self.part(phi, lid, 0, 1) * w_x - self.part(phi, lid, 1, 0) * w_y

    def diffusion(self, phi: Float[Array, "n m"], lid: Float[Array, " n"]) -> Float[Array, "n m"]:
        """Lap w."""
        return -self.part(phi, lid, 4, 0) - 2 * self.part(phi, lid, 2, 2) - self.part(phi, lid, 0, 4)

    def velocity_parts(self, phi: Float[Array, "n m"], lid: Float[Array, " n"], i: int, j: int) -> tuple[Array, Array]:
        """The derivatives of that order of (u, v) = (psi_y, -psi_x)."""
        return self.part(phi, lid, i, j + 1), -self.part(phi, lid, i + 1, j)

    def potential(self, along_x: Float[Array, "n m"], along_y: Float[Array, "n m"]) -> Float[Array, "all both"]:
        """p at all nodes, zero at the corner (0, 0), whose gradient at the inner nodes is nearest to that, of two degrees less than psi, so
        that the constant alone has no gradient."""
        (v, dv), (h, dh) = (_powers(b) for b in self.bases)
        gradient = np.concatenate([np.kron(dv[1:-1], h[1:-1]), np.kron(v[1:-1], dh[1:-1])])
        given = jnp.concatenate([along_x.ravel(), along_y.ravel()])
        found = (np.linalg.pinv(gradient) @ given).reshape(v.shape[1], h.shape[1])
        p = v @ found @ h.T
        return p - p[0, 0]

    def whole(self, phi: Float[Array, "n m"], lid: Float[Array, " n"]) -> Float[Array, "all both"]:
        """psi at all nodes."""
        return jnp.pad(self.part(phi, lid, 0, 0), 1)


def _powers(basis: Any) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev polynomials, two fewer than nodes, and their slopes at the nodes."""
    s, scale = 2 * (np.asarray(basis.nodes) - basis.lower) / basis.length - 1, 2 / basis.length
    v = chebyshev.chebvander(s, basis.n - 3)
    return v, scale * np.stack([chebyshev.chebval(s, chebyshev.chebder(e)) for e in np.eye(basis.n - 2)], axis=-1)


class Clamped(NamedTuple):
    """Matrices of derivatives 0 to 4 on (0, 1) at the inner nodes of functions that vanish with their slope at both ends."""

    zero: np.ndarray
    one: np.ndarray
    two: np.ndarray
    three: np.ndarray
    four: np.ndarray


def clamped(n: int) -> Clamped:
    """Of p = (1 - s^2) q, q = 0 at the ends: p^(k) = (1 - s^2) q^(k) - 2 k s q^(k-1) - k (k - 1) q^(k-2)."""
    basis = ChebyshevBasis(n)
    s = basis.nodes[1:-1, None]
    q = [basis.differentiation_matrix(k)[1:-1, 1:-1] if k else np.eye(n - 2) for k in range(5)]
    zero = np.zeros_like(q[0])
    of = lambda k: q[k] if k >= 0 else zero  # noqa: E731
    p = [((1 - s**2) * of(k) - 2 * k * s * of(k - 1) - k * (k - 1) * of(k - 2)) / (1 - s.T**2) * 2.0**k for k in range(5)]
    return Clamped(*p)
