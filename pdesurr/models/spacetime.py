"""An evolution as one function of space and time: a model with one axis more."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid, UniformBasis
from pdesurr.models.rollout import check_counts, check_points
from pdesurr.types import Key, Model, Samples, apply, describe


class SpaceTime(eqx.Module):
    """u(x, t) = model(a)(x, t), a(x, t) = a(x): the input repeated along a time axis, all later records answered at once.

    `model` lives on the input's grid with a last axis "t" of `steps` nodes, from the first of the answered records (t = 0) to
    the last (t = 1), both ends nodes; it maps the input's channels to components channels. Values `(*grid, in)` to `(*grid,
    steps * components)`, the components of a record side by side, record after record.

    Time is an axis between walls, continued by zero as `padding` of the inner model says. Good values for an `FNO`: modes 8
    per axis, width 20, `coordinates` with True for time (the repeated input does not tell the time), and padding so that (1 +
    padding) * (steps - 1) >= 2 * modes - 1, such as 0.7 for 10 records. Memory grows with steps; the answer cannot be continued beyond
    the horizon, but asked for at more records within it (`with_steps`).
    Raises `UsageError` for fewer than 3 steps, numbers not above 0, an input off a grid, an `x` that is not its grid, an answer of other
    channels, and as `model` does. Source: Li et al., ICLR 2021 (arXiv 2010.08895), Navier-Stokes, "3-D".
    """

    model: Model
    steps: int = eqx.field(static=True)
    components: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(self.model, self.steps, self.components)
        require(self.steps >= 3, "steps", "at least 3 records, the fewest nodes of a time axis", self.steps)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "steps": self.steps, "components": self.components}

    def with_steps(self, steps: int) -> "SpaceTime":
        """The same function of time at another number of equispaced records, from the same first to the same last one: with
        k * (steps - 1) + 1 of them, every k-th is a record of before."""
        return SpaceTime(self.model, steps, self.components)

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample."""
        check_points(a, x)
        repeated = self._repeated(a)
        return self._records(self.model(repeated, repeated.points, key=key))

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        check_points(a, x)
        repeated = self._repeated(a)
        return self._records(apply(self.model, repeated, repeated.points, key=key))

    def _repeated(self, a: Samples) -> Samples:
        if not isinstance(a.points, Grid):
            raise expected("a.points", "a Grid (time is one more of its axes)", a.points, "interpolate the samples to a Grid first")
        grid = Grid([*a.points.bases, UniformBasis(self.steps)], (*a.points.names, "t"))
        values = jnp.broadcast_to(a.values[..., None, :], (*a.values.shape[:-1], self.steps, a.values.shape[-1]))
        return Samples(grid, values, a.params)

    def _records(self, u: Float[Array, "*rest components"]) -> Float[Array, "*rest_but_time out"]:
        require(u.shape[-2:] == (self.steps, self.components), "model", f"an answer of {self.components} channels", u.shape)
        return u.reshape(*u.shape[:-2], -1)
