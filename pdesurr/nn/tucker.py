"""Weights held as a Tucker product, for layers that may have fewer numbers than entries."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.types import Key


class Tucker(eqx.Module):
    """W[i1 ... id] = sum_r G[r1 ... rd] U1[i1, r1] ... Ud[id, rd]: `weight()` gives the array.

    `rank` in (0, 1] is about the share of the full array's numbers that the core keeps: each axis of more than two entries keeps
    rank^(1/m) of them, m the number of such axes. Entries are normal at first, of the given standard deviation. Source: Kossaifi et
    al., Multi-Grid Tensorized Fourier Neural Operator (arXiv 2310.00120).
    """

    core: Float[Array, "..."]
    factors: tuple[Float[Array, "n r"] | None, ...]

    def __init__(self, shape: tuple[int, ...], rank: float, deviation: float, *, key: Key):
        require(0 < rank <= 1, "rank", "a share in (0, 1]", rank)
        share = rank ** (1 / max(1, sum(n > 2 for n in shape)))
        ranks = tuple(max(1, round(share * n)) if n > 2 else n for n in shape)
        key_core, *keys = jax.random.split(key, len(shape) + 1)
        self.core = deviation * jax.random.normal(key_core, ranks)
        self.factors = tuple(None if n <= 2 else jax.random.normal(k, (n, r)) / math.sqrt(r)
                             for n, r, k in zip(shape, ranks, keys, strict=True))

    def __call__(self) -> Float[Array, "..."]:
        w = self.core
        for axis, factor in enumerate(self.factors):
            if factor is not None:
                w = jnp.moveaxis(jnp.tensordot(factor, w, ((1,), (axis,))), 0, axis)
        return w
