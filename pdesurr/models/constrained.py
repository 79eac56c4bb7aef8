"""Conditions that hold by construction: a coordinate model times a factor that vanishes where they are given, plus what they say."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Region
from pdesurr.models.coordinate import AbstractCoordinateModel, nested_jet

Carried = Callable[[Jet], Jet]  # coordinates (n, d) to functions of them, (n, 1) or (n, out)


class HardConstraint(AbstractCoordinateModel):
    """u(x) = lift(x) + factor(x) model(x): u is `lift` wherever `factor` is zero, whatever is trained. Derivatives by Leibniz's rule.

    Zero on the walls of a box, axes 0 and 1:

        HardConstraint(model, vanishing(region, (0, 1)))

    u = u0 at time 0 and zero on the walls of axis 1, for a u0 that is zero there:

        factor = product(initial(0, 0.0), vanishing(region, (1,)))
        HardConstraint(model, factor, given(lambda t, x: jnp.sin(math.pi * x)))

    A field that is linear in its head stays so: `LeastSquares` solves for it. `objectives.constraints` refuses a problem whose conditions
    contradict the lift. Source: Lagaris, Likas and Fotiadis, IEEE Trans. Neural Netw. 9 (1998).
    """

    model: Any
    factor: Carried = eqx.field(static=True)
    lift: Carried = eqx.field(static=True)

    def __init__(self, model: AbstractCoordinateModel, factor: Carried, lift: Carried = lambda x: constant(x, 0.0)):
        require(hasattr(model, "jet"), "model", "a coordinate model, which carries derivatives", type(model).__name__)
        require(callable(factor) and callable(lift), "factor, lift", "functions of a jet of coordinates (see `given`)", (factor, lift))
        self.model, self.factor, self.lift = model, factor, lift

    @property
    def head(self) -> Any:
        """The head `(features, out)` of a model that is linear in it."""
        return self.model.head

    def features(self, x: Jet) -> Jet:
        """u = lift + features @ head, if the model is linear in its head."""
        require(hasattr(self.model, "features"), "model", "one that is linear in its head", type(self.model).__name__)
        return self.factor(x) * self.model.features(x)

    def jet(self, x: Jet) -> Jet:
        return self.lift(x) + self.factor(x) * self.model.jet(x)


def constant(x: Jet, value: float | int) -> Jet:
    """The same number at every point."""
    return x.linear(lambda part: jnp.zeros_like(part[:, :1])).shift(float(value))


def coordinate(x: Jet, axis: int) -> Jet:
    """One coordinate `(n, 1)`."""
    return x.linear(lambda part: part[:, axis : axis + 1])


def given(function: Callable[..., Array]) -> Carried:
    """A function of the coordinates, one array `(n,)` each, carried by nested forward mode: `given(lambda t, x: jnp.sin(x))`."""
    return lambda x: nested_jet(lambda points: jnp.broadcast_to(function(*points.T), points.shape[:1])[:, None], x.value, x.indices)


def vanishing(region: Region, axes: Sequence[int]) -> Carried:
    """prod_k (x_k - a_k)(b_k - x_k), scaled to 1 in the middle: zero on the walls across `axes`. Raises `UsageError` for no such axis."""
    require(len(axes) > 0 and all(0 <= k < region.ndim for k in axes), "axes", f"axes from 0 to {region.ndim - 1}", tuple(axes))

    def factor(x: Jet) -> Jet:
        walls = constant(x, 1.0)
        for k in axes:
            low, high, own = region.lower[k], region.upper[k], coordinate(x, k)
            walls = walls * (own.shift(-low) * own.scale(-1.0).shift(high)).scale(4 / (high - low) ** 2)
        return walls

    return factor


def initial(axis: int, start: float | int) -> Carried:
    """t - t0: zero at the start."""
    return lambda x: coordinate(x, axis).shift(-float(start))


def product(*factors: Carried) -> Carried:
    """Zero where one of them is."""
    require(len(factors) > 0, "factors", "at least one", factors)

    def factor(x: Jet) -> Jet:
        total = factors[0](x)
        for f in factors[1:]:
            total = total * f(x)
        return total

    return factor
