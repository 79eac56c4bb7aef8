"""Exact symmetries of an equation and its grid as extra data: every epoch sees each sample under a random one."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from pdesurr.checks import is_number, require
from pdesurr.data.sources import AbstractSource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.types import Batch, Key, Samples

Symmetry = Callable[[Array, Grid], Array]
REACH = 1 << 26  # the base's numbers stay below it; times an index of a few symmetries they still fit 32 bits


class AugmentedSource(AbstractSource):
    """`base` under the identity or one of `symmetries`, drawn anew for every sample and epoch.

    A symmetry `(values (*grid, c), grid) -> values` acts on the input and the output alike: if u is the answer to a, its image
    is the answer to a's image.
    """

    base: AbstractSource
    symmetries: tuple[Symmetry, ...] = eqx.field(static=True)

    def __init__(self, base: AbstractSource, symmetries: tuple[Symmetry, ...]):
        require(len(symmetries) < 32, "symmetries", "at most 31", len(symmetries))
        self.base, self.symmetries = base, symmetries

    @property
    def grid(self) -> Grid:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base.grid

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base.size

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        """Numbers of the base, plus `REACH` times the index of the symmetry (0: none)."""
        numbers = self.base.plan(key, epoch)
        which = jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, epoch), 1), numbers.shape, 0, len(self.symmetries) + 1)
        return numbers % REACH + REACH * which

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        batch, which = self.base.take(numbers % REACH), numbers // REACH

        def image(values: Array) -> Array:
            for i, symmetry in enumerate(self.symmetries, start=1):
                moved = jax.vmap(lambda v, s=symmetry: s(v, self.grid))(values)
                values = jnp.where((which == i).reshape(-1, *(1,) * (values.ndim - 1)), moved, values)
            return values

        return Batch(*(Samples(s.points, image(s.values), s.params) for s in (batch.input, batch.output)))


def reflection(values: Array, grid: Grid) -> Array:
    """u(x) -> -u(-x) on every periodic axis together: a symmetry of Burgers' equation, whose flux is even and prior symmetric."""
    for axis, basis in enumerate(grid.bases):
        if isinstance(basis, FourierBasis):
            values = jnp.roll(jnp.flip(values, axis), 1, axis)
    return -values


@dataclass(frozen=True)
class Translation:
    """u(x) -> u(x - s L) by a share s of the period L of each axis, after `reflection` if `reflected`: a symmetry of equations with
    constant coefficients on a periodic box. Raises `UsageError` where an axis is not periodic or s L is no whole number of nodes."""

    shares: tuple[float, ...]
    reflected: bool = False

    def __post_init__(self):
        fits = isinstance(self.shares, tuple | list) and len(self.shares) > 0 and all(map(is_number, self.shares))
        require(fits, "shares", "a finite number per axis, as in (0.25,)", self.shares)
        require(isinstance(self.reflected, bool), "reflected", "True or False", self.reflected)

    def __call__(self, values: Array, grid: Grid) -> Array:
        nodes = [s * n for s, n in zip(self.shares, grid.shape, strict=False)]
        fit = len(self.shares) == grid.ndim and all(n == round(n) for n in nodes) and all(isinstance(b, FourierBasis) for b in grid.bases)
        require(fit, "grid", f"periodic axes on which shares {self.shares} of a period are whole numbers of nodes", grid)
        return jnp.roll(reflection(values, grid) if self.reflected else values, [round(n) for n in nodes], range(len(nodes)))


LINE = tuple(Translation((i / 16,), reflected) for reflected in (False, True) for i in range(16))[1:]


def transposition(values: Array, grid: Grid) -> Array:
    """u(x, y) -> u(y, x) on a grid whose first two axes are alike: a symmetry of isotropic scalar problems on the square."""
    del grid
    return jnp.swapaxes(values, 0, 1)


@dataclass(frozen=True)
class SquareSymmetry:
    """u(x, y) -> u(y, x) if `transposed`, then mirrored along each of the axes `flipped`: isotropic scalar problems on a square have all
    eight. Raises `UsageError` on a grid whose nodes the mirror does not map onto themselves."""

    flipped: tuple[int, ...]
    transposed: bool

    def __call__(self, values: Array, grid: Grid) -> Array:
        for axis in self.flipped:
            x = grid.bases[axis].nodes
            require(np.allclose(x + x[::-1], x[0] + x[-1]) and not grid.bases[axis].periodic, "grid",
                    "nodes between walls that a mirror maps onto themselves", grid)
        return jnp.flip(transposition(values, grid) if self.transposed else values, self.flipped)


SQUARE = tuple(SquareSymmetry(flipped, transposed) for transposed in (False, True) for flipped in ((), (0,), (1,), (0, 1)))[1:]
