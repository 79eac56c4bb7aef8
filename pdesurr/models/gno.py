"""The graph neural operator: an integral over a ball with a learned kernel, on any points."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import is_number, require, require_counts, require_list_of_counts
from pdesurr.fields import Grid
from pdesurr.nn import coordinates
from pdesurr.nn.activation import gelu
from pdesurr.nn.cloud import Cloud, asked_cloud, collected, dealt, input_cloud
from pdesurr.nn.coordinates import Period
from pdesurr.nn.graph import KernelIntegral, degree_for, edges, neighbours, reassemble, shuffled, slices, spacing, sub_grids
from pdesurr.nn.mlp import MLP, rows
from pdesurr.nn.points import Points, unflat
from pdesurr.types import Key, Samples


class GraphLayer(eqx.Module):
    """v -> gelu(W v + K v + b)."""

    skip: eqx.nn.Linear
    kernel: KernelIntegral

    def __init__(self, features: int, width: int, hidden: tuple[int, ...], *, key: Key):
        keys = jax.random.split(key)
        self.skip = eqx.nn.Linear(width, width, key=keys[0])
        self.kernel = KernelIntegral(features, width, width, hidden, key=keys[1])


class GNO(eqx.Module):
    """u = Q (L o ... o L) P(x, a(x)): lifting P and head Q act at each point, and each of `depth` layers is

        v -> gelu(W v + K v + b),    (K v)(x) = mean over |y - x| <= radius of K(x, y, a(x), a(y)) v(y),

    K a perceptron with a matrix of `width`^2 numbers as output. The mean is by the grid's quadrature weights, with partial cells at
    the ball's edge (`nn.graph.neighbours`); scattered points count alike. `shared`: one layer for all depths, as published; else
    one each.

    Shapes: values `(*grid, in_channels)` or `(n, in_channels)`, to values `(..., out_channels)` at `x`. Reads no `a.params`.
    `x`: the input's points (also None) or any others. Those listen to the input's points in every layer and are never heard, so
    the answer at a point does not depend on where else one asks; a(x) there is interpolated from the 2^d nearest points of the
    input (inverse square of the distance) and the answer on the input's own points is the same either way.
    More than `nodes` points are dealt into graphs of at most so many, each with its share of `x`, and the answers put together again:
    cost n * nodes * ball, and the density that training saw. The nodes of a grid are dealt into grids of every s-th node (`sub_grids`),
    whose sums are quadratures; other points, and with a `key` those of a grid too, at random (Nystrom sampling). A
    training step is fast when the objective asks for few points: `objectives.SampledL2`.
    `kernel`: hidden widths of the kernel's perceptron, the last its rank: the kernel's matrices span that many dimensions plus
    one. `period`: per axis the period of x, or None. `max_degree`: neighbours kept, the nearest; None = what `nodes` points in a
    box of volume 1 need (a larger box needs less: say so to save time). Where it is too small the ball shrinks.

    Good values: width 32-64, depth 6, radius .1-.25 of the box, 100-400 nodes, Adam 1e-4 to 1e-3. Cost per sample and layer:
    nodes * max_degree * rank * width. Raises `UsageError` for a wrong channel count, dimension or period, and a grid without neighbours.
    Source: Li et al. (arXiv 2003.03485); Kovachki et al., JMLR 24(89), section 4.1.
    """

    lifting: eqx.nn.Linear
    layers: tuple[GraphLayer, ...]
    head: MLP
    in_channels: int = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    max_degree: int = eqx.field(static=True)
    period: Period = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, dimension: int, radius: float, width: int = 64, depth: int = 6, *,
                 kernel: tuple[int, ...] = (64, 64), head_width: int = 128, nodes: int = 300, max_degree: int | None = None,
                 shared: bool = True, period: Period | None = None, key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, dimension=dimension, width=width, depth=depth, nodes=nodes,
                       head_width=head_width, max_degree=1 if max_degree is None else max_degree)
        require_list_of_counts(kernel=kernel)
        require(is_number(radius) and radius > 0, "radius", "a number > 0", radius)
        self.in_channels, self.period = in_channels, coordinates.check_period(period, dimension)
        size = coordinates.width(self.period) + in_channels
        keys = jax.random.split(key, depth + 2)
        self.lifting = eqx.nn.Linear(size, width, key=keys[0])
        self.head = MLP((width, head_width, out_channels), key=keys[1])
        e = dimension + size + in_channels
        self.layers = tuple(GraphLayer(e, width, tuple(kernel), key=k) for k in keys[2:3 if shared else None])
        self.radius, self.depth, self.nodes = float(radius), depth, nodes
        self.max_degree = degree_for(nodes, radius, dimension) if max_degree is None else max_degree

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        perceptron = self.layers[0].kernel.perceptron
        return {"in_channels": self.in_channels, "out_channels": self.head.layers[-1].weight.shape[-2], "dimension": len(self.period),
                "radius": self.radius, "width": self.lifting.weight.shape[-2], "depth": self.depth,
                "kernel": [*perceptron.hidden, perceptron.layers[-1].weight.shape[-2]], "head_width": self.head.hidden[0],
                "nodes": self.nodes, "max_degree": self.max_degree, "shared": len(self.layers) < self.depth or self.depth == 1,
                "period": list(self.period)}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        senders = input_cloud(a, self.in_channels, self.period)
        asked = asked_cloud(a, x, senders, self.period)
        groups = math.ceil(len(senders.points) / self.nodes)
        h = spacing(a.points, groups)
        require(h <= self.radius, "a.points", f"nodes nearer to each other than radius={self.radius:g}, or there is nothing to hear",
                f"a spacing of {h:.3g} in a graph of {len(senders.points) // groups} nodes", "raise radius or nodes")
        if groups == 1:
            u = self.graph(senders, asked, h)
        elif key is None and isinstance(a.points, Grid):
            u = self._on_sub_grids(senders, asked, a.points)
        else:
            u = self._graphs(senders, asked, groups, key)
        return unflat(u, a.points if x is None else x)

    @eqx.filter_jit  # called outside jit it is one program, not hundreds
    def graph(self, senders: Cloud, asked: Cloud | None, h: float = 0.0) -> Float[Array, "q out"]:
        """One graph of all `senders`, a lattice of spacing `h` or scattered; the answer at `asked`, or at themselves."""
        receivers = senders.followed_by(asked)
        links = neighbours(senders.points, receivers.points, self.radius, self.max_degree, self.period, h)
        weights = links.weights(senders.weights)
        e = edges(links, senders.points, senders.values, receivers.points, receivers.known, self.radius, self.period)
        bases = [layer.kernel.basis(e, weights) for layer in self.layers]
        v = rows(self.lifting, receivers.known)
        for t in range(self.depth):
            layer, basis = self.layers[t % len(self.layers)], bases[t % len(bases)]
            v = gelu(rows(layer.skip, v) + layer.kernel(basis, weights, v[links.index]))
        return self.head(v if asked is None else v[len(senders.points):])

    def _on_sub_grids(self, senders: Cloud, asked: Cloud | None, grid: Grid) -> Float[Array, "q out"]:
        """One graph for each of the sub-grids, one after the other. A place beyond the last node is a node that is not heard."""
        n, members = len(senders.points), sub_grids(grid.shape, self.nodes)
        h = spacing(grid, len(members))

        def share(row: Array) -> Cloud:
            cloud = senders[jnp.minimum(row, n - 1)]
            return eqx.tree_at(lambda c: c.weights, cloud, jnp.where(row < n, cloud.weights, 0))

        if asked is None:
            u = lax.map(jax.checkpoint(lambda row: self.graph(share(row), None, h)), jnp.asarray(members))
            return jnp.zeros((n, u.shape[-1]), u.dtype).at[members.ravel()].set(u.reshape(-1, u.shape[-1]), mode="drop")
        shares = dealt(len(asked.points), len(members))
        u = lax.map(jax.checkpoint(lambda ij: self.graph(share(ij[0]), asked[ij[1]], h)), (jnp.asarray(members), shares))
        return collected(u, len(asked.points))

    def _graphs(self, senders: Cloud, asked: Cloud | None, groups: int, key: Key | None) -> Float[Array, "q out"]:
        """Random graphs one after the other: the memory of one, forward and backward."""
        n = len(senders.points)
        size, order = math.ceil(n / groups), shuffled(senders.points, key)
        members = slices(order, jnp.arange(groups) * size, size)
        if asked is None:
            return reassemble(lax.map(jax.checkpoint(lambda i: self.graph(senders[i], None)), members), order)
        shares = dealt(len(asked.points), groups)
        u = lax.map(jax.checkpoint(lambda ij: self.graph(senders[ij[0]], asked[ij[1]])), (members, shares))
        return collected(u, len(asked.points))
