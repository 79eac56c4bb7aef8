"""Kernel integrals over the neighbours of a point: neighbour lists of fixed size, and the sum of K(e_ij) v_j without forming K.

Everything has static shapes, so that nothing is compiled again for other points, and works under `vmap`.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.nn.activation import gelu
from pdesurr.nn.coordinates import Period
from pdesurr.nn.mlp import MLP
from pdesurr.nn.points import Points
from pdesurr.types import Key

CHUNK = 1 << 20  # pairs of points whose distances are held at a time


class Links(eqx.Module):
    """Who hears whom: row i lists the senders of receiver i, padded to one length. `share`: how much of a sender counts, in [0, 1];
    0 on the padding."""

    index: Int[Array, "q k"]
    share: Float[Array, "q k"]

    def weights(self, measure: Float[Array, " n"]) -> Float[Array, "q k"]:
        """Weights of the mean over each neighbourhood, w_ij = s_ij m_j / sum_j s_ij m_j; all 0 where there is no neighbour."""
        w = self.share * measure[self.index]
        total = jnp.sum(w, axis=1, keepdims=True)
        return w / jnp.where(total > 0, total, 1)


def displacement(to: Float[Array, "*q d"], start: Float[Array, "*p d"], period: Period) -> Float[Array, "*r d"]:
    """`to - start`, on axes with a period the shortest of its images."""
    gap = to - start
    if all(p is None for p in period):
        return gap
    row = (1,) * (gap.ndim - 1) + (-1,)
    length = jnp.asarray([p or 1.0 for p in period], gap.dtype).reshape(row)
    turns = jnp.asarray([p is not None for p in period], gap.dtype).reshape(row)
    return gap - lax.stop_gradient(turns * length * jnp.round(gap / length))


def neighbours(points: Float[Array, "n d"], queries: Float[Array, "q d"], radius: float, max_degree: int,
               period: Period | None = None, spacing: float = 0.0) -> Links:
    """For each query the points at most `radius` away, the nearest `max_degree` of them, nearest first.

    Points of a lattice whose `spacing` h is given count less and less across the ball's edge, from r' - h/2 to r' + h/2: as by the part of
    their cells that is inside. r' = r (1 - (2d + 1) / 24 min(h/r, 1)^2) leaves the ball's second moment about its centre what it is, to
    fourth order: for d = 2 and h/r up to .35 that moment is within 2 % of the disc's. A sharp edge, which has more or fewer nodes by
    chance, is off by more than 8 % at some of them. Partial cells: Seleson, CMAME 282 (2014), of peridynamics; r' is ours.

    All distances, `CHUNK` of them at a time: O(n q) time, which for the hundreds of points of a graph is less than any cell list
    costs. Where more than `max_degree` points lie within the radius, the ball shrinks: choose it by `degree_for`. The lists carry no
    gradient, what is gathered with them does. Raises `UsageError` for a radius or degree that is not positive.
    """
    require(radius > 0 and max_degree > 0, "radius, max_degree", "numbers > 0", (radius, max_degree))
    edge = radius * (1 - (2 * points.shape[1] + 1) / 24 * min(spacing / radius, 1.0) ** 2)
    points, queries = lax.stop_gradient((points, queries))
    period = (None,) * points.shape[1] if period is None else period
    k = min(max_degree, len(points))

    def nearest(x: Float[Array, " d"]) -> tuple[Array, Array]:
        square = jnp.sum(displacement(points, x[None], period) ** 2, axis=1)
        negative, index = lax.top_k(-square, k)
        if not spacing:
            return index, (-negative <= radius**2).astype(square.dtype)
        return index, jnp.clip((edge - jnp.sqrt(-negative)) / spacing + 0.5, 0, 1)

    if len(queries) * len(points) <= CHUNK:
        return Links(*jax.vmap(nearest)(queries))
    return Links(*lax.map(nearest, queries, batch_size=max(1, CHUNK // len(points))))


def degree_for(n: int, radius: float, dimension: int, volume: float = 1.0) -> int:
    """A `max_degree` that `n` random points in a box of that volume seldom reach: the mean number in a ball of that radius and
    three of its standard deviations, n at most."""
    ball = {1: 2.0, 2: np.pi}.get(dimension, 4 * np.pi / 3) * radius**dimension
    mean = n * min(1.0, ball / volume)
    return min(n, int(np.ceil(mean + 3 * mean**0.5 + 1)))


def shuffled(points: Float[Array, "n d"], key: Key | None = None) -> Int[Array, " n"]:
    """A random order of the points that depends on where they are, not on how they are listed: the same points listed otherwise
    come in the same order. Without a key it is always the same order."""
    key = jax.random.key(0) if key is None else key
    bits = lax.bitcast_convert_type(points.astype(jnp.float32), jnp.uint32)

    def draw(row: Array) -> Array:
        folded = key
        for i in range(row.shape[0]):
            folded = jax.random.fold_in(folded, row[i])
        return jax.random.bits(folded)

    return jnp.argsort(jax.vmap(draw)(bits))


def sub_grids(shape: tuple[int, ...], most: int) -> Int[np.ndarray, "g size"]:
    """The nodes of a grid, by their places in its flat order, in grids of the same shape with every s-th node an axis, as many on each as
    `most` lets: one row for each offset. Where s does not divide, a row that has fewer nodes ends in the grid's number of nodes."""
    stride = [int(np.ceil((np.prod(shape) / most) ** (1 / len(shape)) - 1e-9))] * len(shape)
    stride = [min(s, n) for s, n in zip(stride, shape, strict=True)]
    total, rows = int(np.prod(shape)), []
    for offset in np.ndindex(*stride):
        own = [np.arange(o, o + s * -(-n // s), s) for o, s, n in zip(offset, stride, shape, strict=True)]
        places = np.stack(np.meshgrid(*own, indexing="ij"), axis=-1).reshape(-1, len(shape))
        inside = np.all(places < np.asarray(shape), axis=1)
        flat = np.ravel_multi_index(np.minimum(places, np.asarray(shape) - 1).T, shape)
        rows.append(np.sort(np.where(inside, flat, total)))
    return np.stack(rows)


def spacing(x: Points, grids: int = 1) -> float:
    """The distance of neighbouring nodes on one of as many equal sub-grids of a grid, the geometric mean over axes; 0 for scattered
    points. Where the nodes are not equispaced, that of the middle weight."""
    return float(np.median(x.weights) * grids) ** (1 / x.ndim) if isinstance(x, Grid) else 0.0


def interpolate(points: Float[Array, "n d"], values: Float[Array, "n c"], queries: Float[Array, "q d"],
                period: Period) -> Float[Array, "q c"]:
    """Values between points: mean of the 2^d nearest with weights 1 / distance^2 (Shepard), exact on the points."""
    links = neighbours(points, queries, float("inf"), 2 ** points.shape[1], period)
    square = jnp.sum(displacement(points[links.index], queries[:, None], period) ** 2, axis=-1)
    w = 1 / (square + jnp.finfo(square.dtype).tiny ** 0.5)
    return jnp.sum((w / jnp.sum(w, axis=1, keepdims=True))[..., None] * values[links.index], axis=1)


def edges(links: Links, points: Float[Array, "n d"], sent: Float[Array, "n c"], queries: Float[Array, "q d"],
          received: Float[Array, "q r"], radius: float, period: Period) -> Float[Array, "q k e"]:
    """What the kernel reads of each edge, e_ij = ((x_j - x_i) / radius, received_i, sent_j); with x_i among `received` this is
    (x_i, x_j, a_i, a_j) up to a linear map, and it has the periods exactly."""
    gap = displacement(points[links.index], queries[:, None], period) / radius
    mine = jnp.broadcast_to(received[:, None], (*gap.shape[:2], received.shape[1]))
    return jnp.concatenate([gap, mine, sent[links.index]], axis=-1)


class KernelIntegral(eqx.Module):
    """(K v)_i = sum_j w_ij K(e_ij) v_j, K(e) = K_0 + sum_{r < rank} h_r(e) K_r a matrix, h a perceptron of the edge's features.

    Its last layer is linear, so sum_j w_ij h_r(e_ij) v_j comes first and the matrices K_r after: per receiver `rank * in` numbers
    instead of `degree * in * out`, and memory for all edges smaller by in * out / rank. `basis` is that h, weighted; layers that
    share a kernel share it. K_r is N(0, 1 / (in * (rank + 1))) at first.

    Source: Li et al. (arXiv 2003.03485) for K's perceptron; the order of summation is ours.
    """

    perceptron: MLP
    matrices: Float[Array, "rank in out"]
    constant: Float[Array, "in out"]

    def __init__(self, features: int, in_channels: int, out_channels: int, hidden: Sequence[int], *, key: Key):
        require(len(hidden) > 0 and min(hidden) > 0, "hidden", "one width > 0 or more; the last is the kernel's rank", tuple(hidden))
        keys = jax.random.split(key, 3)
        self.perceptron = MLP((features, *hidden), key=keys[0])
        scale = (in_channels * (hidden[-1] + 1)) ** -0.5
        self.matrices = scale * jax.random.normal(keys[1], (hidden[-1], in_channels, out_channels))
        self.constant = scale * jax.random.normal(keys[2], (in_channels, out_channels))

    def basis(self, e: Float[Array, "q k e"], weights: Float[Array, "q k"]) -> Float[Array, "q k rank"]:
        """w_ij h_r(e_ij)."""
        h = gelu(self.perceptron(e.reshape(-1, e.shape[-1])))
        return h.reshape(*e.shape[:2], -1) * weights[..., None]

    def __call__(self, basis: Float[Array, "q k rank"], weights: Float[Array, "q k"], v: Float[Array, "q k in"]) -> Float[Array, "q out"]:
        """The integral at each receiver, `v` being the senders' values in the order of its list."""
        sums = jnp.einsum("qkr,qkc->qrc", basis, v)
        flat = self.matrices.astype(v.dtype).reshape(-1, self.matrices.shape[-1])
        return sums.reshape(len(v), -1) @ flat + jnp.einsum("qk,qkc->qc", weights, v) @ self.constant.astype(v.dtype)

    def formed(self, e: Float[Array, "*edges e"]) -> Float[Array, "*edges in out"]:
        """K(e) itself: to look at a learned kernel, and what the order of summation is tested and timed against."""
        h = gelu(self.perceptron(e.reshape(-1, e.shape[-1])))
        kernel = jnp.einsum("er,rco->eco", h, self.matrices.astype(h.dtype)) + self.constant.astype(h.dtype)[None]
        return kernel.reshape(*e.shape[:-1], *kernel.shape[1:])


def slices(order: Int[Array, " n"], starts: Int[Array, " g"], size: int) -> Int[Array, "g size"]:
    """`size` entries of `order` from each start on, round its end: disjoint where they do not wrap."""
    return order[(starts[:, None] + jnp.arange(size)[None]) % len(order)]


def reassemble(u: Float[Array, "g size c"], order: Int[Array, " n"]) -> Float[Array, "n c"]:
    """What the groups answered, `g` slices of `order` end to end, back at the points' own places."""
    flat = u.reshape(-1, u.shape[-1])[: len(order)]
    return flat[jnp.argsort(order)]
