"""Points as a network sees them: each coordinate itself, or, on an axis with a period, its cosine and sine."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require

Period = tuple[float | None, ...]


def check_period(period: Period | None, dimension: int) -> Period:
    """One period (a length > 0, or None for an axis without) per axis; None = none has one."""
    period = (None,) * dimension if period is None else tuple(period)
    require(len(period) == dimension and all(p is None or p > 0 for p in period), "period",
            f"None, or for each of {dimension} axes a length > 0 or None", period)
    return period


def width(period: Period) -> int:
    """How many features a point has."""
    return sum(1 if p is None else 2 for p in period)


def features(x: Float[Array, "n d"], period: Period) -> Float[Array, "n f"]:
    """Per axis x_i, or (cos(2 pi x_i / p_i), sin(2 pi x_i / p_i)): what is made of these has the periods exactly."""
    require(x.shape[1] == len(period), "points", f"shape (n, {len(period)})", x.shape)
    columns = []
    for i, p in enumerate(period):
        if p is None:
            columns.append(x[:, i])
        else:
            angle = x[:, i] * (2 * math.pi / p)
            columns += [jnp.cos(angle), jnp.sin(angle)]
    return jnp.stack(columns, axis=1)
