"""Where an equation or a condition holds: boxes, their faces and corners in time, and points drawn from them on the device."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pdesurr.checks import require

Numbers = tuple[float, ...]
Order = Literal["uniform", "quasi", "gauss"]


class Region(eqx.Module):
    """A box, or the part of it where some axes are fixed: a wall, a corner line, a time. Static: it carries no arrays.

    `lower`, `upper`: the box. `fixed`: by axis the value it is held at. `draw` gives points, `(n, d)` with all axes.
    """

    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)
    fixed: tuple[tuple[int, float], ...] = eqx.field(static=True, default=())

    def __check_init__(self):
        check_box(self.lower, self.upper)
        for axis, value in self.fixed:
            require(0 <= axis < len(self.lower), "fixed", f"an axis from 0 to {len(self.lower) - 1}", axis)
            low, high = self.lower[axis], self.upper[axis]
            require(low <= value <= high, "fixed", f"a value in [{low}, {high}], the box along axis {axis}", value)

    @property
    def ndim(self) -> int:
        return len(self.lower)

    def at(self, axis: int, value: float | int) -> "Region":
        """The part with that axis held at that value."""
        return Region(self.lower, self.upper, (*self.fixed, (axis, float(value))))

    def within(self, axis: int, low: float | int, high: float | int) -> "Region":
        """The part between two values of an axis."""
        new = lambda ends, v: (*ends[:axis], float(v), *ends[axis + 1 :])  # noqa: E731
        return Region(new(self.lower, low), new(self.upper, high), self.fixed)

    def place(self, unit: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Points of the unit cube into the region."""
        low, high = (jnp.asarray(v, unit.dtype)[None] for v in (self.lower, self.upper))
        points = low + (high - low) * unit
        for axis, value in self.fixed:
            points = points.at[:, axis].set(value)
        return points

    @property
    def free(self) -> tuple[int, ...]:
        """The axes that are not held."""
        return tuple(axis for axis in range(self.ndim) if axis not in dict(self.fixed))

    @property
    def volume(self) -> float:
        """Of the region itself: an area for a wall of a box, 1 for a point."""
        return math.prod(self.upper[axis] - self.lower[axis] for axis in self.free)

    def spread(self, unit: Float[Array, "n k"]) -> Float[Array, "n d"]:
        """Points of the unit cube of the free axes into the region."""
        points = jnp.zeros((len(unit), self.ndim), unit.dtype)
        for column, axis in enumerate(self.free):
            points = points.at[:, axis].set(unit[:, column])
        return self.place(points)

    def draw(self, key: PRNGKeyArray, n: int, order: Order = "uniform") -> Float[Array, "n d"]:
        """Points: "uniform", n independent ones; "quasi", a Kronecker sequence (generalised golden ratio) under a random shift, which
        fills the region evenly, its discrepancy falling like 1/n (Roberts 2018); "gauss", the nodes of `quadrature`, at most n."""
        dtype = jnp.result_type(float)
        if order == "uniform":
            return self.place(jax.random.uniform(key, (n, self.ndim), dtype))
        if order == "gauss":
            return self.quadrature(n)[0]
        axes = len(self.free)
        return self.spread((jnp.asarray(kronecker(n, axes), dtype) + jax.random.uniform(key, (1, axes), dtype)) % 1.0)

    def quadrature(self, n: int) -> tuple[Float[Array, "m d"], Float[Array, " m"]]:
        """Gauss-Legendre nodes, as many along each free axis as make at most n, and their weights, of mean 1: with k along an axis
        polynomials of degree 2 k - 1 are integrated exactly."""
        axes = len(self.free)
        side = math.floor(n ** (1 / axes) + 1e-9) if axes else 1
        nodes, weights = np.polynomial.legendre.leggauss(side)
        places = np.indices((side,) * axes).reshape(axes, side**axes).T
        dtype = jnp.result_type(float)
        return (self.spread(jnp.asarray((nodes[places] + 1) / 2, dtype)),
                jnp.asarray(np.prod(weights[places] / np.mean(weights), axis=1), dtype))


def box(*ends: tuple[float | int, float | int]) -> Region:
    """`box((0, 1), (-1, 1))`: one pair of ends for each axis."""
    return Region(tuple(float(a) for a, _ in ends), tuple(float(b) for _, b in ends))


def faces(region: Region, axes: tuple[int, ...]) -> tuple[Region, ...]:
    """The two faces across each of `axes`, a tuple of their numbers."""
    sound = isinstance(axes, tuple) and all(0 <= axis < region.ndim for axis in axes)
    require(sound, "axes", f"a tuple of numbers from 0 to {region.ndim - 1}", axes)
    return tuple(region.at(axis, end) for axis in axes for end in (region.lower[axis], region.upper[axis]))


def check_box(lower: Numbers, upper: Numbers) -> None:
    """Raise `UsageError` unless they are the ends of a box."""
    sound = len(lower) == len(upper) > 0 and all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(lower, upper, strict=True))
    require(sound, "box", "finite ends lower < upper for each axis", (tuple(lower), tuple(upper)))


def kronecker(n: int, dim: int) -> Float[np.ndarray, "n d"]:
    """k a mod 1, k = 1 ... n, a_j = g^-j, g the root of g^(d + 1) = g + 1."""
    g = 2.0
    for _ in range(64):
        g = (1 + g) ** (1 / (dim + 1))
    return (np.arange(1, n + 1)[:, None] * g ** -np.arange(1.0, dim + 1)) % 1.0
