"""A model of a flow, asked in the frame that moves with the flow's mean velocity."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.nn.pointwise import only_on_grid
from pdesurr.types import Key, Model, Samples, apply, batch_of_one, describe


class CoMoving(eqx.Module):
    """u(x) -> m + v(x - m time), v = model(u - m), with m the mean of u over the box: the answer a time `time` later of a velocity
    in any frame, from a `model` that only ever sees velocities without a mean.

    Exact for equations that look alike in all frames in uniform motion (Galilean invariance): Burgers' equation, and the
    incompressible Navier-Stokes equations for a velocity, both without forcing, on a periodic box. There the mean's whole effect,
    a shift by m time, needs no training.

    Values `(*grid, d)`, one velocity component per axis of a d-dimensional Fourier grid, to the same. The shift is exact for
    functions that the grid resolves. Use unit normalisers around it (`ChannelScaler((0,), (1,))`): a velocity that is scaled moves
    at another speed.
    Raises `UsageError` for another number of channels, an axis that is not Fourier, or a time that is not a finite number.
    """

    model: Model
    time: float = eqx.field(static=True)

    def __check_init__(self):
        require(callable(self.model), "model", "a model, called as model(a, x)", self.model)
        require(isinstance(self.time, (int, float)) and bool(np.isfinite(self.time)), "time", "a finite number", self.time)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "time": self.time}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid d"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid d"]:
        """A batch of samples on one grid: values `(batch, *grid, d)`."""
        grid = only_on_grid(a, x, a.values.ndim - 2, a.values.ndim - 2)
        require(grid.fourier, "a.points", "a grid of Fourier axes alone", grid)
        mean = jnp.mean(a.values, axis=range(1, grid.ndim + 1), keepdims=True)
        v = apply(self.model, Samples(grid, a.values - mean, a.params), x, key=key)
        require(v.shape == a.values.shape, "model", f"an answer of {grid.ndim} channels", v.shape)
        return mean + jax.vmap(lambda u, m: translated(u, grid, self.time * m))(v, mean.reshape(-1, grid.ndim))


def translated(u: Float[Array, "*grid c"], grid: Grid, distance: Float[Array, " d"]) -> Float[Array, "*grid c"]:
    """u(x - distance) on a Fourier grid: exact for what the grid resolves."""
    angle = sum(jnp.asarray(k, u.dtype) * d for k, d in zip(grid.wavenumbers(), distance, strict=True))
    return grid.inverse(grid.transform(u) * lax.complex(jnp.cos(angle), -jnp.sin(angle))[..., None])
