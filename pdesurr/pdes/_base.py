"""What every equation offers, for ONE sample: a prior, the equation's text, a reference solution."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.fields import AbstractField, Grid, SpectralField, d
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

    @property
    @abc.abstractmethod
    def parameters(self) -> dict[str, float]: ...

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
    """u_t = linear(u) + nonlinear(u): the two halves are the equation's only text, read through any calculus."""

    @abc.abstractmethod
    def linear(self, u: AbstractField) -> AbstractField: ...

    @abc.abstractmethod
    def nonlinear(self, u: AbstractField) -> AbstractField: ...

    def residual(self, u: AbstractField) -> AbstractField:
        """u_t - linear(u) - nonlinear(u), for a calculus that has an axis called "t"."""
        return d(u, "t") - self.linear(u) - self.nonlinear(u)

    def semilinear(self, grid: Grid, dealias: float = 2 / 3) -> Semilinear:
        """The equation on Fourier coefficients `(*grid_hat,)`. The symbol is `linear` applied to unit coefficients."""
        unit = np.ones((*grid.shape[:-1], grid.shape[-1] // 2 + 1), np.complex128)

        def nonlinear(u_hat: Any) -> Any:
            return self.nonlinear(SpectralField(grid, hat=u_hat, dealias=dealias)).coefficients  # pyright: ignore

        return Semilinear(self.linear(SpectralField(grid, hat=unit, dealias=1.0)).coefficients, nonlinear)  # pyright: ignore
