"""Equations whose map is computed directly: what a file stores is exact, or as exact as the nodes allow, and there is one route."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from pdesurr.checks import DivergedError, require
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, SineBasis, UniformBasis
from pdesurr.pdes._base import AbstractPDE, Setting
from pdesurr.pdes._inputs import looked_at, require_numbers, require_state
from pdesurr.types import Key


class AbstractDirect(AbstractPDE):
    """A map that `recorded` gives in one go: the fields of one sample by name, from its input, and whether they are right.

    A subclass gives the equation's text, `inputs` and `outputs`, `grid`, `sample`, `recorded`, `check` and `certified`. Steady problems
    leave `record_times` empty; others record every field at those times, the first of which is 0: then the input is the state there and
    the output all later ones.
    """

    @property
    @abc.abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """The input's fields, in the order of channels."""

    @property
    @abc.abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """The output's fields, in the order of channels."""

    @abc.abstractmethod
    def recorded(self, a: Float[Array, "*grid c_in"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """The stored fields, `(*grid,)` or `(time, *grid)`, and whether they are right; jit, vmap and grad safe."""

    @abc.abstractmethod
    def check(self, a: Float[Array, "*grid c_in"], grid: Grid) -> None:
        """Raise `UsageError` for a wrong grid, or, where `a` is concrete, a wrong input."""

    @abc.abstractmethod
    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """The record of the sample with that key, or if `finer` the same solved more finely: `by_nodes` where nodes are all there is."""

    # What the data room reads.

    @property
    def record_times(self) -> tuple[float, ...]:
        return ()

    @property
    def units(self) -> dict[str, str]:
        names = (*self.inputs, *self.outputs, *self.grid(8).names, *(("t",) if self.record_times else ()), *self.parameters)
        return dict.fromkeys(names, "1")

    @property
    def input(self) -> tuple[tuple[str, int | None], ...]:
        return tuple((name, 0 if self.record_times else None) for name in self.inputs)

    @property
    def output(self) -> tuple[tuple[str, int | None], ...]:
        later = range(1, len(self.record_times)) if self.record_times else (None,)
        return tuple((name, i) for i in later for name in self.outputs)

    @property
    def routes(self) -> tuple[str, ...]:
        return ("direct",)

    @property
    def refined_routes(self) -> tuple[str, ...]:
        return ("direct",)

    # The reference solution.

    def solve(self, a: Float[Array, "*grid c_in"], grid: Grid) -> Float[Array, "*grid c_out"]:
        """The output on the nodes of `a`. Raises `UsageError` for a wrong shape or grid or an input that is not finite, and
        `DivergedError` where the solution is not right (outside jit; inside, the caller checks)."""
        a = require_state(a, (*grid.shape, len(self.inputs)))
        with looked_at(a):
            self.check(a, grid)
        fields, right = self.recorded(a, grid)
        if not isinstance(right, Tracer) and not bool(right):
            raise DivergedError(f"{type(self).__name__}: the solution on {grid.shape} nodes is not right; take more nodes")
        return self._stacked(fields)

    def _stacked(self, fields: dict[str, Array]) -> Float[Array, "*grid c_out"]:
        return jnp.stack([fields[name] if i is None else fields[name][i] for name, i in self.output], axis=-1)

    def record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return self.certified(key, grid, False)

    def refined_record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return self.certified(key, grid, True)

    # Ways to solve, for comparisons at equal error.

    def settings(self, grid: Grid) -> tuple[tuple[Setting, ...], ...]:
        """Coarser nodes of the same box, where functions can be interpolated."""
        same = grid.spectral and self.grid(8).volume == grid.volume
        shapes = [tuple(n // f for n in grid.shape) for f in (8, 4, 2) if same and min(grid.shape) // f >= 8]
        return tuple((Setting("direct", shape, None),) for shape in (*shapes, grid.shape))

    def solve_at(self, a: Float[Array, "*grid c_in"], grid: Grid, setting: Setting) -> Float[Array, "*grid c_out"]:
        if setting.shape == grid.shape:
            return self._stacked(self.recorded(a, grid)[0])
        coarse = grid.with_shape(*setting.shape)
        a = grid.interpolate(grid.transform(a), coarse)
        return coarse.interpolate(coarse.transform(self._stacked(self.recorded(a, coarse)[0])), grid)


class AbstractExactInTime(AbstractDirect):
    """What problems with a `horizon` share: states at `intervals` equal intervals up to it."""

    horizon: eqx.AbstractVar[float]
    intervals: eqx.AbstractVar[int]

    def __check_init__(self):
        require_numbers(self, "horizon")
        require(isinstance(self.intervals, int) and self.intervals >= 1, "intervals", "a whole number >= 1", self.intervals)

    @property
    def record_times(self) -> tuple[float, ...]:
        return tuple(self.horizon * i / self.intervals for i in range(self.intervals + 1))


def by_nodes(pde: AbstractDirect, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
    """`certified` by the nodes alone: the same draw on `refined` ones."""
    if not finer:
        return pde.recorded(pde.sample(key, grid), grid)
    fine, keep = refined(grid)
    fields, right = pde.recorded(pde.sample(key, fine), fine)
    return {name: v[(..., *keep)] for name, v in fields.items()}, right


FACTORS = {"closed": lambda n: (2 * n - 1, slice(None, None, 2)), "left": lambda n: (2 * n, slice(None, None, 2)),
           "cells": lambda n: (3 * n, slice(1, None, 3))}


def refined(grid: Grid) -> tuple[Grid, tuple[slice, ...]]:
    """The coarsest finer grid that has all nodes of this one, and where they are among its own."""
    found = []
    for basis, n in zip(grid.bases, grid.shape, strict=True):
        if isinstance(basis, FourierBasis):
            found.append(FACTORS["left"](n))
        elif isinstance(basis, ChebyshevBasis):
            found.append(FACTORS["closed"](n))
        elif isinstance(basis, SineBasis):
            found.append((2 * n + 1, slice(1, None, 2)))
        elif isinstance(basis, CosineBasis):
            found.append(FACTORS["cells"](n))
        else:
            require(isinstance(basis, UniformBasis), "grid", "bases of this package", basis)
            found.append(FACTORS[basis.ends](n))  # pyright: ignore[reportAttributeAccessIssue]
    return grid.with_shape(*(n for n, _ in found)), tuple(keep for _, keep in found)
