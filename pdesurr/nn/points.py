"""A sampled function as plain arrays over its points, whether they are a grid's nodes or scattered."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.types import Samples, as_samples

Points = Grid | Float[Array, "n d"]


def elsewhere(a: Samples, x: Points | None) -> bool:
    """Whether `x` are other points than the input's own."""
    return not (x is None or x is a.points or (isinstance(x, Grid) and x == a.points))


def nodes(x: Points, dtype=jnp.float32) -> Float[Array, "n d"]:
    """The points, a grid's in the order of its flattened arrays. Raises `UsageError` for what are neither a grid's nor rows."""
    rows = isinstance(x, Grid) or (hasattr(x, "dtype") and x.ndim == 2 and len(x) > 0)
    require(rows, "points", "a Grid or an array (n, d) of one row a point", getattr(x, "shape", type(x).__name__))
    return jnp.asarray(x.nodes.reshape(-1, x.ndim), dtype) if isinstance(x, Grid) else x.astype(dtype)


def flat(a: Samples) -> tuple[Float[Array, "n d"], Float[Array, "n c"]]:
    """Points and values with one axis for all points."""
    points, values = nodes(as_samples(a).points, a.values.dtype), a.values.reshape(-1, a.values.shape[-1])
    require(len(points) == len(values), "a.values", f"values at each of the {len(points)} points", a.values.shape)
    return points, values


def unflat(u: Float[Array, "n c"], x: Points) -> Float[Array, "*grid c"]:
    """Values over flattened points back in the shape of `x`."""
    return u.reshape(*x.shape, -1) if isinstance(x, Grid) else u


def measure(x: Points, dtype=jnp.float32) -> Float[Array, " n"]:
    """Quadrature weights of the mean over the domain; they sum to 1. Scattered points count alike (Monte Carlo)."""
    if not isinstance(x, Grid):
        return jnp.full(x.shape[0], 1 / x.shape[0], dtype)
    weights = x.weights.reshape(-1)
    return jnp.asarray(weights / weights.sum(), dtype)
