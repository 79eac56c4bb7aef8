"""A model that answers on grids of other resolutions than its own, by averages of the input and interpolation of the answer."""

import functools
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from pdesurr.checks import require, require_list_of_counts
from pdesurr.fields import AbstractBasis, Grid
from pdesurr.fields._basis import matrix_along
from pdesurr.nn.pointwise import grids
from pdesurr.types import Key, Model, Samples, apply, batch_of_one, describe


class Resampled(eqx.Module):
    """u = P model(R a): the model sees `shape` nodes, whatever the grid.

    R averages over the nodes about each of its own, a_i = <phi_i, a> / <phi_i, 1>, with phi_i the hat functions of its grid: the full
    weighting of multigrid methods, the transpose of linear interpolation. P are cubic splines along each axis, periodic ones on periodic
    axes. Both are the identity on `shape` nodes.

    For fields whose finest scales act on the coarse ones by their means alone, such as a coefficient that jumps: values at every k-th node
    forget where between them the jump is, averages do not, and a step costs what the model's own nodes cost. And for models that are bound
    to their resolution (MgNO, UNet), which so hold on finer grids; the error of the interpolation is added, also to a loss on the fine
    grid. Train the whole on fine data, or the model on averaged inputs, not on values at every k-th node: it is to see averages.

    Values `(*grid, c)` on a grid of `shape` nodes or more along each axis, to answers on that grid or on a grid `x` of the same box.
    Raises `UsageError` for another shape, scattered points, fewer nodes, and an `x` of another box.
    Source: Trottenberg, Oosterlee and Schueller, Multigrid (2001), section 2.3 (full weighting).
    """

    model: Model
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, model: Model, shape: tuple[int, ...]):
        require(callable(model), "model", "a model, called as model(a, x)", model)
        require_list_of_counts(shape=shape)
        self.model, self.shape = model, tuple(map(int, shape))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "shape": list(self.shape)}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, c)`."""
        grid, out = grids(a, x, "between whose nodes there are averages")
        enough = grid.ndim == len(self.shape) and all(n >= m for n, m in zip(grid.shape, self.shape, strict=True))
        require(enough, "a.points", f"a grid of {self.shape} nodes or more", grid.shape)
        own = grid.with_shape(*self.shape)
        require(out.with_shape(*self.shape) == own, "x", f"a grid of the same box and axes as {grid}", out)
        seen = along(averages, grid, own, a.values)
        return along(splines, own, out, apply(self.model, Samples(own, seen, a.params), None, key=key))


def along(matrix: Any, source: Grid, target: Grid, values: Float[Array, "b *grid c"]) -> Float[Array, "b *more c"]:
    """`matrix(basis of the source, basis of the target)` along each axis."""
    for axis, (old, new) in enumerate(zip(source.bases, target.bases, strict=True), start=1):
        values = values if old == new else matrix_along(matrix(old, new), values, axis)
    return values


@functools.lru_cache
def averages(fine: AbstractBasis, coarse: AbstractBasis) -> Float[np.ndarray, "m n"]:
    """Means about each coarse node, weighted by its hat function."""
    order, period = np.argsort(coarse.nodes), coarse.length if coarse.periodic else None
    hats = np.stack([np.interp(fine.nodes, coarse.nodes[order], one[order], period=period) for one in np.eye(len(order))])
    weighted = hats * fine.weights
    return weighted / weighted.sum(axis=1, keepdims=True)


@functools.lru_cache
def splines(coarse: AbstractBasis, fine: AbstractBasis) -> Float[np.ndarray, "n m"]:
    """Cubic splines through values at the coarse nodes, at the fine ones."""
    order, ones = np.argsort(coarse.nodes), np.eye(len(coarse.nodes))
    nodes, ones = coarse.nodes[order], ones[order]
    if coarse.periodic:
        return CubicSpline(np.append(nodes, nodes[0] + coarse.length), np.vstack([ones, ones[:1]]), bc_type="periodic")(fine.nodes)
    return CubicSpline(nodes, ones)(fine.nodes)
