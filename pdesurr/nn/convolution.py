"""Convolutions of channel-last values in any number of axes that know what a function does at the ends of each axis."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import CosineBasis, FourierBasis, Grid, UniformBasis
from pdesurr.types import Key

ENDS = ("periodic", "dirichlet", "neumann")


def paddings(grid: Grid, boundary: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """How `jnp.pad` continues a function past each axis's ends: "wrap" where it is periodic, "constant" (zero) where it vanishes,
    and where its slope vanishes "symmetric" if the wall is half a step from the last node, "reflect" if it is that node.

    `boundary` says "periodic", "dirichlet" or "neumann" per axis; without it Fourier axes are periodic, cosine axes have no slope
    at the ends and every other function is taken to vanish there. Raises `UsageError` for another word or number of axes.
    """
    if boundary is None:
        kinds = {FourierBasis: "periodic", CosineBasis: "neumann"}
        boundary = tuple(kinds.get(type(b), "dirichlet") for b in grid.bases)
    require(len(boundary) == grid.ndim and set(boundary) <= set(ENDS), "boundary", f"one of {', '.join(ENDS)} for each axis", boundary)
    modes = {"periodic": "wrap", "dirichlet": "constant"}
    return tuple(modes.get(end) or ("symmetric" if _cells(b) else "reflect") for end, b in zip(boundary, grid.bases, strict=True))


def _cells(basis: Any) -> bool:
    return isinstance(basis, CosineBasis) or (isinstance(basis, UniformBasis) and basis.ends == "cells")


def uniform_kernel(shape: tuple[int, ...], in_channels: int, out_channels: int, key: Key) -> Float[Array, "*size in out"]:
    """Uniform(+-1/sqrt(number of inputs to one output)) at first."""
    bound = (in_channels * math.prod(shape)) ** -0.5
    return jax.random.uniform(key, (*shape, in_channels, out_channels), minval=-bound, maxval=bound)


def convolve(v: Float[Array, "b *grid i"], kernel: Float[Array, "*size i o"], padding: tuple[str, ...],
             stride: int = 1) -> Float[Array, "b *coarse o"]:
    """A kernel of 3 nodes per axis, the axis continued by one node at each end; n nodes become ceil(n / stride)."""
    return _convolution(continued(v, padding), kernel, window_strides=(stride,) * len(padding), padding="VALID")


def refine(v: Float[Array, "b *coarse i"], kernel: Float[Array, "*size i o"], padding: tuple[str, ...]) -> Float[Array, "b *grid o"]:
    """The transpose of a stride of 2: each coarse node adds its kernel to the fine nodes about it. On an axis with a kernel of 4,
    n nodes become 2 n; with one of 3, 2 n - 1."""
    crop = [(-1, -1) if size == 3 else (0, 0) for size in kernel.shape[:-2]]
    one = (1,) * len(padding)
    return _convolution(continued(v, padding), kernel, window_strides=one, padding=crop, lhs_dilation=(2,) * len(padding))


def continued(v: Float[Array, "b *grid c"], padding: tuple[str, ...]) -> Float[Array, "b *more c"]:
    """One more node at each end of each axis, the axes in order."""
    for axis, mode in enumerate(padding, start=1):
        v = jnp.pad(v, [(1, 1) if i == axis else (0, 0) for i in range(v.ndim)], mode=mode)
    return v


def _convolution(v: Array, kernel: Array, **settings: Any) -> Array:
    axes = "xyzuvw"[: v.ndim - 2]
    return lax.conv_general_dilated(v, kernel.astype(v.dtype), dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"), **settings)
