"""The Fourier neural operator, in any number of axes, on periodic and on bounded grids."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import is_number, require, require_counts
from pdesurr.fields import Grid
from pdesurr.fields.split import Split, local_shape
from pdesurr.nn.activation import gelu
from pdesurr.nn.pointwise import Pointwise, check_flags, coordinate_channels, once, only_on_grid, spread
from pdesurr.nn.spectral_conv import SpectralConv
from pdesurr.types import Key, Samples, batch_of_one


class Block(eqx.Module):
    """Spectral layer plus 1 x 1 bypass, then GELU; with `mlp`, also a channel MLP beside a gate per channel, then GELU. Without
    modes it has no spectral layer of its own and is given another block's."""

    spectral: SpectralConv | None
    bias: Float[Array, " width"]
    bypass: Pointwise
    mlp: tuple[Pointwise, Pointwise] | None
    gate: Float[Array, " width"] | None

    def __init__(self, width: int, modes: tuple[int, ...] | None, channel_mlp: float | None, rank: float | None, *, key: Key):
        keys = jax.random.split(key, 4)
        self.spectral = SpectralConv(width, width, modes, rank=rank, key=keys[0]) if modes is not None else None
        self.bias = jnp.zeros((width,))
        self.bypass = Pointwise(width, width, use_bias=False, key=keys[1])
        self.mlp, self.gate = None, None
        if channel_mlp is not None:
            hidden = round(width * channel_mlp)
            self.mlp = (Pointwise(width, hidden, key=keys[2]), Pointwise(hidden, width, key=keys[3]))
            self.gate = jnp.ones((width,))

    def __call__(self, v: Float[Array, "width points"], spectral: SpectralConv, grid: Grid, padding: float, spare: int,
                 last: bool, split: Split | None = None) -> Float[Array, "width points"]:
        shape = (*local_shape(grid, split)[:-1], grid.shape[-1] + spare)
        k = spectral(v.reshape(v.shape[0], -1, *shape), grid, padding=padding, bias=self.bias, spare=spare, split=split)
        u = once(k.reshape(v.shape) + self.bypass(v))
        u = u if last else once(gelu(u))
        if self.mlp is None or self.gate is None:
            return u
        u = once(self.mlp[1](once(gelu(once(self.mlp[0](u))))) + spread(self.gate.astype(v.dtype), v.shape[1]) * v)
        return u if last else once(gelu(u))


class FNO(eqx.Module):
    """u = Q (B_depth o ... o B_1) P a: lifting P and head Q act at each point, each block B is

        v -> gelu(K v + W v),    (K v)(x) = sum_k exp(2 pi i k.x) R_k v_k    over |k_i| < modes[i]

    (no GELU in the last block). `channel_mlp=r` adds, after that GELU, v -> gelu(M2 gelu(M1 u) + g * v) with r * width hidden
    channels and a gate g per channel, as in neuraloperator 2.0; with `lifting_width=2 * width` that is its default network.

    Shapes: values `(*grid, in_channels)` on `a.points`, to values `(*grid, out_channels)` on the same grid. Reads no
    `a.params`. Good values: modes 12-16, width 20-64, depth 4, head 128.
    `padding`: axes that are not periodic are continued by zero to (1 + padding) times their length inside each spectral layer.
    `coordinates`: per axis, whether (x - lower) / length is an extra input channel; None = on no axis, which keeps the model
    equivariant under shifts of a periodic grid. Between walls give it True.
    `lifting_width`: hidden width of a two-layer lifting; None = one linear layer.
    `remat`: a gradient keeps each block's input alone and computes the block's inside again: less memory for a third more work
    (on a CPU XLA undoes it).
    `shared`: one R for all blocks. `rank`: R as a Tucker product with about that share of its numbers (`pdesurr.nn.Tucker`).

    Any resolution of the same box may be used; where the input has content above `modes`, GELU aliases on coarse grids.
    Raises `UsageError` for a wrong channel count or shape, modes above the grid, or an `x` that is not the input's grid.
    Source: Li et al., ICLR 2021 (arXiv 2010.08895), equations 4-5; Kovachki et al., JMLR 24(89).
    """

    lifting: tuple[Pointwise, ...]
    blocks: tuple[Block, ...]
    head: tuple[Pointwise, Pointwise]
    in_channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    modes: tuple[int, ...] = eqx.field(static=True)
    padding: float = eqx.field(static=True)
    coordinates: tuple[bool, ...] = eqx.field(static=True)
    rank: float | None = eqx.field(static=True)
    remat: bool = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: tuple[int, ...],
        width: int,
        depth: int = 4,
        *,
        padding: float = 0.125,
        coordinates: tuple[bool, ...] | None = None,
        lifting_width: int | None = None,
        head_width: int = 128,
        channel_mlp: float | None = None,
        shared: bool = False,
        rank: float | None = None,
        remat: bool = False,
        key: Key,
    ):
        require_counts(in_channels=in_channels, out_channels=out_channels, width=width, depth=depth, head_width=head_width,
                       lifting_width=1 if lifting_width is None else lifting_width)
        require(isinstance(modes, tuple | list), "modes", "integers > 0, one per axis: (16,) on one, (12, 12) on two", modes)
        require(channel_mlp is None or (is_number(channel_mlp) and width * channel_mlp >= 1), "channel_mlp",
                f"None or a share of the width of {width} that is one channel at least", channel_mlp)
        keys = jax.random.split(key, depth + 4)
        coordinates = check_flags("coordinates", coordinates, len(modes))
        columns = in_channels + sum(coordinates)
        sizes = (columns, width) if lifting_width is None else (columns, lifting_width, width)
        self.lifting = tuple(Pointwise(i, o, key=k) for i, o, k in zip(sizes[:-1], sizes[1:], keys[-4:-2], strict=False))
        own = [tuple(modes)] + [None if shared else tuple(modes)] * (depth - 1)
        self.blocks = tuple(Block(width, m, channel_mlp, rank, key=k) for m, k in zip(own, keys[:depth], strict=True))
        self.head = (Pointwise(width, head_width, key=keys[-2]), Pointwise(head_width, out_channels, key=keys[-1]))
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, tuple(modes)
        self.padding, self.coordinates, self.rank, self.remat = float(padding), coordinates, rank, remat

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        mlp = self.blocks[0].mlp
        width = self.blocks[0].bias.shape[-1]
        return {"in_channels": self.in_channels, "out_channels": self.out_channels, "modes": list(self.modes), "width": width,
                "depth": len(self.blocks), "padding": self.padding, "coordinates": list(self.coordinates),
                "lifting_width": self.lifting[0].weight.shape[-2] if len(self.lifting) == 2 else None,
                "head_width": self.head[0].weight.shape[-2], "channel_mlp": None if mlp is None else mlp[0].weight.shape[-2] / width,
                "shared": len(self.blocks) > 1 and self.blocks[1].spectral is None, "rank": self.rank,
                **({"remat": True} if self.remat else {})}

    def with_modes(self, modes: tuple[int, ...]) -> "FNO":
        """The same function with room for other wavenumbers: those that are new start at zero, those that are gone are forgotten.

        Training that begins with few modes and adds to them is the incremental FNO of George et al..
        Raises `UsageError` for weights held as a product.
        """
        require(self.rank is None, "modes", "a model without rank: a product's entries cannot be added to", modes)
        wider = FNO(**{**self.arguments, "modes": tuple(modes), "coordinates": self.coordinates}, key=jax.random.key(0))
        blocks = tuple(b if b.spectral is None else eqx.tree_at(lambda b: b.spectral, b, b.spectral.with_modes(tuple(modes)))
                       for b in self.blocks)
        return eqx.tree_at(lambda m: (m.lifting, m.blocks, m.head), wider, (self.lifting, blocks, self.head))

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None,
                split: Split | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`; with a `split`, on this device's slice of it."""
        del key
        grid = only_on_grid(a, x, len(self.modes), self.in_channels, split)
        spare = spare_columns(a.values.shape[:-1], a.values.dtype.itemsize)
        v = self._lift(jnp.moveaxis(a.values, -1, 0), grid, spare, split)
        for i, block in enumerate(self.blocks):
            spectral = block.spectral or self.blocks[0].spectral
            assert spectral is not None
            run = eqx.filter_checkpoint(block) if self.remat else block
            v = run(v, spectral, grid, self.padding, spare, i == len(self.blocks) - 1, split)
        u = once(self.head[1](once(gelu(once(self.head[0](v))))))
        u = u.reshape(self.out_channels, *a.values.shape[:-2], -1)[..., : grid.shape[-1]]
        return jnp.moveaxis(u, 0, -1)

    def _lift(self, v: Float[Array, "in batch *grid"], grid: Grid, spare: int, split: Split | None) -> Float[Array, "width points"]:
        v = coordinate_channels(v, grid, self.coordinates, split)
        v = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, spare)])
        v = once(self.lifting[0](once(v.reshape(v.shape[0], -1))))
        return v if len(self.lifting) == 1 else once(self.lifting[1](once(gelu(v))))


def spare_columns(shape: tuple[int, ...], itemsize: int) -> int:
    """How many columns of no meaning to add to the last axis of channels `(*shape,)`, so that they do not start whole pages apart.

    On a CPU, channels at a distance of a multiple of 4096 bytes fall on the same few lines of its cache, and the product that
    makes a weight's gradient, which reads all channels side by side, takes up to twice the time. The spectral layer ignores the
    columns and gives them no gradient, so nothing else sees them.
    """

    def distinct_starts(spare: int) -> int:
        stride = math.prod(shape[:-1]) * (shape[-1] + spare) * itemsize
        return 4096 // math.gcd(stride, 4096)

    return next((s for s in (0, 4, 1) if distinct_starts(s) >= 4 and 32 * s <= shape[-1]), 0)
