"""The pointwise calculus: a field known at points by its value and the derivatives that an equation asks for, each found once."""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields._field import AbstractField, without_a_basis
from pdesurr.fields.jets import Index, leibniz, nested, partitions

FieldText = Callable[..., Any]  # of fields, to a field
ANY = float("nan")  # stands for numbers while an equation is only asked what it reads: no operation on it raises


class PointwiseField(AbstractField):
    """A scalar function at n points: `at(index)` is its derivative of that index, `(n,)`. Sums, products, quotients and whole powers
    follow the rules of calculus, so the text of an equation reads only derivatives of its unknowns."""

    at: Callable[[Index], Any]
    points: Float[Array, "n d"] | None
    names: tuple[str, ...] = eqx.field(static=True)

    inverse_laplacian = without_a_basis

    def __init__(self, at: Callable[[Index], Any], points: Float[Array, "n d"] | None, names: tuple[str, ...]):
        """`points` None: the field is asked only which derivatives it would need (see `needed`)."""
        self.at, self.points, self.names = functools.cache(at), points, names

    @property
    def value(self) -> Float[Array, " n"]:
        return self.at((0,) * len(self.names))

    def _like(self, at: Callable[[Index], Any]) -> "PointwiseField":
        return PointwiseField(at, self.points, self.names)

    def combine(self, op, other, linear):
        if op is operator.pow:
            require(isinstance(other, int) and other >= 1, "power", "a whole number >= 1", other)
            return functools.reduce(operator.mul, [self] * other)
        f = self.at
        if not isinstance(other, PointwiseField):
            if op in (operator.mul, operator.truediv):
                return self._like(lambda i: op(f(i), other))
            return self._like(lambda i: f(i) if any(i) else op(f(i), other))
        g = other.at
        if op in (operator.add, operator.sub):
            return self._like(lambda i: op(f(i), g(i)))
        if op is operator.mul:
            return self._like(lambda index: sum(c * f(i) * g(j) for i, j, c in leibniz(index)))
        if op is operator.truediv:  # f = q g, solved for the highest derivative of q

            @functools.cache
            def quotient(index: Index) -> Any:
                known = sum(c * quotient(i) * g(j) for i, j, c in leibniz(index) if i != index)
                return (f(index) - known) / g((0,) * len(index))

            return self._like(quotient)
        raise expected("operation", "+, -, *, / or a whole power of fields", op.__name__)

    def derivative(self, name, order):
        require(name in self.names, "axis", f"one of {self.names}", name)
        require(isinstance(order, int) and order >= 0, "order", "a whole number >= 0", order)
        axis, f = self.names.index(name), self.at
        return self._like(lambda i: f((*i[:axis], i[axis] + order, *i[axis + 1 :])))

    def applied(self, function):
        """By Faa di Bruno's formula."""
        f, zero = self.at, (0,) * len(self.names)

        def at(index: Index) -> Any:
            value, order = f(zero), sum(index)
            outer = [ANY] * (order + 1) if self.points is None else nested(function)(value, order)
            if order == 0:
                return outer[0]
            return sum(c * outer[len(blocks)] * math.prod(f(b) for b in blocks) for blocks, c in partitions(index))

        return self._like(at)

    def known(self, function, names):
        require(set(names) <= set(self.names), "axes of a known function", f"some of {self.names}", names)
        axes = [self.names.index(name) for name in names]
        points = self.points
        if points is None:
            return self._like(lambda i: ANY)

        def at(index: Index) -> Array:
            if any(k and axis not in axes for axis, k in enumerate(index)):
                return jnp.zeros_like(points[:, 0])
            f = function
            for place, axis in enumerate(axes):
                for _ in range(index[axis]):
                    f = _partial(f, place)
            return jnp.broadcast_to(f(*(points[:, axis] for axis in axes)), points.shape[:1])

        return self._like(at)


def _partial(function: Callable, place: int) -> Callable:
    """The derivative of a function of arrays that acts point by point."""

    def derivative(*at: Array) -> Array:
        along = lambda v: jnp.broadcast_to(function(*at[:place], v, *at[place + 1 :]), v.shape)  # noqa: E731
        return jax.jvp(along, (at[place],), (jnp.ones_like(at[place]),))[1]

    return derivative


def needed(text: FieldText, channels: int, names: tuple[str, ...]) -> tuple[tuple[Index, ...], ...]:
    """Which derivatives `text(*fields)` reads of each of its `channels` unknowns: found by running it once without points."""
    found: list[set[Index]] = [set() for _ in range(channels)]

    def unknown(channel: int) -> PointwiseField:
        def at(index: Index) -> float:
            found[channel].add(index)
            return ANY

        return PointwiseField(at, None, names)

    answers = text(*(unknown(c) for c in range(channels)))
    for answer in answers if isinstance(answers, tuple) else (answers,):
        if isinstance(answer, PointwiseField):
            answer.at((0,) * len(names))
    return tuple(tuple(sorted(s)) for s in found)
