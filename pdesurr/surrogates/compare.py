"""A surrogate against the equation's own solver, batched alike, on the same device, and at equal error."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr import metrics
from pdesurr.fields import Grid
from pdesurr.pdes import AbstractPDE, Setting
from pdesurr.surrogates.surrogate import Surrogate


def sample_errors(surrogate: Surrogate, inputs: np.ndarray, outputs: np.ndarray, grid: Grid, batch: int = 20) -> Float[np.ndarray, " n"]:
    """Relative L2 error of each test sample `(n, *grid, channel)`, a batch at a time."""
    return _in_batches(surrogate, inputs, outputs, grid, batch)


def cheapest_setting(pde: AbstractPDE, inputs: np.ndarray, outputs: np.ndarray, grid: Grid, error: float,
                     samples: int = 50) -> dict[str, Any] | None:
    """The fastest setting of the reference solver whose mean relative L2 error on the samples is at most `error`, solving in
    float32 and answering on `grid`: {"route", "nodes", "steps", "error", "seconds"}; None if none reaches it.

    Searched are the coarsest number of nodes that can reach the error (finer ones cost more) and `grid` itself, which
    needs no interpolation.
    """
    a = jnp.asarray(inputs[:samples], jnp.float32)

    def measured(setting: Setting) -> tuple[float, Callable]:
        solve = jax.jit(jax.vmap(lambda v: pde.solve_at(v, grid, setting)))
        return float(np.mean(_in_batches(solve, inputs[:samples], outputs[:samples], grid, samples))), solve

    groups = pde.settings(grid)
    coarsest = next((group for group in groups if measured(group[0])[0] <= error), ())
    found = []
    for setting in (*coarsest, *(s for s in groups[-1] if s.steps is None)):
        reached, solve = measured(setting)
        if reached <= error:
            found.append({"route": setting.route, "nodes": list(setting.shape), "steps": setting.steps, "error": reached,
                          "seconds": seconds_per_sample(solve, a)})
    return min(found, key=lambda f: f["seconds"]) if found else None


def seconds_per_sample(function: Callable[[Array], Array], batch: Array, repeats: int = 7) -> float:
    """Median wall time of a compiled batched function over its samples, compilation left out."""
    jax.block_until_ready(function(batch))
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function(batch))
        times.append(time.perf_counter() - began)
    return statistics.median(times) / batch.shape[0]


def _in_batches(function: Callable, inputs: np.ndarray, outputs: np.ndarray, grid: Grid, batch: int) -> Float[np.ndarray, " n"]:
    measure = jax.jit(lambda a, u: jax.vmap(lambda v, w: metrics.relative_l2(v, w, grid))(function(a), u))
    parts = [measure(jnp.asarray(inputs[i : i + batch], jnp.float32), jnp.asarray(outputs[i : i + batch], jnp.float32))
             for i in range(0, len(inputs), batch)]
    return np.concatenate([np.asarray(p) for p in parts])
