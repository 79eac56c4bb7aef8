"""The multigrid neural operator MgNO: each pair of channels is joined by a learnt V-cycle. Any number of axes."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require, require_counts, require_list_of_counts
from pdesurr.fields import Grid
from pdesurr.nn.activation import gelu
from pdesurr.nn.convolution import convolve, paddings, refine, uniform_kernel
from pdesurr.nn.mlp import at_points
from pdesurr.nn.norm import Norm
from pdesurr.nn.pointwise import only_on_grid
from pdesurr.types import Key, Samples, batch_of_one

COARSEST = 8  # "auto" halves until the shortest axis has no more nodes than this
Kernel = Float[Array, "..."]  # (*size, in, out)


class Level(eqx.Module):
    """One grid of the V-cycle. `smooth` are pairs (A, S) for u <- u + S (f - A u); the finest level begins with `start`, u = S f."""

    start: Kernel | None
    before: tuple[tuple[Kernel, Kernel], ...]
    after: tuple[tuple[Kernel, Kernel], ...]
    down: tuple[Kernel, Kernel] | None
    up: Kernel | None
    norm: Norm | None


class VCycle(eqx.Module):
    """W_Mg: linear in its input (but for the optional normalisation), without biases: f = the input, u_0 = S f_0, and on each level

        u <- u + S (f - A u)    `pre` times (the start counts as one on the finest), then down: u_{l+1} = Pi u_l, f_{l+1} = R f_l;
        back up: u_l <- u_l + P u_{l+1}, then `post` times u <- u + S (f - A u).

    A, S are kernels of 3 nodes per axis, Pi and R the same with stride 2, P the transpose of one, of 3 or 4 nodes: see `refine`.
    """

    levels: tuple[Level, ...]

    def __init__(self, f: int, u: int, shape: tuple[int, ...], pre: tuple[int, ...], post: tuple[int, ...], norm: bool, *, key: Key):
        levels = []
        for n, (before, after) in enumerate(zip(pre, post, strict=True)):
            key, *keys = jax.random.split(key, 5 + 2 * (before + after))
            three, last = (3,) * len(shape), n == len(pre) - 1
            pairs = [(uniform_kernel(three, u, f, a), uniform_kernel(three, f, u, s)) for a, s in zip(keys[4::2], keys[5::2], strict=True)]
            start = uniform_kernel(three, f, u, keys[0]) if n == 0 else None
            first = before - (n == 0)
            down = None if last else (uniform_kernel(three, u, u, keys[1]), uniform_kernel(three, f, f, keys[2]))
            up = None if last else uniform_kernel(sizes(shape), u, u, keys[3])
            levels.append(Level(start, tuple(pairs[:first]), tuple(pairs[first : first + after]), down, up,
                                Norm(jnp.ones(u), jnp.zeros(u)) if norm and not last else None))
            shape = tuple((m + 1) // 2 for m in shape)
        self.levels = tuple(levels)

    def __call__(self, f: Float[Array, "b *grid f"], padding: tuple[str, ...]) -> Float[Array, "b *grid u"]:
        first = self.levels[0]
        u, stack = convolve(f, first.start, padding), []  # pyright: ignore[reportArgumentType]
        for level in self.levels:
            u = smoothed(u, f, level.before, padding)
            stack.append((u, f))
            if level.down is not None:
                u, f = (convolve(v, kernel, padding, stride=2) for v, kernel in zip((u, f), level.down, strict=True))
        for level, (fine, f) in zip(reversed(self.levels), reversed(stack), strict=True):
            if level.up is not None:
                u = fine + refine(u, level.up, padding)
                u = u if level.norm is None else level.norm(u)
            u = smoothed(u, f, level.after, padding)
        return u


def refined_cycle(old: VCycle, new: VCycle, size: tuple[int, ...]) -> VCycle:
    """`old` below a level of its own: see `MgNO.refined`. `new`, of random kernels, has one level more."""
    finest, second, first = new.levels[0], new.levels[1], old.levels[0]
    assert finest.start is not None and finest.down is not None and first.start is not None
    f, u = finest.start.shape[-2:]
    centre = separable([np.array([0.0, 1.0, 0.0])] * len(size), f)
    linear = separable([np.array([0.5, 1.0, 0.5] if n == 3 else [0.0, 0.5, 1.0, 0.5]) for n in size], u)
    finest = dataclasses.replace(finest, start=jnp.zeros_like(finest.start), down=(finest.down[0], centre), up=linear)
    first = dataclasses.replace(first, start=None, before=((second.before[0][0], first.start), *first.before))
    return eqx.tree_at(lambda cycle: cycle.levels, new, (finest, first, *old.levels[1:]))


def separable(profiles: list[np.ndarray], channels: int) -> Kernel:
    """The product of a profile along each axis, each channel kept apart."""
    return jnp.asarray(np.multiply.outer(functools.reduce(np.multiply.outer, profiles), np.eye(channels)), jnp.float32)


def smoothed(u: Array, f: Array, pairs: tuple[tuple[Kernel, Kernel], ...], padding: tuple[str, ...]) -> Array:
    """u <- u + S (f - A u) for each pair (A, S)."""
    for a, s in pairs:
        u = u + convolve(f - convolve(u, a, padding), s, padding)
    return u


def sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The transposed kernel's nodes per axis: 4 where the fine axis has an even number of nodes, else 3."""
    return tuple(4 - n % 2 for n in shape)


def auto_levels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """One smoothing on each level and two on the coarsest, of `COARSEST` nodes or fewer along the shortest axis."""
    n, halvings = min(shape), 0
    while n > COARSEST:
        n, halvings = (n + 1) // 2, halvings + 1
    return (1,) * halvings + (2,)


class MgNO(eqx.Module):
    """u = Q (B_depth o ... o B_1) a, each block v -> gelu(W_Mg v + W v + b), W_Mg a V-cycle of convolutions (see `VCycle`), W one
    matrix at every point, Q a matrix at the end. No lifting: the first block takes the input's channels.

    Shapes: values `(*grid, in_channels)` on `a.points`, to values `(*grid, out_channels)` on the same grid. Reads no `a.params`.
    `shape`: the nodes per axis it is made for. The resolution is part of the operator: a stencil of 3 nodes means something else
    at another spacing, so a trained MgNO holds at its own. A grid of other size is refused unless all its levels are even and
    odd where these are; `refined` adds a level for twice the resolution, from where to train on.
    `levels`: smoothing steps on each level on the way down, finest first, or "auto" (1 each, 2 on the coarsest, which has at most 8
    nodes along the shortest axis); `post` on the way up (None: none).
    `boundary`: "periodic", "dirichlet" or "neumann" per axis; None asks the grid's bases (see `paddings`). On a periodic axis whose
    size is even on every level but the coarsest, a shift of the input by 2^(levels - 1) nodes shifts the output.
    `norm`: normalise channels at each point after each step up. `bypass`: W and b (the paper's Navier-Stokes network has the
    normalisation instead; its own has a gain per node and is bound to one resolution, this one is not).
    Good values: width 24, depth 4-5, levels "auto"; learning rate 5e-4 with an H1 objective.

    Raises `UsageError` for a wrong channel count, grid or setting, and for an `x` that is not the input's grid.
    Source: He, Liu and Xu, ICLR 2024 (arXiv 2310.19809); layers as in its released code, whose parameters it has exactly.
    """

    cycles: tuple[VCycle, ...]
    bypasses: tuple[eqx.nn.Linear | None, ...]
    head: eqx.nn.Linear
    in_channels: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    levels: tuple[int, ...] = eqx.field(static=True)
    post: tuple[int, ...] = eqx.field(static=True)
    boundary: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, shape: tuple[int, ...], width: int = 24, depth: int = 5, *,
                 levels: tuple[int, ...] | str = "auto", post: tuple[int, ...] | None = None, boundary: tuple[str, ...] | None = None,
                 norm: bool = False, bypass: bool = True, key: Key):
        require_list_of_counts(shape=shape)
        shape = tuple(map(int, shape))  # of numpy's kind they have no methods of int, nor a place in JSON
        pre = auto_levels(shape) if isinstance(levels, str) else tuple(levels)
        post = (0,) * len(pre) if post is None else tuple(post)
        require(levels == "auto" or not isinstance(levels, str), "levels", "'auto' or steps per level", levels)
        require_counts(in_channels=in_channels, out_channels=out_channels, width=width, depth=depth)
        require(len(pre) > 0 and min(pre) >= 0 and pre[0] > 0, "levels", "numbers >= 0, the first > 0", pre)
        require(len(post) == len(pre) and min(post) >= 0, "post", f"{len(pre)} numbers >= 0", post)
        require(min(shape) > 2 ** (len(pre) - 1), "levels", f"at most {(min(shape) - 1).bit_length()} for {shape} nodes", len(pre))
        keys = jax.random.split(key, 2 * depth + 1)
        inputs = (in_channels,) + (width,) * (depth - 1)
        self.cycles = tuple(VCycle(i, width, shape, pre, post, norm, key=k) for i, k in zip(inputs, keys, strict=False))
        self.bypasses = tuple(eqx.nn.Linear(i, width, key=k) if bypass else None for i, k in zip(inputs, keys[depth:], strict=False))
        self.head = eqx.nn.Linear(width, out_channels, use_bias=False, key=keys[-1])
        self.in_channels, self.shape, self.levels, self.post = in_channels, shape, pre, post
        self.boundary = None if boundary is None else tuple(boundary)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        out, width = self.head.weight.shape[-2:]
        return {"in_channels": self.in_channels, "out_channels": out, "shape": list(self.shape), "width": width,
                "depth": len(self.cycles), "levels": list(self.levels), "post": list(self.post),
                "boundary": None if self.boundary is None else list(self.boundary),
                "norm": any(level.norm is not None for level in self.cycles[0].levels), "bypass": self.bypasses[0] is not None}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        del key
        padding = paddings(self._grid(a, x), self.boundary)
        v = a.values
        for cycle, bypass in zip(self.cycles, self.bypasses, strict=True):
            u = cycle(v, padding)
            v = gelu(u if bypass is None else u + at_points(bypass, v))
        return at_points(self.head, v)

    def refined(self, shape: tuple[int, ...], *, key: Key) -> "MgNO":
        """An MgNO for `shape`, 2 n - 1 (walls at nodes) or 2 n (a period) along each axis of n nodes, with one more level than this one:
        its answers at every second node are this one's for the input at those nodes. Most of a training can so be on coarse grids,
        in a fraction of the time, as a full multigrid method begins there (Trottenberg, Oosterlee and Schueller 2001, section 2.6):

            coarse = fit(Scaled(model, *scalers), every_second_node, relative_h1, config)     # sources of the same samples
            finer = coarse.model.model.refined(grid.shape, key=key)
            result = fit(Scaled(finer, *scalers), all_nodes, relative_h1, config)

        Which of 2 n - 1 and 2 n the ends ask for is not checked; centres of cells are not among those of halved cells, and the answers are
        then only near. On the new level R and P (of `VCycle`) are injection and linear interpolation, S is zero, and what S leaves without
        effect is drawn by `key`.
        Raises `UsageError` for another shape, and for a model with `norm`, which scales what is interpolated.
        """
        require_list_of_counts(shape=shape)
        allowed = tuple(f"{2 * n - 1} or {2 * n}" for n in self.shape)
        fits = len(shape) == len(self.shape) and all((n + 1) // 2 == m for n, m in zip(shape, self.shape, strict=True))
        require(fits, "shape", f"({', '.join(allowed)}) nodes", tuple(shape))
        more = {"shape": tuple(shape), "levels": (1, *self.levels), "post": (0, *self.post), "boundary": self.boundary}
        settings = self.arguments | more
        require(not settings["norm"], "norm", "a model without normalisation", True)
        new = MgNO(**settings, key=key)
        cycles = tuple(refined_cycle(old, cycle, sizes(new.shape)) for old, cycle in zip(self.cycles, new.cycles, strict=True))
        return eqx.tree_at(lambda m: (m.cycles, m.bypasses, m.head), new, (cycles, self.bypasses, self.head), is_leaf=lambda v: v is None)

    def _grid(self, a: Samples, x: Grid | None) -> Grid:
        grid = only_on_grid(a, x, len(self.shape), self.in_channels)
        kinds = [level_sizes(shape, len(self.levels)) for shape in (grid.shape, self.shape)]
        require(kinds[0] == kinds[1], "a.points", f"the shape {self.shape}, or one that is odd and even on the same levels", grid.shape,
                f"this one was made for {self.shape} and holds there: make another with shape={grid.shape} and train it (from this one: "
                "`refined`, for twice the nodes)")
        return grid


def level_sizes(shape: tuple[int, ...], levels: int) -> list[tuple[int, ...]]:
    """The transposed kernels' sizes on each level but the coarsest; one that no kernel has if there are not enough nodes."""
    found = []
    for _ in range(levels - 1):
        found.append(sizes(shape) if min(shape) > 1 else (0,))
        shape = tuple((n + 1) // 2 for n in shape)
    return [*found, (len(shape),)]
