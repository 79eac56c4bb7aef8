"""What every equation offers, for ONE sample: a prior, the equation's text, a reference solution."""

import abc
import dataclasses
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import Grid, SpectralField, d
from pdesurr.pdes._law import AbstractLaw
from pdesurr.solvers import Semilinear
from pdesurr.types import Key


class Setting(NamedTuple):
    """One way to run a reference solver: a route, the nodes it works on, and its time steps (None: it takes none)."""

    route: str
    shape: tuple[int, ...]
    steps: int | None


class AbstractPDE(eqx.Module):
    """An initial or boundary value problem with a law for its inputs.

    `input` and `output` name the channels of the map a surrogate learns; `units` gives their units ("1" where the equation is
    dimensionless); `parameters` the numbers in the equation. `sample` draws an input, `solve` is the reference map, and `record`
    is what a data file stores of one sample: fields by name, each `(time, *grid)` on `record_times`, or `(*grid,)` if that is
    empty.
    """

    def __check_init__(self):
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            require(not isinstance(value, float) or math.isfinite(value), field.name, "a finite number", value)

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers that the problem was made with, by name; those of a law stand among them."""
        parts = [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]  # pyright: ignore[reportArgumentType]
        return {n: float(x) for name, v in parts for n, x in (v.parameters if isinstance(v, AbstractLaw) else {name: v}).items()}

    @property
    @abc.abstractmethod
    def units(self) -> dict[str, str]: ...

    @property
    @abc.abstractmethod
    def record_times(self) -> tuple[float, ...]: ...

    @property
    @abc.abstractmethod
    def input(self) -> tuple[tuple[str, int | None], ...]:
        """The input channels as (field, index into `record_times` or None)."""

    @property
    @abc.abstractmethod
    def output(self) -> tuple[tuple[str, int | None], ...]:
        """The output channels, likewise."""

    @abc.abstractmethod
    def grid(self, n: int) -> Grid:
        """The standard grid with `n` nodes an axis."""

    @abc.abstractmethod
    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid c_in"]:
        """One draw of the prior over inputs."""

    @abc.abstractmethod
    def solve(self, a: Float[Array, "*grid c_in"], grid: Grid) -> Float[Array, "*grid c_out"]:
        """The reference map from one input to its output; jit, vmap and grad safe."""

    @property
    @abc.abstractmethod
    def routes(self) -> tuple[str, ...]:
        """The names of the reference solver's routes, fastest first; the last one is always right."""

    @abc.abstractmethod
    def record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """What is stored of the sample with that key, by one route, and whether that route is right for it."""

    @property
    @abc.abstractmethod
    def refined_routes(self) -> tuple[str, ...]:
        """The routes that `refined_record` may take, in order of preference; the last one is always right."""

    @abc.abstractmethod
    def refined_record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """The same sample solved on a finer discretisation and restricted to `grid`: what `record` is certified against."""

    @abc.abstractmethod
    def settings(self, grid: Grid) -> tuple[tuple[Setting, ...], ...]:
        """Ways to solve, for a comparison at equal error: one group per number of nodes, coarsest first, none finer than
        `grid`; within a group the most accurate first."""

    @abc.abstractmethod
    def solve_at(self, a: Float[Array, "*grid c_in"], grid: Grid, setting: Setting) -> Float[Array, "*grid c_out"]:
        """The map from one input to its output, both on `grid`, solved as `setting` says."""


class AbstractEvolution(AbstractPDE):
    """u_t = linear(u) + nonlinear(u): the two halves are the equation's only text, read through any calculus.

    `u` is a field, or for a system a tuple of fields, one for each of `components`; `linear` acts on each component alone.
    """

    @property
    def components(self) -> tuple[str, ...]:
        """The unknowns' names, in the order of channels."""
        return ("u",)

    @abc.abstractmethod
    def linear(self, u: Any) -> Any: ...

    @abc.abstractmethod
    def nonlinear(self, u: Any) -> Any: ...

    def residual(self, u: Any) -> Any:
        """u_t - linear(u) - nonlinear(u), for a calculus that has an axis called "t"; for a system, one for each component."""
        parts = zip(_each(u), _each(self.linear(u)), _each(self.nonlinear(u)), strict=True)
        residuals = tuple(d(v, "t") - linear - nonlinear for v, linear, nonlinear in parts)
        return residuals if isinstance(u, tuple) else residuals[0]

    def semilinear(self, grid: Grid, dealias: float = 2 / 3) -> Semilinear:
        """The equation on Fourier coefficients `(*grid_hat,)`, with a leading axis of components for a system. The symbol is
        `linear` applied to unit coefficients. `dealias`: 2/3 takes squares free of aliasing by leaving out the highest third of the modes
        (see `SpectralField`); 3/2 (2) keeps all but the Nyquist mode, and takes squares (cubes) on 3/2 (2) times as many nodes an axis."""
        require(grid.fourier, "grid", "a FourierBasis on every axis", grid)
        require(math.isfinite(dealias) and dealias > 0, "dealias", "a fraction of the modes, or a multiple of the nodes, > 0", dealias)
        unit = np.ones(grid.shape_hat(), np.complex128)
        single = len(self.components) == 1
        fine = grid if dealias <= 1 else grid.with_shape(*(math.ceil(dealias * n) for n in grid.shape))
        kept = min(dealias, 1 / dealias)

        def fields(on: Grid, hats: Any, dealias: float) -> Any:
            held = tuple(SpectralField(on, hat=hat, dealias=dealias) for hat in hats)
            return held[0] if single else held

        def moved(a: Grid, b: Grid, hat: Any) -> Any:
            return hat if a is b else a.resample_hat(jnp.asarray(hat), *b.shape)

        def nonlinear(u_hat: Any) -> Any:
            hats = [moved(grid, fine, hat) for hat in ([u_hat] if single else u_hat)]
            n_hat = [moved(fine, grid, n.coefficients) for n in _each(self.nonlinear(fields(fine, hats, kept)))]
            return n_hat[0] if single else jnp.stack([jnp.asarray(n, u_hat.dtype) for n in n_hat])

        symbols = [s.coefficients for s in _each(self.linear(fields(grid, [unit] * len(self.components), 1.0)))]
        if single:
            return Semilinear(symbols[0], nonlinear)
        traced = any(isinstance(s, jax.Array) for s in symbols)
        return Semilinear((jnp if traced else np).stack(symbols), nonlinear)


def _each(u: Any) -> tuple[Any, ...]:
    return u if isinstance(u, tuple) else (u,)
