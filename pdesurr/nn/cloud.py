"""Points and what is known at them: what graph models send from and answer at."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.nn import coordinates
from pdesurr.nn.coordinates import Period
from pdesurr.nn.graph import interpolate
from pdesurr.nn.points import Points, elsewhere, flat, measure, nodes
from pdesurr.types import Samples


class Cloud(eqx.Module):
    """Points, what each knows (its coordinates' features, a(x)), a(x) alone, and its quadrature weight."""

    points: Float[Array, "n d"]
    known: Float[Array, "n f"]
    values: Float[Array, "n c"]
    weights: Float[Array, " n"]

    def __getitem__(self, index: Array) -> "Cloud":
        return Cloud(*(v[index] for v in (self.points, self.known, self.values, self.weights)))

    def followed_by(self, other: "Cloud | None") -> "Cloud":
        """Both, this one first."""
        return self if other is None else jax.tree.map(lambda u, v: jnp.concatenate([u, v]), self, other)


def input_cloud(a: Samples, in_channels: int, period: Period) -> Cloud:
    """The input function's points. Raises `UsageError` for a wrong channel count, dimension or period."""
    require(a.values.shape[-1] == in_channels, "a.values", f"{in_channels} channels", a.values.shape)
    check_grid_period(a.points, period)
    points, values = flat(a)
    known = jnp.concatenate([coordinates.features(points, period), values], axis=1)
    return Cloud(points, known, values, measure(a.points, values.dtype))


def known_at(a: Samples, x: Points, period: Period) -> Float[Array, "m f"]:
    """(x, a(x)) at points other than the input's own. On a grid whose bases have a transform a(x) is the expansion's value; on
    other grids and on scattered points it is interpolated."""
    points = nodes(x, a.values.dtype)
    at_points = coordinates.features(points, period)
    if isinstance(a.points, Grid) and a.points.spectral:
        values = a.points.evaluate(a.points.transform(a.values), points)
    else:
        values = interpolate(*flat(a), points, period)
    return jnp.concatenate([at_points, values], axis=1)


def asked_cloud(a: Samples, x: Points | None, senders: Cloud, period: Period) -> Cloud | None:
    """The points of an answer that are not the input's own, with a(x) between the input's points; None if `x` are those."""
    if x is None or not elsewhere(a, x):
        return None
    check_grid_period(x, period)
    points = nodes(x, a.values.dtype)
    values = interpolate(senders.points, senders.values, points, period)
    known = jnp.concatenate([coordinates.features(points, period), values], axis=1)
    return Cloud(points, known, values, jnp.zeros(len(points), values.dtype))


def dealt(n: int, groups: int) -> Array:
    """Numbers below `n` dealt like cards to `groups`, `(groups, ceil(n / groups))`, the first ones again where they run out."""
    return (jnp.arange(groups * -(-n // groups)) % n).reshape(-1, groups).T


def collected(u: Float[Array, "g size c"], n: int) -> Float[Array, "n c"]:
    """The inverse of `dealt`."""
    return jnp.swapaxes(u, 0, 1).reshape(-1, u.shape[-1])[:n]


def check_grid_period(x: Grid | Array, period: Period) -> None:
    """Raise `UsageError` if a grid's periodic axes are not those of `period`, or if points have another dimension."""
    if isinstance(x, Grid):
        own = tuple(b.length if b.periodic else None for b in x.bases)
        fits = len(own) == len(period) and all((p is None) == (q is None) and np.isclose(p or 1, q or 1) for p, q in
                                               zip(own, period, strict=True))
        require(fits, "points", f"a grid with the periods {period} that the model was made for", own,
                f"make the model with dimension={len(own)} and period={own}")
    else:
        require(x.ndim == 2 and x.shape[1] == len(period), "points", f"shape (n, {len(period)})", x.shape,
                f"the model was made with dimension={len(period)}")
