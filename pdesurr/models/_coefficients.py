"""Operators from coefficients to coefficients: what is around their networks."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid
from pdesurr.nn.activation import ACTIVATIONS
from pdesurr.types import Key, Samples, batch_of_one


class AbstractCoefficientOperator(eqx.Module):
    """The answer is a function with `modes` coefficients an axis, in the bases of the input's grid (Fourier, Chebyshev, sine or cosine on
    each axis, on any box): values `(*x, out)` on any grid or at points `(n, d)`, at a cost that does not grow with their number but for
    the last expansion.

    With `time` the answer is a function of space and time: a last axis "t" of that many Chebyshev nodes from 0 to `horizon`, the input
    being constant along it. `x` with an axis "t" (or with d + 1 coordinates) is a place in space and time; without, or None, it is space at
    the horizon. Raises `UsageError` for an input that is not on a spectral grid of as many axes, periodic as `periodic` says.
    """

    modes: eqx.AbstractVar[tuple[int, ...]]
    time: eqx.AbstractVar[int]
    horizon: eqx.AbstractVar[float]
    periodic: eqx.AbstractVar[tuple[bool, ...]]

    @abc.abstractmethod
    def network(self, v: Float[Array, "channel batch *grid"], grid: Grid) -> Float[Array, "out batch *grid"]:
        """Values at the collocation nodes, coordinates among the channels, to the answer's there."""

    @property
    def coordinates(self) -> int:
        """How many channels say where a node is."""
        return sum(2 if p else 1 for p in self.periodic) + (self.time > 0)

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "..."]:
        """One sample."""
        del key
        return self.batched(batch_of_one(a), x)[0]

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "batch ..."]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        del key
        grid, hats = self.expansion(a)
        return jax.vmap(lambda hat: self._at(hat, grid, a.points if x is None else x))(hats)

    def expansion(self, a: Samples) -> tuple[Grid, Array]:
        """The answers of a batch as coefficients `(batch, *grid_hat, out)`, and the collocation grid whose they are."""
        space = self._checked(a)
        coarse = space.with_shape(*self.modes)
        values = jax.vmap(lambda v: coarse.inverse(space.resample_hat(space.transform(v), *self.modes)))(a.values)
        grid = Grid([*coarse.bases, ChebyshevBasis(self.time, 0.0, self.horizon)], (*space.names, "t")) if self.time else coarse
        if self.time:
            values = jnp.broadcast_to(values[..., None, :], (*values.shape[:-1], self.time, values.shape[-1]))
        u = self.network(with_coordinates(values, grid), grid)
        return grid, jax.vmap(grid.transform)(jnp.moveaxis(u, 0, -1))

    def _checked(self, a: Samples) -> Grid:
        if not isinstance(a.points, Grid) or not a.points.spectral:
            raise expected("a.points", "a Grid of spectral bases, whose coefficients the input has", a.points,
                           "interpolate the samples to pde.grid(n) first")
        require(a.points.ndim == len(self.modes), "a.points", f"a grid of {len(self.modes)} axes, as the model was made for", a.points)
        found = tuple(isinstance(b, FourierBasis) for b in a.points.bases)
        require(found == self.periodic, "a.points", f"a grid whose axes are periodic as the model was made for, {self.periodic}", found)
        return a.points

    def _at(self, hat: Array, grid: Grid, x: Any) -> Array:
        """The expansion `(*grid_hat, out)` at `x`."""
        if isinstance(x, Grid):
            if self.time and "t" not in x.names:  # at the horizon every T_k is 1
                return Grid(grid.bases[:-1], grid.names[:-1]).interpolate(jnp.sum(hat, axis=-2), x)
            return grid.interpolate(hat, x)
        if self.time and x.shape[1] == grid.ndim - 1:
            x = jnp.concatenate([x, jnp.full_like(x[:, :1], self.horizon)], axis=1)
        return grid.evaluate(hat, x)


def with_coordinates(values: Float[Array, "batch *grid c"], grid: Grid) -> Float[Array, "channel batch *grid"]:
    """Channel first, coordinates behind: cos and sin on Fourier axes, the place between the ends on others."""
    extra = []
    for i, b in enumerate(grid.bases):
        s = ((b.nodes - b.lower) / b.length).reshape([-1 if j == i else 1 for j in range(grid.ndim)])
        extra += [np.cos(2 * np.pi * s), np.sin(2 * np.pi * s)] if isinstance(b, FourierBasis) else [s]
    shape = (values.shape[0], *grid.shape)
    places = [jnp.broadcast_to(jnp.asarray(e, values.dtype)[None], shape)[None] for e in extra]
    return jnp.concatenate([jnp.moveaxis(values, -1, 0), *places])


def check_sizes(modes: tuple[int, ...], time: int, horizon: float, periodic: tuple[bool, ...], activation: str, scale: float,
                numbers: tuple[int, int, int, int]) -> None:
    """Raise `UsageError` unless these can be an operator's."""
    require(len(modes) > 0 and all(isinstance(m, int) and m >= 2 for m in modes), "modes", "whole numbers >= 2, one per axis", modes)
    require(len(periodic) == len(modes), "periodic", f"{len(modes)} answers, one per axis", periodic)
    require(time == 0 or time >= 2, "time", "0 (a steady problem) or at least 2 nodes", time)
    require(horizon > 0 and scale > 0, "horizon, scale", "numbers > 0", (horizon, scale))
    require(activation in ACTIVATIONS, "activation", f"one of {tuple(ACTIVATIONS)}", activation)
    require(min(numbers) >= 1, "in_channels, out_channels, width, depth", "whole numbers >= 1", numbers)
