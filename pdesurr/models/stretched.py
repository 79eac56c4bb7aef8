"""A coordinate stretched where the solution has layers: what is thin there is wide for the model."""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet, nested, partitions
from pdesurr.fields.regions import Numbers, Region
from pdesurr.models.coordinate import AbstractCoordinateModel

FINE = 20_001  # points of a region's axis at which shares are counted


class Stretched(AbstractCoordinateModel):
    """u(x) = model(s(x)), s = x but along `axis`, where s is linear in

        z + weight sum_k asinh((x - centres_k) / widths_k)

    (z: the axis scaled to (-1, 1)) and maps the region's interval onto itself. Near a centre s grows like x / widths_k, further off like
    log |x - centres_k|, so that a layer and all scales between it and the region get their share. Derivatives by Faa di Bruno's rule. A
    field that is linear in its head stays so. Without centres s = x.

    Not trained. A layer tanh((x - c) / w) is resolved exponentially with widths near w, by fields that are linear in their head. For
    points, `shares` cuts the region into equal parts of s. Raises `UsageError` for an axis the region lacks, centres and widths of other
    lengths, widths <= 0.
    Source: maps for layers, Tee and Trefethen, SIAM J. Sci. Comput. 28 (2006); this one joins asinh maps of several centres.
    """

    model: Any
    axis: int = eqx.field(static=True)
    ends: tuple[float, float] = eqx.field(static=True)
    centres: Numbers = eqx.field(static=True)
    widths: Numbers = eqx.field(static=True)
    weight: float = eqx.field(static=True)

    def __init__(self, model: AbstractCoordinateModel, region: Region, axis: int, centres: tuple[float | int, ...],
                 widths: tuple[float | int, ...], weight: float | int = 3.0):
        require(hasattr(model, "jet"), "model", "a coordinate model, which carries derivatives", type(model).__name__)
        require(0 <= axis < region.ndim, "axis", f"an axis from 0 to {region.ndim - 1}", axis)
        sound = all(map(math.isfinite, (*centres, *widths))) and min(widths, default=1.0) > 0
        require(len(centres) == len(widths) and sound, "centres, widths", "as many finite numbers, widths > 0", (centres, widths))
        require(weight > 0, "weight", "a number > 0", weight)
        self.model, self.axis, self.ends, self.weight = model, axis, (region.lower[axis], region.upper[axis]), float(weight)
        self.centres, self.widths = tuple(map(float, centres)), tuple(map(float, widths))

    @property
    def head(self) -> Any:
        """The head `(features, out)` of a model that is linear in it."""
        return self.model.head

    def along(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """s of coordinates of the axis."""
        low, high = self.ends

        def raw(x: Any) -> Any:
            terms = (jnp.arcsinh((x - c) / w) for c, w in zip(self.centres, self.widths, strict=True))
            return functools.reduce(operator.add, (self.weight * t for t in terms), (2 * x - low - high) / (high - low))

        first, last = (raw(jnp.asarray(end, x.dtype)) for end in self.ends)
        return low + (high - low) * ((raw(x) - first) / (last - first))

    def shares(self, region: Region, count: int) -> tuple[Region, ...]:
        """`count` parts of a region along the axis that are equally long in s: to draw as many points from each."""
        require(count >= 1, "count", "a number of parts >= 1", count)
        low, high = region.lower[self.axis], region.upper[self.axis]
        x = np.linspace(low, high, FINE)
        s = np.asarray(self.along(jnp.asarray(x)))
        edges = [low, *np.interp(np.linspace(s[0], s[-1], count + 1)[1:-1], s, x), high]
        return tuple(region.within(self.axis, float(a), float(b)) for a, b in zip(edges[:-1], edges[1:], strict=True))

    def features(self, x: Jet) -> Jet:
        require(hasattr(self.model, "features"), "model", "one that is linear in its head", type(self.model).__name__)
        return self._through(x, self.model.features)

    def jet(self, x: Jet) -> Jet:
        return self._through(x, self.model.jet)

    def _through(self, x: Jet, values: Callable[[Jet], Jet]) -> Jet:
        s = nested(self.along)(x.value[:, self.axis], max(index[self.axis] for index in x.indices))
        f = values(Jet.coordinates(x.value.at[:, self.axis].set(s[0]), x.indices))

        def part(index: tuple[int, ...]) -> Array:
            before, after = index[: self.axis], index[self.axis + 1 :]
            total = jnp.zeros_like(f.value)
            for blocks, count in partitions((index[self.axis],)):
                slopes = functools.reduce(operator.mul, (s[b[0]][:, None] for b in blocks), count * jnp.ones_like(f.value[:, :1]))
                total = total + slopes * f.part((*before, len(blocks), *after))
            return total

        return Jet(tuple(map(part, x.indices)), x.indices)
