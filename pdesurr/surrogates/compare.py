"""A surrogate against the equation's own solver, batched alike, on the same device, and at equal error."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
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
    trial = _Trial(pde, inputs[:samples], outputs[:samples], grid)
    groups = pde.settings(grid)
    coarsest = next((group for group in groups if trial.error(group[0]) <= error), ())
    candidates = (*coarsest, *(s for s in groups[-1] if s.steps is None))
    found = [trial.described(s) for s in candidates if trial.error(s) <= error]
    return min(found, key=lambda f: f["seconds"]) if found else None


def best_within(pde: AbstractPDE, inputs: np.ndarray, outputs: np.ndarray, grid: Grid, seconds: float,
                samples: int = 50) -> dict[str, Any] | None:
    """The setting of the reference solver with the smallest error among those that take at most `seconds` a sample, as
    `cheapest_setting` describes it; None if none is as fast."""
    trial, found = _Trial(pde, inputs[:samples], outputs[:samples], grid), []
    for group in pde.settings(grid):
        within = next((s for s in group if trial.seconds(s) <= seconds), None)  # a group's most accurate come first
        if within is not None:
            found.append(trial.described(within))
        elif found:  # finer grids cost more
            break
    return min(found, key=lambda f: f["error"]) if found else None


def pareto_front(pde: AbstractPDE, inputs: np.ndarray, outputs: np.ndarray, grid: Grid, samples: int = 50) -> list[dict[str, Any]]:
    """The settings of the reference solver that no other beats in both error and time, the fastest first, as `cheapest_setting` describes
    each. All are measured: a compilation a setting."""
    trial = _Trial(pde, inputs[:samples], outputs[:samples], grid)
    tried = dict.fromkeys(s for group in pde.settings(grid) for s in group)
    found = sorted((trial.described(s) for s in tried), key=lambda f: (f["seconds"], f["error"]))
    return [f for i, f in enumerate(found) if f["error"] < min((g["error"] for g in found[:i]), default=np.inf)]


def break_even(spent: float, surrogate_seconds: float, front: list[dict[str, Any]], error: float) -> float | None:
    """After how many samples the seconds `spent` on data and training are won back, against the fastest setting that is at least as
    accurate; None: never."""
    as_good = [f["seconds"] for f in front if f["error"] <= error]
    saved = min(as_good) - surrogate_seconds if as_good else 0.0
    return spent / saved if saved > 0 else None


class _Trial:
    """A solver's settings on the same samples: each compiled, and measured, once."""

    def __init__(self, pde: AbstractPDE, inputs: np.ndarray, outputs: np.ndarray, grid: Grid):
        self.pde, self.inputs, self.outputs, self.grid = pde, inputs, outputs, grid
        self.batch = jnp.asarray(inputs, jnp.float32)
        self.known: dict[tuple[str, Setting], Any] = {}

    def _once(self, name: str, setting: Setting, make: Callable[[], Any]) -> Any:
        if (name, setting) not in self.known:
            self.known[name, setting] = make()
        return self.known[name, setting]

    def solve(self, setting: Setting) -> Callable:
        return self._once("solve", setting, lambda: jax.jit(jax.vmap(lambda v: self.pde.solve_at(v, self.grid, setting))))

    def error(self, setting: Setting) -> float:
        errors = lambda: _in_batches(self.solve(setting), self.inputs, self.outputs, self.grid, len(self.inputs))  # noqa: E731
        return self._once("error", setting, lambda: float(np.mean(errors())))

    def seconds(self, setting: Setting) -> float:
        return self._once("seconds", setting, lambda: seconds_per_sample(self.solve(setting), self.batch))

    def described(self, setting: Setting) -> dict[str, Any]:
        return {"route": setting.route, "nodes": list(setting.shape), "steps": setting.steps, "error": self.error(setting),
                "seconds": self.seconds(setting)}


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
    # weights as arguments: as constants, what depends on them alone (a DeepONet's trunk) would be computed by the compiler, for minutes
    measure = eqx.filter_jit(lambda f, a, u: jax.vmap(lambda v, w: metrics.relative_l2(v, w, grid))(f(a), u))
    parts = [measure(function, jnp.asarray(inputs[i : i + batch], jnp.float32), jnp.asarray(outputs[i : i + batch], jnp.float32))
             for i in range(0, len(inputs), batch)]
    return np.concatenate([np.asarray(p) for p in parts])
