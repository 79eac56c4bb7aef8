"""A matrix for every mode of any spectral basis, by real matrix products: no FFT, no complex number."""

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.fields import Grid
from pdesurr.fields._basis import AbstractSpectralBasis
from pdesurr.types import Key

_EXACT = lax.Precision.HIGHEST  # a transform in TF32 would cost 3e-4


class ModeMixing(eqx.Module):
    """u_hat_m = W_m v_hat_m for every mode m of a product grid: a real matrix for each real coefficient.

    `weight`: `(*modes, out, in)`. On a Fourier axis the coefficients are those of cosines and sines, of which each has a matrix of its
    own: more general than a convolution. Initially normal, variance 1 / (in + out). Values `(in, batch, *grid)` to `(out, batch, *grid)`.
    Source: Du, Chalapathi and Krishnapriyan (ICLR 2024, arXiv 2312.05225), section 3.
    """

    weight: Float[Array, "*modes out in"]

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], *, key: Key):
        scale = (in_channels + out_channels) ** -0.5
        self.weight = scale * jax.random.normal(key, (*modes, out_channels, in_channels))

    def __call__(self, v: Float[Array, "in batch *grid"], grid: Grid) -> Float[Array, "out batch *grid"]:
        pairs = [real_matrices(grid.spectral_basis(i)) for i in range(grid.ndim)]
        for analysis, _ in reversed(pairs):  # each new axis becomes the first: (*modes, in, batch) in the end
            v = lax.dot_general(jnp.asarray(analysis, v.dtype), v, (((1,), (v.ndim - 1,)), ((), ())), precision=_EXACT)
        modes, out = v.shape[: grid.ndim], self.weight.shape[-2]
        weight = self.weight.reshape(-1, *self.weight.shape[-2:]).astype(v.dtype)
        u = lax.dot_general(weight, v.reshape(-1, *v.shape[-2:]), (((2,), (1,)), ((0,), (0,)))).reshape(*modes, out, v.shape[-1])
        for _, synthesis in pairs:  # and the first the last
            u = lax.dot_general(u, jnp.asarray(synthesis, u.dtype), (((0,), (1,)), ((), ())), precision=_EXACT)
        return u


@lru_cache(maxsize=64)
def real_matrices(basis: AbstractSpectralBasis) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "n m"]]:
    """Values at the nodes to real coefficients, and back. Host float64."""
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        table = np.asarray(basis.functions(jnp.asarray(basis.nodes), True))
    if np.iscomplexobj(table):
        cosines, sines = np.real(table), np.imag(table)
        table = np.concatenate([cosines, sines[:, np.abs(sines).max(axis=0) > 1e-6]], axis=1)
    return np.linalg.inv(table), table
