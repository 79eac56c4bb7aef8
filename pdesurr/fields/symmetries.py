"""Exact symmetries of equations and their grids: what maps solutions to solutions."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pdesurr.checks import is_number, require
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.grid import Grid

Symmetry = Callable[[Array, Grid], Array]  # (values (*grid, c), grid) -> values


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

    @property
    def inverse(self) -> "Translation":
        return self if self.reflected else Translation(tuple(-s for s in self.shares))


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
        square = grid.ndim >= 2 and np.array_equal(grid.bases[0].nodes, grid.bases[1].nodes)
        require(square or (grid.ndim >= 2 and not self.transposed), "grid", "two axes with the same nodes", grid)
        for axis in self.flipped:
            x = grid.bases[axis].nodes
            require(np.allclose(x + x[::-1], x[0] + x[-1]) and not grid.bases[axis].periodic, "grid",
                    "nodes between walls that a mirror maps onto themselves", grid)
        return jnp.flip(transposition(values, grid) if self.transposed else values, self.flipped)

    @property
    def inverse(self) -> "SquareSymmetry":
        return SquareSymmetry(tuple(1 - axis for axis in self.flipped) if self.transposed else self.flipped, self.transposed)


SQUARE = tuple(SquareSymmetry(flipped, transposed) for transposed in (False, True) for flipped in ((), (0,), (1,), (0, 1)))[1:]

GROUPS: dict[str, tuple[Symmetry, ...]] = {"reflection": (reflection,), "line": LINE, "square": SQUARE}  # without the identity


def inverse(symmetry: Symmetry) -> Symmetry:
    """What undoes it: `reflection` and `transposition` undo themselves."""
    return getattr(symmetry, "inverse", symmetry)
