"""Initial and boundary conditions that hold by construction, for models of functions on grids or at points.

`HardConstraint` is the same for coordinate models, whose derivatives are carried.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid
from pdesurr.types import Key, Model, Samples, apply, describe


class AbstractCondition(eqx.Module):
    """A model whose answer is changed so that a condition holds, whatever is trained."""

    model: eqx.AbstractVar[Model]

    @abc.abstractmethod
    def held(self, v: Float[Array, "..."], a: Float[Array, "*grid c"], grid: Any, x: Any) -> Float[Array, "..."]:
        """The answer `v` of one sample at `x`, changed. `a` and `grid` are the input's values and points."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model)}

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "..."]:
        """One sample."""
        return self.held(self.model(a, x, key=key), a.values, a.points, a.points if x is None else x)

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "batch ..."]:
        """A batch of samples on one grid."""
        x_or_own = a.points if x is None else x
        return jax.vmap(lambda v, values: self.held(v, values, a.points, x_or_own))(apply(self.model, a, x, key=key), a.values)


class InitialValue(AbstractCondition):
    """u(x, t) = a(x) + (t / horizon) model(a)(x, t): the state at time 0 is the last channels of the input.

    `model` answers in space and time where `x` has a last axis "t" (or one coordinate more than the input's grid has axes), else at the
    horizon, which is read off the model (`NSM`, `OverTime`). Raises `UsageError` for an input off a spectral grid, or with fewer channels
    than the answer.
    """

    model: Model

    def __check_init__(self):
        require(hasattr(self.model, "horizon"), "model", "one that knows its horizon (NSM, OverTime)", type(self.model).__name__)

    @property
    def horizon(self) -> float:
        """The model's own."""
        return self.model.horizon  # pyright: ignore[reportAttributeAccessIssue]

    def held(self, v, a, grid, x):
        if not isinstance(grid, Grid):
            raise expected("a.points", "a Grid, on which the state at time 0 is known", grid)
        require(a.shape[-1] >= v.shape[-1], "a.values", f"at least the {v.shape[-1]} channels of the answer", a.shape)
        start = a[..., -v.shape[-1] :]
        if not isinstance(x, Grid):
            hat, in_time = grid.transform(start), x.shape[1] > grid.ndim
            return grid.evaluate(hat, x[:, : grid.ndim]) + (x[:, -1:] / self.horizon if in_time else 1.0) * v
        space = without_time(x)
        start = start if space == grid else grid.interpolate(grid.transform(start), space)
        if space is x:
            return start + v
        share = jnp.asarray(x.bases[-1].nodes / self.horizon, v.dtype)[:, None]
        return start[..., None, :] + v * jnp.expand_dims(share, tuple(range(grid.ndim)))


class ZeroWalls(AbstractCondition):
    """u(x) = prod_i 4 (x_i - lower_i)(upper_i - x_i) / length_i^2 model(a)(x) over the axes of the input's grid that have walls: u is zero
    there. Raises `UsageError` for an input off a grid, or on one without walls."""

    model: Model

    def held(self, v, a, grid, x):
        walls = [i for i, b in enumerate(grid.bases) if not b.periodic] if isinstance(grid, Grid) else []
        require(len(walls) > 0, "a.points", "a Grid with walls on some axis", grid)
        places, factor = jnp.asarray(x.nodes if isinstance(x, Grid) else x, v.dtype), jnp.ones((*v.shape[:-1], 1), v.dtype)
        for i in walls:
            low, high, own = float(grid.bases[i].lower), float(grid.bases[i].upper), places[..., i : i + 1]
            factor = factor * (own - low) * (high - own) * (4 / (high - low) ** 2)
        return factor * v


class ZeroMean(AbstractCondition):
    """u = model(a) less its mean over the box, at every time: what a periodic problem leaves free. Answers on grids alone: raises
    `UsageError` at points, from which the mean is not known."""

    model: Model

    def held(self, v, a, grid, x):
        if not isinstance(x, Grid):
            raise expected("x", "a Grid, over which the mean is taken", x)
        space = without_time(x)
        mean = space.integral(v) / float(space.weights.sum())
        return v - jnp.expand_dims(mean, tuple(range(space.ndim)))


def without_time(x: Grid) -> Grid:
    """A grid without its last axis if that is "t". Raises `UsageError` for a "t" elsewhere."""
    require("t" not in x.names[:-1], "x", 'a grid with no axis "t" but the last', x.names)
    return Grid(x.bases[:-1], x.names[:-1]) if x.names[-1] == "t" else x
