"""Lap u + shift u = f between walls where u = 0, by fast diagonalisation: one axis at a time, exact to rounding.

Source: Haidvogel and Zang, J. Comput. Phys. 30 (1979); Lynch, Rice and Thomas, Numer. Math. 6 (1964).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractTrigonometricBasis, ChebyshevBasis, FourierBasis, Grid
from pdesurr.solvers.elliptic import Operator


def fast_helmholtz(grid: Grid, shift: Any = 0.0) -> Operator:
    """f `(*grid,)` -> u with Lap u + shift u = f at the nodes inside; n-dimensional, at the cost of two small matrix products an axis.

    On a Chebyshev axis u = 0 at both walls, where f is not read; a Fourier, sine or cosine axis has its basis' own condition. Where the
    operator has the constant in its null space (no walls, `shift` = 0) f's mean is ignored and u has none. Differentiable in f and
    `shift`. `shift` must stay off the spectrum: the answer is infinite there, and a caller that cannot exclude it must check.
    """
    kinds = (ChebyshevBasis, AbstractTrigonometricBasis)
    require(all(isinstance(b, kinds) for b in grid.bases), "grid", "a Chebyshev, Fourier, sine or cosine basis on every axis", grid)
    walled = [i for i, b in enumerate(grid.bases) if isinstance(b, ChebyshevBasis)]
    open_axes = sorted((i for i in reversed(range(grid.ndim)) if i not in walled), key=lambda i: isinstance(grid.bases[i], FourierBasis))
    modes = {i: dirichlet_modes(grid.shape[i]) for i in walled}
    parts = [modes[i][2] * (2 / b.length) ** 2 if i in walled else -(grid.spectral_basis(i).wavenumbers(grid.is_half(i)) ** 2)  # pyright: ignore
             for i, b in enumerate(grid.bases)]
    values = sum(np.reshape(v, [-1 if j == i else 1 for j in range(grid.ndim)]) for i, v in enumerate(parts))

    def solve(f: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        # A barrier, else XLA folds products of constants for seconds.
        pair = {i: [lax.optimization_barrier(jnp.asarray(m, f.dtype)) for m in modes[i][:2]] for i in walled}
        f = f[tuple(slice(1, -1) if i in walled else slice(None) for i in range(grid.ndim))]
        for i in walled:
            f = _product(pair[i][1], f, i)
        for i in open_axes:
            f = grid.spectral_basis(i).transform(f, i)
        total = jnp.asarray(values, jnp.finfo(f.dtype).dtype) + jnp.asarray(shift, jnp.finfo(f.dtype).dtype)
        zero = total == 0
        f = f * (jnp.where(zero, 0.0, 1.0) / jnp.where(zero, 1.0, total)).astype(f.dtype)
        for i in reversed(open_axes):
            f = grid.spectral_basis(i).inverse(f, i, grid.is_half(i))
        for i in walled:
            f = _product(pair[i][0], f, i)
        return jnp.pad(f, [(1, 1) if i in walled else (0, 0) for i in range(grid.ndim)])

    return solve


@functools.lru_cache(maxsize=64)
def dirichlet_modes(n: int) -> tuple[Float[np.ndarray, "m m"], Float[np.ndarray, "m m"], Float[np.ndarray, " m"]]:
    """Eigenvectors V (columns), V^-1 and eigenvalues of the second derivative on (-1, 1) at the n - 2 inner Chebyshev nodes, u = 0 at
    the walls. They are those of its inverse, the Green's matrix, whose entries are known to rounding: low modes then are too, where
    the differentiation matrix would lose n^4 roundings. Host float64."""
    require(n >= 4, "n", "at least 4 nodes on a Chebyshev axis", n)
    inverse_values, vectors = np.linalg.eig(green_matrix(n))
    order = np.argsort(np.real(inverse_values))
    vectors, values = np.real(vectors)[:, order], 1 / np.real(inverse_values)[order]
    return vectors, np.linalg.inv(vectors), values


@functools.lru_cache(maxsize=64)
def dirichlet_matrix(n: int) -> Float[np.ndarray, "m m"]:
    """The second derivative on (-1, 1) at the inner nodes of functions that vanish at the walls: the Green's matrix inverted. Its
    spectral radius is 0.047 n^4."""
    return np.linalg.inv(green_matrix(n))


def green_matrix(n: int) -> Float[np.ndarray, "m m"]:
    """f at the inner nodes -> u there, u'' = f on (-1, 1), u(+-1) = 0, exact for polynomials: f in Chebyshev polynomials of the second
    kind (orthogonal on these nodes), integrated twice, less the straight line through its ends."""
    m = n - 2
    j, k = np.arange(1, m + 1), np.arange(1, m + 1)
    theta = np.pi - np.pi * j / (n - 1)  # ascending nodes
    sines = np.sin(k[:, None] * theta)
    analyse = 2 / (n - 1) * sines * np.sin(theta)  # f = sum_k b_k U_{k-1}; the integral of U_{k-1} is T_k / k
    twice = np.zeros((n, m))  # the integral of T_k / k in T_0 ... T_{n-1}
    for i in range(m):
        twice[i + 2, i] = 1 / (2 * (i + 1) * (i + 2))
        if i > 0:
            twice[i, i] = -1 / (2 * (i + 1) * i)
    degree = np.arange(n)
    twice[0] -= twice[degree % 2 == 0].sum(axis=0)
    twice[1] -= twice[degree % 2 == 1].sum(axis=0)
    return np.cos(np.outer(theta, degree)) @ twice @ analyse


def _product(matrix: Array, v: Array, axis: int) -> Array:
    return jnp.moveaxis(lax.dot_general(matrix, v, (((1,), (axis,)), ((), ())), precision=jax.lax.Precision.HIGHEST), 0, axis)
