"""What acts at each point of channel-leading values, and what models on a grid ask of their input."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid, SplitGrid
from pdesurr.fields.split import Split, local_shape
from pdesurr.types import Key, Samples


def once(v: Float[Array, "..."]) -> Float[Array, "..."]:
    """`v`, computed once and kept, forward and backward: without it XLA recomputes it, transposed, inside each of its readers."""
    return lax.optimization_barrier(v)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def spread(c: Float[Array, " channel"], points: int) -> Float[Array, "channel points"]:
    """One number per channel at every point. Its derivative is written as a product with ones, whose transpose sums over the points
    in less time than XLA's own reduction takes on a CPU."""
    return jnp.broadcast_to(c[:, None], (len(c), points))


@spread.defjvp
def _spread_jvp(points, primals, tangents):
    (c,), (dc,) = primals, tangents
    return spread(c, points), lax.dot_general(dc[:, None], jnp.ones((1, points), c.dtype), (((1,), (0,)), ((), ())))


class Pointwise(eqx.Module):
    """One matrix applied at every point of channel-leading values: u = W v + b. Uniform(+-1/sqrt(in)) at first."""

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"] | None

    def __init__(self, in_channels: int, out_channels: int, *, use_bias: bool = True, key: Key):
        bound = in_channels**-0.5
        key_weight, key_bias = jax.random.split(key)
        self.weight = jax.random.uniform(key_weight, (out_channels, in_channels), minval=-bound, maxval=bound)
        self.bias = jax.random.uniform(key_bias, (out_channels,), minval=-bound, maxval=bound) if use_bias else None

    def __call__(self, v: Float[Array, "in points"]) -> Float[Array, "out points"]:
        u = lax.dot_general(self.weight.astype(v.dtype), v, (((1,), (0,)), ((), ())))
        return u if self.bias is None else u + spread(self.bias.astype(u.dtype), u.shape[1])


def check_flags(name: str, flags: object, axes: int) -> tuple[bool, ...]:
    """One truth value per axis; None = all False. Raises `UsageError` for anything else."""
    if flags is None:
        return (False,) * axes
    if not (isinstance(flags, tuple | list) and len(flags) == axes):
        raise expected(name, f"None or one bool per axis, {axes} of them", flags)
    return tuple(flags)


def only_on_grid(a: Samples, x: object, axes: int, channels: int, split: Split | None = None) -> Grid:
    """The input's grid. Raises `UsageError` unless a batch `(batch, *grid, channels)` lives on a grid of that many axes (on this device's
    slice of it, with a `split`), and `x` is None or that grid."""
    grid = a.points
    if not isinstance(grid, Grid):
        raise expected("a.points", "a Grid (this model needs values on a grid)", grid, "interpolate the samples to a Grid first")
    if isinstance(grid, SplitGrid):
        raise expected("a.points", "the plain Grid", "a SplitGrid", "train with fit(..., slices=) on the grid it was made of")
    if x is not None and x != grid:
        raise expected("x", f"None or the input's own grid {grid}", x, "evaluate on the input's grid and interpolate the result")
    require(grid.ndim == axes, "a.points", f"a grid of {axes} axes, as the model was made for", grid)
    shape = (*local_shape(grid, split), channels)
    require(a.values.ndim == axes + 2 and a.values.shape[1:] == shape, "a.values", f"shape {shape} per sample", a.values.shape[1:],
            f"the model was made for {axes} axes and in_channels={channels}")
    return grid


def grids(a: Samples, x: object, why: str) -> tuple[Grid, Grid]:
    """The grids of a batch `(batch, *grid, c)` and of the answer. Raises `UsageError` for bare points; `why` says what a grid is for."""
    for name, points in (("a.points", a.points), ("x", a.points if x is None else x)):
        if not isinstance(points, Grid):
            raise expected(name, f"a Grid, {why}", points, "interpolate the samples to a Grid first")
    grid: Grid = a.points  # pyright: ignore[reportAssignmentType]
    require(a.values.shape[1:-1] == grid.shape, "a.values", f"shape {grid.shape} and channels per sample", a.values.shape[1:])
    return grid, grid if x is None else x  # pyright: ignore[reportReturnType]


def coordinate_channels(v: Float[Array, "channel batch *grid"], grid: Grid, which: tuple[bool, ...],
                        split: Split | None = None) -> Float[Array, "more batch *grid"]:
    """`v` with (x - lower) / length of the axes `which` names as further channels."""
    extra = []
    for i, b in enumerate(grid.bases):
        if which[i]:
            x = jnp.asarray((b.nodes - b.lower) / b.length, v.dtype)
            if i == 0 and split is not None:
                x = lax.dynamic_slice_in_dim(x, lax.axis_index(split.axis) * v.shape[2], v.shape[2])
            x = x.reshape([-1 if j == i + 2 else 1 for j in range(v.ndim)])
            extra.append(jnp.broadcast_to(x, (1, *v.shape[1:])))
    return jnp.concatenate([v, *extra])
