"""Convolutions of channel-last values in any number of axes that know what a function does at the ends of each axis."""

import functools
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import CosineBasis, FourierBasis, Grid, UniformBasis
from pdesurr.fields.split import Split, halo
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


def convolve(v: Float[Array, "b *grid i"], kernel: Float[Array, "*size i o"], padding: tuple[str, ...], stride: int = 1,
             split: Split | None = None) -> Float[Array, "b *coarse o"]:
    """A kernel of 3 nodes per axis, the axis continued by one node at each end; n nodes become ceil(n / stride). With a `split`, v is this
    device's slice of the grid, and so is the result."""
    v = continued(v, padding, split)
    return _strided(v, kernel, stride) if stride > 1 else _convolution(v, kernel, window_strides=(1,) * len(padding), padding="VALID")


def refine(v: Float[Array, "b *coarse i"], kernel: Float[Array, "*size i o"], padding: tuple[str, ...]) -> Float[Array, "b *grid o"]:
    """The transpose of a stride of 2: each coarse node adds its kernel to the fine nodes about it. On an axis with a kernel of 4,
    n nodes become 2 n; with one of 3, 2 n - 1.

    Fine nodes that are odd and even along the same axes take the same entries of the kernel: one plain convolution for each kind,
    which on a CPU is several times faster than the dilated one that they add up to.
    """
    coarse, fine = continued(v, padding), [2 * n - size % 2 for n, size in zip(v.shape[1:-1], kernel.shape, strict=False)]
    u = jnp.zeros((v.shape[0], *fine, kernel.shape[-1]), v.dtype)
    for odd in itertools.product((0, 1), repeat=len(fine)):
        part, entries, counts = coarse, kernel, [(n - i + 1) // 2 for n, i in zip(fine, odd, strict=True)]
        for axis, (i, count) in enumerate(zip(odd, counts, strict=True)):
            shift = i + kernel.shape[axis] % 2  # fine node m meets coarse node (m + its kernel's entry + that size % 2) / 2
            entries = lax.slice_in_dim(entries, shift % 2, None, 2, axis)
            first = (shift + 1) // 2
            part = lax.slice_in_dim(part, first, first + count + entries.shape[axis] - 1, axis=axis + 1)
        part = _convolution(part, entries, window_strides=(1,) * len(fine), padding="VALID")
        places = [(i, n - i - 2 * count + 1, 1) for i, n, count in zip(odd, fine, counts, strict=True)]
        u = u + lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *places, (0, 0, 0)])
    return u


def continued(v: Float[Array, "b *grid c"], padding: tuple[str, ...], split: Split | None = None) -> Float[Array, "b *more c"]:
    """One more node at each end of each axis, the axes in order; of a split axis, which must be periodic, the neighbours'."""
    for axis, mode in enumerate(padding, start=1):
        if split is not None and axis == 1:
            require(mode == "wrap", "grid", "a periodic first axis, to be split", mode)
            v = halo(v, 1, 1, split)
            continue
        v = jnp.pad(v, [(1, 1) if i == axis else (0, 0) for i in range(v.ndim)], mode=mode)
    return v


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _strided(v: Array, kernel: Array, stride: int) -> Array:
    """The convolution that keeps every `stride`-th node. Its derivatives are sums of plain convolutions, one for each kind of node: on a
    CPU the transposes of a strided one take XLA longer (`experiments/benchmarks/convolutions.py`)."""
    return _convolution(v, kernel, window_strides=(stride,) * (v.ndim - 2), padding="VALID")


@functools.partial(_strided.defjvp, symbolic_zeros=True)
def _strided_jvp(stride: int, values: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    v, kernel = values
    u = _strided(v, kernel, stride)
    products = ((tangents[0], kernel), (v, tangents[1]))
    moved = [_by_kinds(*pair, stride) for pair in products if not any(isinstance(part, SymbolicZero) for part in pair)]
    return u, functools.reduce(jnp.add, moved, jnp.zeros_like(u))


def _by_kinds(v: Array, kernel: Array, stride: int) -> Array:
    """The same convolution: nodes that are alike modulo `stride` meet the same entries of the kernel."""
    axes, found = v.ndim - 2, []
    counts = [(n - size) // stride + 1 for n, size in zip(v.shape[1:-1], kernel.shape, strict=False)]
    for kind in itertools.product(range(stride), repeat=axes):
        part, entries = v, kernel
        for axis, (first, count) in enumerate(zip(kind, counts, strict=True)):
            entries = lax.slice_in_dim(entries, first, None, stride, axis)
            part = lax.slice_in_dim(part, first, first + stride * (count + entries.shape[axis] - 2) + 1, stride, axis + 1)
        found.append(_convolution(part, entries, window_strides=(1,) * axes, padding="VALID"))
    return functools.reduce(jnp.add, found)


def _convolution(v: Array, kernel: Array, **settings: Any) -> Array:
    axes = "xyzuvw"[: v.ndim - 2]
    return lax.conv_general_dilated(v, kernel.astype(v.dtype), dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"), **settings)
