"""What the scripts share: their arguments, the true solver, and a minimum by three ways with what each costs in true solves."""

import argparse
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.options import arguments
from pdesurr.fields import Grid
from pdesurr.optimise import minimise, trust_region
from pdesurr.surrogates import Surrogate
from pdesurr.surrogates.zoo import SHIPPED

Objective = Callable[[Array], Array]


def arguments_with_source(text: str | None, presets: Iterable[str]) -> argparse.ArgumentParser:
    """What each script can be told."""
    parser = arguments(text, presets)
    parser.add_argument("--source", type=Path, default=SHIPPED, help="a folder of bundles with a catalogue")
    return parser


def double(surrogate: Surrogate) -> Surrogate:
    """The same weights in float64."""
    return jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, surrogate)


def on_finer(pde: Any, grid: Grid, factor: int = 1, **options: Any) -> Callable[[Array], Array]:
    """The true solver for inputs on a grid, at work on `factor` times as many nodes an axis of it."""
    fine, nodes = grid.with_shape(*(factor * n for n in grid.shape)), (slice(None, None, factor),) * grid.ndim
    if factor == 1:
        return lambda a: pde.solve(a, grid, **options)
    return lambda a: pde.solve(grid.resample(a, *fine.shape), fine, **options)[nodes]


def three(claim: Objective, truth: Objective, start: Array, labels: dict[str, Any], *, radius: float, least: float | None = None,
          error: Callable[[Array], float] | None = None, solver: bool = True, solves: int = 30) -> list[dict[str, Any]]:
    """Rows of the solver alone (unless `solver` is false), the surrogate alone, and the surrogate that the solver corrects. `excess`: the
    objective above the least that is known (the lowest of these if None), by the true solver. `solves` counts its evaluations, with
    gradients."""
    runs = {"solver alone": lambda: minimise(truth, start, steps=400),
            "surrogate alone": lambda: minimise(claim, start, truth=truth, steps=400),
            "surrogate corrected": lambda: trust_region(claim, truth, start, radius=radius, solves=solves, tolerance=1e-4)}
    rows, paths = [], []
    for method, run in list(runs.items())[0 if solver else 1 :]:
        began = time.perf_counter()
        found = run()
        alone = method == "solver alone"
        rows.append({**labels, "method": method, "claimed": None if alone else found.claimed,
                     "verified": found.claimed if alone else found.verified, "solves": found.calls if alone else found.solves,
                     "error": error(found.x) if error else None, "seconds": time.perf_counter() - began})
        paths.append([(step["claimed"], step["calls"]) for step in found.history] if alone else
                     [(step.get("truth", math.inf), i) for i, step in enumerate(found.history, 1)])
    least = min(r["verified"] for r in rows) if least is None else least
    for row, path in zip(rows, paths, strict=True):
        row["excess"] = row["verified"] / least - 1
        row["solves_to_one_per_cent"] = next((count for value, count in path if value <= 1.01 * least), None)
    return rows
