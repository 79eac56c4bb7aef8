"""Functions at points together with their partial derivatives, carried through a calculation by the rules of calculus."""

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Index = tuple[int, ...]  # how often to differentiate along each axis: (0, 2) is the second derivative along the second


class Jet(eqx.Module):
    """Functions `(n, c)` at n points and their partial derivatives: `parts[k]` is the derivative `indices[k]`, `parts[0]` the values.

    `indices` holds with each index all smaller ones, so that sums, products (Leibniz) and compositions (Faa di Bruno) need nothing else.
    """

    parts: tuple[Float[Array, "n c"], ...]
    indices: tuple[Index, ...] = eqx.field(static=True)

    @staticmethod
    def coordinates(points: Float[Array, "n d"], indices: Iterable[Index] = ()) -> "Jet":
        """The coordinates themselves, ready for the derivatives `indices` (and all smaller ones) of what is made of them."""
        dim = points.shape[1]
        indices = closure(indices, dim)
        unit = jnp.eye(dim, dtype=points.dtype)
        rows = [jnp.broadcast_to(unit[index.index(1)], points.shape) if sum(index) == 1 else jnp.zeros_like(points)
                for index in indices[1:]]
        return Jet((points, *rows), indices)

    @property
    def value(self) -> Float[Array, "n c"]:
        return self.parts[0]

    @property
    def dtype(self) -> jnp.dtype:
        return self.parts[0].dtype

    @property
    def channels(self) -> int:
        return self.parts[0].shape[-1]

    def part(self, index: Index) -> Float[Array, "n c"]:
        return self.parts[self.indices.index(index)]

    def linear(self, function: Callable[[Array], Array]) -> "Jet":
        """A linear map of the channels, the same at every point."""
        return Jet(tuple(map(function, self.parts)), self.indices)

    def __matmul__(self, weight: Float[Array, "c k"]) -> "Jet":
        """All parts in one matrix product."""
        n = len(self.parts[0])
        product = jnp.matmul(jnp.concatenate(self.parts), weight, precision="highest")
        return Jet(tuple(product[k * n : (k + 1) * n] for k in range(len(self.parts))), self.indices)

    def shift(self, constant: Array | float) -> "Jet":
        """Plus a constant: of the derivatives none changes."""
        return Jet((self.parts[0] + constant, *self.parts[1:]), self.indices)

    def scale(self, constant: Array | float) -> "Jet":
        return self.linear(lambda part: part * constant)

    def __add__(self, other: "Jet") -> "Jet":
        return Jet(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)), self.indices)

    def __sub__(self, other: "Jet") -> "Jet":
        return Jet(tuple(a - b for a, b in zip(self.parts, other.parts, strict=True)), self.indices)

    def __mul__(self, other: "Jet") -> "Jet":
        """The product at each point, channel by channel."""
        return Jet(tuple(_sum(c * self.part(i) * other.part(j) for i, j, c in leibniz(index)) for index in self.indices), self.indices)

    def map(self, derivatives: Callable[[Array, int], Sequence[Array]]) -> "Jet":
        """A function of one number, applied at each point and channel; `derivatives(z, order)`: its values and derivatives 1 ... order."""
        f = derivatives(self.parts[0], max(map(sum, self.indices)))
        rows = [_sum(c * f[len(blocks)] * math.prod(self.part(b) for b in blocks[1:]) * self.part(blocks[0])
                     for blocks, c in partitions(index)) for index in self.indices[1:]]
        return Jet((f[0], *rows), self.indices)


def concatenate(jets: Sequence[Jet]) -> Jet:
    """All channels side by side."""
    return Jet(tuple(jnp.concatenate(parts, axis=-1) for parts in zip(*(jet.parts for jet in jets), strict=True)), jets[0].indices)


def nested(function: Callable[[Array], Array]) -> Callable[[Array, int], list[Array]]:
    """Any function of one number, differentiated by forward mode."""

    def derivatives(z: Array, order: int) -> list[Array]:
        if order == 0:
            return [function(z)]
        lower, upper = jax.jvp(lambda v: derivatives(v, order - 1), (z,), (jnp.ones_like(z),))
        return [*lower, upper[-1]]

    return derivatives


def closure(indices: Iterable[Index], dim: int) -> tuple[Index, ...]:
    """The indices and all smaller ones, by order: the first is no derivative."""
    found = {(0,) * dim}
    for index in indices:
        found |= set(itertools.product(*(range(k + 1) for k in index)))
    return tuple(sorted(found, key=lambda index: (sum(index), tuple(-k for k in index))))


@functools.lru_cache(maxsize=256)
def leibniz(index: Index) -> tuple[tuple[Index, Index, int], ...]:
    """(i, j, c) with d^index (f g) = sum c (d^i f) (d^j g)."""
    parts = itertools.product(*(range(k + 1) for k in index))
    return tuple((i, tuple(k - p for k, p in zip(index, i, strict=True)), math.prod(map(math.comb, index, i))) for i in parts)


@functools.lru_cache(maxsize=256)
def partitions(index: Index) -> tuple[tuple[tuple[Index, ...], int], ...]:
    """(blocks, c) with d^index f(g) = sum c f^(number of blocks)(g) prod_blocks d^block g: set partitions, alike ones counted."""
    axes = [axis for axis, k in enumerate(index) for _ in range(k)]
    found: Counter[tuple[Index, ...]] = Counter()
    for blocks in _set_partitions(axes):
        found[tuple(sorted(tuple(block.count(axis) for axis in range(len(index))) for block in blocks))] += 1
    return tuple(found.items())


def _set_partitions(items: list[int]) -> Iterable[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for blocks in _set_partitions(rest):
        yield [[first], *blocks]
        for i in range(len(blocks)):
            yield [*blocks[:i], [first, *blocks[i]], *blocks[i + 1 :]]


def _sum(terms: Iterable[Array]) -> Array:
    return functools.reduce(lambda a, b: a + b, terms)
