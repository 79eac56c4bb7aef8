"""Functions of space and time: from a grid model of one axis more, and to the records that data hold."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid, UniformBasis
from pdesurr.models.conditions import without_time
from pdesurr.types import Key, Model, Samples, apply, describe


class OverTime(eqx.Module):
    """u(x, t) = model(a)(x, t), a(x, t) = a(x): the input repeated along a last axis "t", on whatever nodes of time are asked for.

    `x` with an axis "t" is the grid that `model` sees, its other axes the input's own; without, or None, the answer is at the horizon, from
    `nodes` equispaced times from 0 to it. Where `SpaceTime` answers the records of data, this is a function whose equation can be asked
    for (`SpectralResidual`, `StencilResidual`). Give the inner model the time as a channel (`FNO`: `coordinates` with True for time).
    Raises `UsageError` for numbers out of range, an input off a grid, and an `x` on other nodes of space.
    """

    model: Model
    nodes: int = eqx.field(static=True)
    horizon: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        require(isinstance(self.nodes, int) and self.nodes >= 3, "nodes", "a whole number >= 3", self.nodes)
        require(self.horizon > 0, "horizon", "a number > 0", self.horizon)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "nodes": self.nodes, "horizon": self.horizon}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "..."]:
        """One sample."""
        repeated = self._repeated(a, x)
        u = self.model(repeated, repeated.points, key=key)
        return u if x is not None and x.names[-1] == "t" else u[..., -1, :]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch ..."]:
        """A batch of samples on one grid."""
        repeated = self._repeated(a, x)
        u = apply(self.model, repeated, repeated.points, key=key)
        return u if x is not None and x.names[-1] == "t" else u[..., -1, :]

    def _repeated(self, a: Samples, x: Any) -> Samples:
        if not isinstance(a.points, Grid):
            raise expected("a.points", "a Grid (time is one more of its axes)", a.points, "interpolate the samples to a Grid first")
        own = Grid([*a.points.bases, UniformBasis(self.nodes, 0.0, self.horizon)], (*a.points.names, "t"))
        grid = own if x is None or x == a.points else x
        same = isinstance(grid, Grid) and grid.names[-1] == "t" and without_time(grid) == a.points
        require(same, "x", 'None, or a grid of the input\'s own nodes and an axis "t"', x, "evaluate there and interpolate the result")
        times = grid.shape[-1]
        return Samples(grid, jnp.broadcast_to(a.values[..., None, :], (*a.values.shape[:-1], times, a.values.shape[-1])), a.params)


class Records(eqx.Module):
    """u at `steps` equal intervals up to the horizon as channels, record after record: what data files hold of an evolution.

    `model` answers in space and time on a grid whose last axis is "t", and knows its `horizon` (`NSM`, `OverTime`, either within
    `InitialValue`). Values `(*grid, in)` to `(*grid, steps * components)`. Raises `UsageError` for a model that does not know its horizon,
    fewer than 1 step, an input off a grid, or an `x` that is not its grid.
    """

    model: Model
    steps: int = eqx.field(static=True)

    def __check_init__(self):
        require(hasattr(self.model, "horizon"), "model", "one that knows its horizon (NSM, OverTime)", type(self.model).__name__)
        require(isinstance(self.steps, int) and self.steps >= 1, "steps", "a whole number >= 1", self.steps)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "steps": self.steps}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample."""
        return self._channels(self.model(a, self._times(a, x), key=key))

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid."""
        return self._channels(apply(self.model, a, self._times(a, x), key=key))

    def _times(self, a: Samples, x: Any) -> Grid:
        if not isinstance(a.points, Grid):
            raise expected("a.points", "a Grid", a.points, "interpolate the samples to a Grid first")
        require(x is None or x == a.points, "x", "None or the input's own grid", x, "evaluate there and interpolate the result")
        ends = UniformBasis(max(3, self.steps + 1), 0.0, self.model.horizon)  # pyright: ignore[reportAttributeAccessIssue]
        return Grid([*a.points.bases, ends], (*a.points.names, "t"))

    def _channels(self, u: Float[Array, "*rest times c"]) -> Float[Array, "*rest out"]:
        later = u[..., 2:, :] if self.steps == 1 else u[..., 1:, :]  # an axis has three nodes at least
        return later.reshape(*u.shape[:-2], -1)
