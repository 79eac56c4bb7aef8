"""Multipole graph operators: near points through fine levels, far ones through coarse levels, O(n) in all."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import expected, require, require_counts, require_list_of_counts
from pdesurr.fields import FourierBasis, Grid
from pdesurr.nn import coordinates
from pdesurr.nn.activation import gelu
from pdesurr.nn.cloud import Cloud, asked_cloud, collected, dealt, input_cloud
from pdesurr.nn.coordinates import Period
from pdesurr.nn.graph import KernelIntegral, Links, degree_for, edges, neighbours, reassemble, shuffled, slices
from pdesurr.nn.mlp import MLP, rows
from pdesurr.nn.points import Points, unflat
from pdesurr.types import Key, Samples


class Path(eqx.Module):
    """How one level hears another in one graph: lists, weights, and the kernel's basis at each edge. Every cycle uses it again."""

    kernel: KernelIntegral
    links: Links
    weights: Float[Array, "q k"]
    basis: Float[Array, "q k rank"]

    def __init__(self, kernel: KernelIntegral, senders: Cloud, receivers: Cloud, radius: float, period: Period):
        degree = degree_for(len(senders.points), radius, len(period))
        self.kernel, self.links = kernel, neighbours(senders.points, receivers.points, radius, degree, period)
        self.weights = self.links.weights(senders.weights)
        e = edges(self.links, senders.points, senders.values, receivers.points, receivers.known, radius, period)
        self.basis = kernel.basis(e, self.weights)

    def __call__(self, v: Float[Array, "n in"]) -> Float[Array, "q out"]:
        return self.kernel(self.basis, self.weights, v[self.links.index])


class MultipoleGraphOperator(eqx.Module):
    """u = Q (C o ... o C) P(x, a(x)): `cycles` V-cycles C with the same weights over levels l = 1 (fine) .. L (coarse) of nodes,

        down, l = 1 .. L-1:   v_{l+1} <- gelu(v_{l+1} + K_{l,l+1} v_l)
        up,   l = L .. 1:     v_l <- gelu(W_l v_l + b_l + K_{l,l} v_l),   then   v_{l-1} <- gelu(v_{l-1} + K_{l,l-1} v_l)

    with kernel integrals K (mean over a ball, `nn.graph.KernelIntegral`). Fewer nodes at larger radii: O(n) in all.

    Shapes: values `(*grid, in_channels)` or `(n, in_channels)`, to values `(..., out_channels)` at `x`. Reads no `a.params`.
    `nodes`: most nodes per level, fine to coarse; `radii`: of the balls within each level; `between`: of those between a level and
    the next. The levels are slices of one random order of the points, one after the other, so disjoint where there are enough
    points. Up to `nodes[0]` points all are on level 1; more are dealt into ceil(n / nodes[0]) graphs as in `GNO`, which also says
    what happens at other `x` than the input's points; `key` changes the order only then. The order depends on where the points are
    and not on how they are listed: the same cloud has the same levels, another one others, and the answers differ by the scatter of
    a mean over the coarse nodes in a ball, however fine the finest level.
    `kernel_width`: hidden width and rank of the finest kernels, halved per level, 16 at least. `period`: as in `GNO`.

    Neighbours kept are what a box of volume 1 needs. Good values: width 64, nodes (400, 100, 25), radii (.25, .5, 1), between
    (.125, .25), 4-5 cycles, Adam 1e-4. Raises `UsageError` for a wrong channel count, dimension or period, or levels that do not match.
    Source: Li et al. (NeurIPS 2020, arXiv 2006.09535); Kovachki et al., JMLR 24(89), section 4.3.
    """

    lifting: eqx.nn.Linear
    skips: tuple[eqx.nn.Linear, ...]
    within: tuple[KernelIntegral, ...]
    down: tuple[KernelIntegral, ...]
    up: tuple[KernelIntegral, ...]
    head: MLP
    in_channels: int = eqx.field(static=True)
    nodes: tuple[int, ...] = eqx.field(static=True)
    radii: tuple[float, ...] = eqx.field(static=True)
    between: tuple[float, ...] = eqx.field(static=True)
    cycles: int = eqx.field(static=True)
    kernel_width: int = eqx.field(static=True)
    period: Period = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, dimension: int, width: int = 64, *, nodes: tuple[int, ...] = (400, 100, 25),
                 radii: tuple[float, ...] = (0.25, 0.5, 1.0), between: tuple[float, ...] = (0.125, 0.25), cycles: int = 4,
                 kernel_width: int = 64, head_width: int = 128, period: Period | None = None, key: Key):
        require_list_of_counts(nodes=nodes)
        levels = len(nodes)
        require(list(nodes) == sorted(nodes, reverse=True), "nodes", "fine to coarse: never more than on the level before", nodes)
        require(len(radii) == levels and min(radii) > 0, "radii", f"{levels} numbers > 0, one per level", radii)
        require(len(between) == levels - 1 and min((*between, 1)) > 0, "between", f"{levels - 1} numbers > 0", between)
        require_counts(in_channels=in_channels, out_channels=out_channels, dimension=dimension, width=width, cycles=cycles,
                       kernel_width=kernel_width, head_width=head_width)
        self.in_channels, self.period = in_channels, coordinates.check_period(period, dimension)
        size = coordinates.width(self.period) + in_channels
        keys = iter(jax.random.split(key, 4 * levels))

        def kernel(level: int) -> KernelIntegral:
            hidden = (halved(kernel_width, level),) * 2
            return KernelIntegral(dimension + size + in_channels, width, width, hidden, key=next(keys))

        self.lifting = eqx.nn.Linear(size, width, key=next(keys))
        self.head = MLP((width, head_width, out_channels), key=next(keys))
        self.skips = tuple(eqx.nn.Linear(width, width, key=next(keys)) for _ in nodes)
        self.within = tuple(kernel(i) for i in range(levels))
        self.down, self.up = (tuple(kernel(i) for i in range(levels - 1)) for _ in range(2))
        self.nodes, self.radii, self.between = tuple(nodes), tuple(radii), tuple(between)
        self.cycles, self.kernel_width = cycles, kernel_width

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {"in_channels": self.in_channels, "out_channels": self.head.layers[-1].weight.shape[-2], "dimension": len(self.period),
                "width": self.lifting.weight.shape[-2], "nodes": list(self.nodes), "radii": list(self.radii),
                "between": list(self.between), "cycles": self.cycles, "kernel_width": self.kernel_width,
                "head_width": self.head.hidden[0], "period": list(self.period)}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        senders = input_cloud(a, self.in_channels, self.period)
        asked, n = asked_cloud(a, x, senders, self.period), len(senders.points)
        groups = math.ceil(n / self.nodes[0])
        members, order = self._members(senders, groups, key)
        if groups == 1:
            u = self.graph([senders, *(senders[m[0]] for m in members[1:])], asked)
        elif asked is None:
            u = reassemble(lax.map(jax.checkpoint(lambda m: self.graph([senders[i] for i in m], None)), members), order)
        else:
            run = jax.checkpoint(lambda m: self.graph([senders[i] for i in m[0]], asked[m[1]]))
            u = collected(lax.map(run, (members, dealt(len(asked.points), groups))), len(asked.points))
        return unflat(u, a.points if x is None else x)

    def _members(self, senders: Cloud, groups: int, key: Key | None) -> tuple[list[Array], Array]:
        """For each level the nodes of each graph, `(groups, size)`, and the order they are slices of."""
        n = len(senders.points)
        order, size = shuffled(senders.points, key if groups > 1 else None), math.ceil(n / groups)
        starts = jnp.arange(groups) * size
        members, after = [slices(order, starts, size)], starts + (size if groups > 1 else 0)
        for nodes in self.nodes[1:]:
            members.append(slices(order, after, min(nodes, n)))
            after = after + min(nodes, n)
        return members, order

    @eqx.filter_jit  # called outside jit it is one program, not hundreds
    def graph(self, levels: list[Cloud], asked: Cloud | None) -> Float[Array, "q out"]:
        """One graph; the answer at `asked`, or at the nodes of the finest level."""
        receivers, own = [levels[0].followed_by(asked), *levels[1:]], len(levels[0].points)
        within = [Path(k, s, r, radius, self.period) for k, s, r, radius in zip(self.within, levels, receivers, self.radii, strict=True)]
        down = [Path(k, levels[i], receivers[i + 1], self.between[i], self.period) for i, k in enumerate(self.down)]
        up = [Path(k, levels[i + 1], receivers[i], self.between[i], self.period) for i, k in enumerate(self.up)]
        v = [rows(self.lifting, r.known) for r in receivers]
        for _ in range(self.cycles):
            for i, path in enumerate(down):
                v[i + 1] = gelu(v[i + 1] + path(v[i]))
            for i in reversed(range(len(v))):
                v[i] = gelu(rows(self.skips[i], v[i]) + within[i](v[i]))
                if i > 0:
                    v[i - 1] = gelu(v[i - 1] + up[i - 1](v[i]))
        return self.head(v[0] if asked is None else v[0][own:])


def halved(width: int, level: int) -> int:
    """`width` halved `level` times, but not below 16 (or below `width`)."""
    return max(width >> level, min(16, width))


class Cells(eqx.Module):
    """One level of a periodic line: `n` equal cells, what each knows, and its part of the sums over `offsets`.

    `weights` says which offsets count for which cell, and how much. Neighbours are shifts of the array: no lists.
    """

    known: Float[Array, "n f"]
    values: Float[Array, "n c"]
    weights: Float[Array, "n k"]
    offsets: tuple[int, ...] = eqx.field(static=True)

    def shifts(self, v: Float[Array, "n c"]) -> Float[Array, "n k c"]:
        """For each cell what its neighbours hold."""
        return jnp.stack([jnp.roll(v, -o, axis=0) for o in self.offsets], axis=1)

    def basis(self, kernel: KernelIntegral, scale: float) -> Float[Array, "n k rank"]:
        """The kernel's basis at each pair; distances in units of 1 / scale cells."""
        n, k = self.weights.shape
        gap = jnp.broadcast_to(jnp.asarray(self.offsets, self.values.dtype)[None, :, None] * scale, (n, k, 1))
        mine = jnp.broadcast_to(self.known[:, None], (n, k, self.known.shape[1]))
        return kernel.basis(jnp.concatenate([gap, mine, self.shifts(self.values)], axis=-1), self.weights)


def interactions(n: int, coarsest: bool, dtype) -> tuple[tuple[int, ...], Float[Array, "n k"]]:
    """The interaction lists of `n` cells: children of the parent's neighbours that are not one's own; on the coarsest level all cells
    but the neighbours. Offsets, and 1 where one counts for a cell."""
    if coarsest:
        offsets = tuple(o if 2 * o <= n else o - n for o in range(2, n - 1))
        return offsets, jnp.ones((n, len(offsets)), dtype)
    odd = jnp.arange(n) % 2 == 1
    return (-3, -2, 2, 3), jnp.stack([odd, odd | True, odd | True, ~odd], axis=1).astype(dtype)


def pooled(v: Float[Array, "n c"]) -> Float[Array, "m c"]:
    """Means of pairs of cells."""
    return jnp.mean(v.reshape(len(v) // 2, 2, -1), axis=1)


def cell_counts(n: int) -> list[int]:
    """Cells per level, coarse to fine: 4 to 7 on the coarsest, doubled up to n. Raises `UsageError` if n is not of that form."""
    counts = [n]
    while counts[0] > 7 and counts[0] % 2 == 0:
        counts.insert(0, counts[0] // 2)
    require(4 <= counts[0] <= 7, "a.points", "4, 5, 6 or 7 times a power of 2 nodes", n)
    return counts


class OrthogonalMultipole(eqx.Module):
    """A `MultipoleGraphOperator` for a periodic line of n = 4 .. 7 times a power of 2 nodes, without a graph: u = Q (C o ... o C) P(x, a),

        phi_l = v averaged over the cells of level l,   l = 0 (4-7 cells), 1, 2 ...
        w <- gelu(K_0 phi_0);   w <- gelu(repeat(w) + K_l phi_l),  l = 1 .. levels-1
        v <- gelu(W v + b + repeat(w) + N v)

    K_l sums over the interaction list of each cell, those at distance 2-3 whose parents are neighbours; on level 0 over all but its
    neighbours. N, the near part, is one kernel for all smaller distances: the interaction lists of every finer level, then each
    node with itself and its neighbours. Every pair of nodes is thus in exactly one sum, and on finer grids of the same function
    only N gains levels: the answer converges with n at first order (the published form ties kernels to levels counted from the
    finest). Cost O(n) per cycle: sums of 3 to 4 terms for fewer than 2 n cells.

    Shapes: values `(n, in_channels)` on a Fourier grid of one axis, to values `(n, out_channels)` on the same. Reads no `a.params`.
    `kernel_width`: hidden width and rank of N, halved per level to the coarsest, 16 at least. Good values: width 64, `levels` =
    log2(n) - 2 for the n of training (the near part is then the +-1 neighbours, as published), 4 cycles, kernel_width 64-1024.
    Raises `UsageError` for another kind or number of nodes, fewer than 4 * 2^(levels-1) of them, a wrong channel count, another `x`.
    Source: Li et al. (NeurIPS 2020, arXiv 2006.09535), its orthogonal form; Kovachki et al., JMLR 24(89), section 4.3.
    """

    lifting: eqx.nn.Linear
    skip: eqx.nn.Linear
    far: tuple[KernelIntegral, ...]
    near: KernelIntegral
    head: MLP
    in_channels: int = eqx.field(static=True)
    cycles: int = eqx.field(static=True)
    kernel_width: int = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, width: int = 64, levels: int = 6, *, cycles: int = 4, kernel_width: int = 64,
                 head_width: int = 128, key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, width=width, levels=levels, cycles=cycles,
                       kernel_width=kernel_width, head_width=head_width)
        keys = jax.random.split(key, levels + 4)
        self.lifting = eqx.nn.Linear(2 + in_channels, width, key=keys[0])
        self.skip = eqx.nn.Linear(width, width, key=keys[1])
        self.head = MLP((width, head_width, out_channels), key=keys[2])
        hidden = [(halved(kernel_width, i),) * 2 for i in range(levels + 1)]
        kernels = tuple(KernelIntegral(3 + 2 * in_channels, width, width, h, key=k) for h, k in zip(hidden, keys[3:], strict=True))
        self.near, self.far = kernels[0], kernels[:0:-1]
        self.in_channels, self.cycles, self.kernel_width = in_channels, cycles, kernel_width

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {"in_channels": self.in_channels, "out_channels": self.head.layers[-1].weight.shape[-2],
                "width": self.lifting.weight.shape[-2], "levels": len(self.far), "cycles": self.cycles,
                "kernel_width": self.kernel_width, "head_width": self.head.hidden[0]}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "n out"]:
        """One sample."""
        del key
        return self._answer(self.cells(a, x))

    @eqx.filter_jit
    def _answer(self, cells: list[Cells]) -> Float[Array, "n out"]:
        near = cells[len(self.far):]
        kernels = [*self.far, *(self.near,) * len(near)]
        # A unit of distance is one cell of the kernel's own level; of the finest of the far levels for N.
        scales = [1.0] * len(self.far) + [0.5**i for i in range(1, len(near))] + [0.5 ** (len(near) - 1)]
        paths = [(k, c, c.basis(k, s)) for k, c, s in zip(kernels, cells, scales, strict=True)]
        v = rows(self.lifting, cells[-1].known)
        for _ in range(self.cycles):
            v = gelu(rows(self.skip, v) + self._integrals(v, paths))
        return self.head(v)

    def _integrals(self, v: Float[Array, "n w"], paths: list) -> Float[Array, "n w"]:
        """repeat(w) + N v."""
        phi = [v, v]  # the finest cells are there twice: for their interaction list, and for their neighbours
        while len(phi) < len(paths):
            phi.insert(0, pooled(phi[0]))
        w, near = None, None
        for i, (kernel, cells, basis) in enumerate(paths):
            part = kernel(basis, cells.weights, cells.shifts(phi[i]))
            twice = lambda u: u if u is None or len(u) == len(part) else jnp.repeat(u, 2, axis=0)  # noqa: E731, B023
            w = twice(w)
            if i < len(self.far):
                w = gelu(part if w is None else w + part)
            else:
                near = part if near is None else twice(near) + part
        assert w is not None and near is not None
        return w + near

    def cells(self, a: Samples, x: Grid | None = None) -> list[Cells]:
        """All levels, coarse to fine, the last for the nodes' own neighbours."""
        grid = a.points
        if not isinstance(grid, Grid) or grid.ndim != 1 or not isinstance(grid.bases[0], FourierBasis):
            raise expected("a.points", "a Grid of one Fourier axis", grid, "use MultipoleGraphOperator elsewhere")
        require(x is None or (isinstance(x, Grid) and x == grid), "x", f"None or the input's own grid {grid}", x)
        require(a.values.shape == (*grid.shape, self.in_channels), "a.values", f"shape {(*grid.shape, self.in_channels)}", a.values.shape)
        counts, levels = cell_counts(grid.shape[0]), len(self.far)
        require(len(counts) >= levels, "a.points", f"{counts[0] * 2 ** (levels - 1)} nodes or more for {levels} levels", grid.shape[0])
        place = jnp.asarray((grid.bases[0].nodes - grid.bases[0].lower) / grid.bases[0].length, a.values.dtype)[:, None]
        values, made = a.values, []
        for i, n in reversed(list(enumerate(counts))):
            known = jnp.concatenate([coordinates.features(place, (1.0,)), values], axis=1)
            offsets, counted = interactions(n, i == 0, values.dtype)
            # Means over a list of 3, and for finer cells than the last far level's by their share of such a cell.
            share = 2.0 ** min(levels - 1 - i, 0) / 3
            if not made:
                made.append(Cells(known, values, jnp.full((n, 3), share, values.dtype), (-1, 0, 1)))
            made.insert(0, Cells(known, values, counted * share, offsets))
            if i > 0:
                place, values = pooled(place), pooled(values)
        return made
