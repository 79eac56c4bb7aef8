"""Learning from input-output pairs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pdesurr import metrics
from pdesurr.checks import expected
from pdesurr.fields import Grid
from pdesurr.types import Batch, Key, Metrics, Model, apply


def relative_l2(model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
    """Mean over the batch of ||model(a) - u||_L2 / ||u||_L2. Metrics: `relative_l2`."""
    loss = jnp.mean(errors(model, batch, key, order=0))
    return loss, {"relative_l2": loss}


def relative_h1(model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
    """Mean over the batch of ||model(a) - u||_H1 / ||u||_H1, the Sobolev norm of the grid's own basis. Metrics: `relative_h1`."""
    loss = jnp.mean(errors(model, batch, key, order=1))
    return loss, {"relative_h1": loss}


def errors(model: Model, batch: Batch, key: Key | None, order: int = 0) -> Array:
    """The relative error of each sample of a batch, `(batch,)`, in the Sobolev norm of that order."""
    grid = grid_of(batch)
    u = apply(model, batch.input, grid, key=key)
    return jax.vmap(lambda v, truth: metrics.relative(v, truth, grid, order))(u, batch.output.values)


def grid_of(batch: Batch) -> Grid:
    """The grid of a batch's outputs. Raises `UsageError` if they are not on one."""
    if not isinstance(batch.output.points, Grid):
        raise expected("batch.output.points", "a Grid, on which the norm is defined", batch.output.points)
    return batch.output.points
