"""Transolver: attention among slices of the domain that the network itself learns. Grids and scattered points, any dimension."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require, require_counts
from pdesurr.fields import Grid
from pdesurr.nn import coordinates
from pdesurr.nn.cloud import known_at
from pdesurr.nn.convolution import convolve, paddings, uniform_kernel
from pdesurr.nn.coordinates import Period
from pdesurr.nn.mlp import MLP, at_points, rows
from pdesurr.nn.norm import Norm
from pdesurr.nn.points import Points, elsewhere, flat, measure, unflat
from pdesurr.nn.pointwise import once, only_on_grid
from pdesurr.types import Key, Samples, batch_of_one

EMPTY = 1e-8  # added to a slice's share of the domain, so that a slice that no point belongs to is 0 and not 0 / 0


class Stencil(eqx.Module):
    """A convolution of 3 nodes per axis, with a bias, at the nodes of a grid in a row."""

    kernel: Float[Array, "*size i o"]
    bias: Float[Array, " o"]

    def __init__(self, axes: int, in_channels: int, out_channels: int, *, key: Key):
        self.kernel, self.bias = uniform_kernel((3,) * axes, in_channels, out_channels, key), jnp.zeros(out_channels)

    def __call__(self, v: Float[Array, "n i"], grid: Grid) -> Float[Array, "n o"]:
        u = convolve(v.reshape(1, *grid.shape, -1), self.kernel, paddings(grid))
        return u.reshape(len(v), -1) + self.bias.astype(v.dtype)[None]


class PhysicsAttention(eqx.Module):
    """Per head, with x = X v and f = F v at each point, and <.> the mean over the domain:

        w_j = softmax_j((S x + s)_j / tau)      each point belongs to M slices, in shares that sum to 1
        z_j = <w_j f> / <w_j>                   a token per slice
        z'  = softmax(Q z (K z)^T / sqrt(d)) V z
        v'  = O sum_j w_j z'_j + o              back at the points

    O(n M) for n points. S, Q, K, V are one each for all heads, tau is one per head. X and F are matrices, or with `axes` > 0 convolutions
    on a grid of so many."""

    shares: eqx.nn.Linear | Stencil
    values: eqx.nn.Linear | Stencil
    slices: eqx.nn.Linear
    log_temperature: Float[Array, " heads"]
    query: eqx.nn.Linear
    key: eqx.nn.Linear
    value: eqx.nn.Linear
    out: eqx.nn.Linear

    def __init__(self, width: int, heads: int, slices: int, axes: int = 0, *, key: Key):
        keys = jax.random.split(key, 7)
        size = width // heads
        linear = lambda i, o, k, bias: eqx.nn.Linear(i, o, use_bias=bias, key=k)  # noqa: E731
        self.shares, self.values = (Stencil(axes, width, width, key=k) if axes else linear(width, width, k, True) for k in keys[:2])
        self.out = linear(width, width, keys[2], True)
        self.query, self.key, self.value = (linear(size, size, k, False) for k in keys[3:6])
        # Orthogonal rows tell the slices apart from the start.
        start = jax.nn.initializers.orthogonal()(keys[6], (slices, size))
        self.slices = eqx.tree_at(lambda s: s.weight, linear(size, slices, keys[6], True), start)
        self.log_temperature = jnp.full((heads,), jnp.log(0.5))

    def __call__(self, v: Float[Array, "n w"], weights: Float[Array, " n"], grid: Grid | None = None) -> Float[Array, "n w"]:
        """`weights`: quadrature weights, 0 at points that are only asked. `grid`: where convolutions are."""
        at = lambda layer: rows(layer, v) if isinstance(layer, eqx.nn.Linear) else layer(v, grid)  # noqa: E731
        # Points last: the softmax and the sums over points then run along memory, and a step takes 15 % less time on a CPU.
        x, f = (at(layer).T.reshape(len(self.log_temperature), -1, len(v)) for layer in (self.shares, self.values))
        tau = jnp.exp(self.log_temperature).astype(v.dtype)[:, None, None]
        assert self.slices.bias is not None
        matrix, bias = self.slices.weight.astype(v.dtype), self.slices.bias.astype(v.dtype)
        w = once(jax.nn.softmax((jnp.einsum("sd,hdn->hsn", matrix, x) + bias[None, :, None]) / tau, axis=1))
        share = jnp.einsum("hsn,n->hs", w, weights)[..., None]
        z = jnp.einsum("hsn,hdn->hsd", w, f * weights[None, None]) / (share + EMPTY)
        q, k, values = (at_points(linear, z) for linear in (self.query, self.key, self.value))
        attention = jax.nn.softmax(jnp.einsum("hsd,htd->hst", q, k) * q.shape[-1] ** -0.5, axis=-1)
        u = jnp.einsum("hsn,hsd->hdn", w, jnp.einsum("hst,htd->hsd", attention, values))
        return rows(self.out, u.reshape(-1, len(v)).T)


class Block(eqx.Module):
    """v <- v + attention(norm(v)), then v <- v + mlp(norm(v))."""

    norms: tuple[Norm, Norm]
    attention: PhysicsAttention
    mlp: MLP

    def __init__(self, width: int, heads: int, slices: int, expansion: int, axes: int, *, key: Key):
        key_attention, key_mlp = jax.random.split(key)
        self.norms = (_norm(width), _norm(width))
        self.attention = PhysicsAttention(width, heads, slices, axes, key=key_attention)
        self.mlp = MLP((width, expansion * width, width), key=key_mlp)

    def __call__(self, v: Float[Array, "n w"], weights: Float[Array, " n"], grid: Grid | None) -> Float[Array, "n w"]:
        v = v + self.attention(self.norms[0](v), weights, grid)
        return v + self.mlp(self.norms[1](v))


class Transolver(eqx.Module):
    """u = Q norm (B_depth o ... o B_1) P(x, a(x)): P a perceptron and Q a matrix at each point, each B a block of attention and a
    perceptron (`Block`), whose attention is among `slices` tokens, means over soft parts of the domain (`PhysicsAttention`).

    Shapes: values `(*grid, in_channels)` or `(n, in_channels)`, to values `(..., out_channels)` at `x`. Reads no `a.params`.
    Means are by the grid's quadrature weights, so values converge with resolution; on scattered points all count alike, and
    their order means nothing. On a uniform periodic grid these are the paper's sums.
    `convolved`: X and F are convolutions of 3 nodes per axis, the paper's variant for structured meshes, by which its Darcy and
    Navier-Stokes numbers are. It answers on grids alone, on the input's own, and holds at the resolution of its training. Beyond the
    ends a function goes on as its basis says (`pdesurr.nn.convolution.paddings`; the paper has zeros).
    Good values: Darcy at 85 x 85, depth 8, width 128, heads 8, slices 64, batch 4, learning rate 1e-3; for Navier-Stokes the
    paper has width 256 and 32 slices.
    `heads`: must divide the width. `expansion`: hidden width of the blocks' perceptrons over the width.
    `period`: per axis the period of x, or None: such an axis enters by cosine and sine. Boxes of size about 1 suit the others.
    `x`: the input's points (also None), or any others: they are answered from the input's tokens, with a(x) the expansion's value
    on a grid whose bases have a transform, else interpolated from the 2^d nearest points of the input.

    Raises `UsageError` for a wrong channel count, dimension, or number of heads. Source: Wu et al., ICML 2024 (arXiv 2402.02366).
    """

    lifting: MLP
    blocks: tuple[Block, ...]
    norm: Norm
    head: eqx.nn.Linear
    in_channels: int = eqx.field(static=True)
    period: Period = eqx.field(static=True)
    convolved: bool = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, dimension: int, width: int = 128, depth: int = 8, *, heads: int = 8,
                 slices: int = 64, expansion: int = 1, period: Period | None = None, convolved: bool = False, key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, dimension=dimension, width=width, depth=depth, heads=heads,
                       slices=slices, expansion=expansion)
        require(width % heads == 0, "heads", f"a divisor of the width {width}", heads)
        self.in_channels, self.period, self.convolved = in_channels, coordinates.check_period(period, dimension), convolved
        keys = jax.random.split(key, depth + 2)
        self.lifting = MLP((coordinates.width(self.period) + in_channels, 2 * width, width), key=keys[0])
        self.blocks = tuple(Block(width, heads, slices, expansion, dimension if convolved else 0, key=k) for k in keys[2:])
        self.norm = _norm(width)
        self.head = eqx.nn.Linear(width, out_channels, key=keys[1])

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        first = self.blocks[0]
        out, width = self.head.weight.shape[-2:]
        return {"in_channels": self.in_channels, "out_channels": out, "dimension": len(self.period), "width": width,
                "depth": len(self.blocks), "heads": first.attention.log_temperature.shape[-1],
                "slices": first.attention.slices.weight.shape[-2], "expansion": first.mlp.hidden[0] // width,
                "period": list(self.period), "convolved": self.convolved}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        coordinates.check_axes(a.points, self.period)
        del key
        require(a.values.shape[-1] == self.in_channels, "a.values", f"{self.in_channels} channels", a.values.shape)
        grid = only_on_grid(batch_of_one(a), x, len(self.period), self.in_channels) if self.convolved else None
        y, values = flat(a)
        weights = measure(a.points, values.dtype)
        z = jnp.concatenate([coordinates.features(y, self.period), values], axis=1)
        others = x if x is not None and elsewhere(a, x) else None
        if others is not None:  # further points, without weight in any mean
            asked = known_at(a, others, self.period)
            z, weights = jnp.concatenate([z, asked]), jnp.concatenate([weights, jnp.zeros(len(asked), weights.dtype)])
        v = self.lifting(z)
        for block in self.blocks:
            v = block(v, weights, grid)
        return unflat(rows(self.head, self.norm(v if others is None else v[len(y) :])), a.points if x is None else x)


def _norm(width: int) -> Norm:
    return Norm(jnp.ones(width), jnp.zeros(width))
