"""Points as a network sees them: each coordinate itself, or, on an axis with a period, its cosine and sine."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import is_number, require
from pdesurr.fields import Grid

Period = tuple[float | None, ...]


def check_period(period: Period | None, dimension: int) -> Period:
    """One period (a length > 0, or None for an axis without) per axis; None = none has one."""
    fits = period is None or (isinstance(period, tuple | list) and len(period) == dimension
                              and all(p is None or (is_number(p) and p > 0) for p in period))
    require(fits, "period", f"None, or for each of {dimension} axes a length > 0 or None", period)
    return (None,) * dimension if period is None else tuple(period)


def check_axes(points: Grid | Array, period: Period) -> None:
    """Raise `UsageError` if on a grid these periods give two of its nodes the same features, or are not an axis's own."""
    if not isinstance(points, Grid):
        return
    require(points.ndim == len(period), "a.points", f"a grid of {len(period)} axes, as the model was made for", points)
    for basis, p, name in zip(points.bases, period, points.names, strict=True):
        own = p is None or (math.isclose(p, basis.length, rel_tol=1e-5) if basis.periodic else p > basis.length)
        allowed = f"{basis.length:.6g}, the axis's own, or None" if basis.periodic else f"None or more than the axis's {basis.length:.6g}"
        require(own, f"period on axis {name}", allowed, p, "make the model with that period")


def width(period: Period) -> int:
    """How many features a point has."""
    return sum(1 if p is None else 2 for p in period)


def features(x: Float[Array, "n d"], period: Period) -> Float[Array, "n f"]:
    """Per axis x_i, or (cos(2 pi x_i / p_i), sin(2 pi x_i / p_i)): what is made of these has the periods exactly."""
    require(x.shape[1] == len(period), "points", f"shape (n, {len(period)})", x.shape, "the model was made for that many axes")
    columns = []
    for i, p in enumerate(period):
        if p is None:
            columns.append(x[:, i])
        else:
            angle = x[:, i] * (2 * math.pi / p)
            columns += [jnp.cos(angle), jnp.sin(angle)]
    return jnp.stack(columns, axis=1)
