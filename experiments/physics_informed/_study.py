"""One row of the physics-informed table: a problem, a network, stages of training, some seeds, errors against an exact or certified answer.

    python experiments/physics_informed/helmholtz_fourier.py [--preset smoke|cpu] [--seeds 0 1 2] [--json] [--check]

All in float64. The error is that of the final network, never the best seen on test points.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.options import arguments, remark
from pdesurr.allocator import tune_allocator
from pdesurr.fields.regions import Region
from pdesurr.objectives.physics import Problem
from pdesurr.train.physics import AbstractStage, ProblemFit, fit_problem
from pdesurr.types import parameter_count
from pdesurr.workflow import environment

TESTED = 40_000  # points at which the error is measured, uniform in the region


@dataclasses.dataclass(frozen=True)
class Preset:
    """How a row is trained: the problem's number of points, the arguments `size` of its network, stages, seeds."""

    points: int
    size: dict[str, Any]
    stages: tuple[AbstractStage, ...]
    seeds: tuple[int, ...] = (0, 1, 2)


Fit = Callable[[Preset, Array], ProblemFit]  # of a preset and a key


def whole(problem: Callable[[int], Problem], network: Callable[..., Any]) -> Fit:
    """One network, `network(key, **size)`, for the whole of `problem(points)`."""
    return lambda preset, key: fit_problem(network(key, **preset.size), problem(preset.points), preset.stages, key=key)


def relative_l2(u: Array, truth: Array) -> Array:
    return jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth)


def largest(u: Array, truth: Array) -> Array:
    return jnp.max(jnp.abs(u - truth))


def values(model: Any, points: Array) -> Array:
    """A thousand points at a time: windows are all evaluated everywhere, and features are many."""
    found = jax.lax.map(lambda x: model(None, x), points.reshape(-1, 1000, points.shape[1]))
    return found.reshape(len(points), -1)


@dataclasses.dataclass(frozen=True)
class Row:
    """`fit(preset, key)` trains, see `whole`; `exact(*coordinates)` on `region` is what the error is measured against. Where that is a
    computed reference, `rougher(*coordinates)` is the same computed less finely: how far they lie apart is told as the reference's own
    error.

    `quantity(model, points)`: what is compared, the model's values unless given; of an inverse problem the unknown, as a constant, and
    `exact` its true value. `published`: the lowest published error (None: there is none); `must` and `aim`: what the row is for.
    `source`: whose number `published` is. `error(u, truth)`: in relative L2 unless given."""

    name: str
    fit: Fit
    region: Region
    exact: Callable[..., Array]
    presets: dict[str, Preset]
    published: float | None
    must: float
    aim: float | None = None
    source: str = ""
    quantity: Callable[[Any, Array], Array] = values
    error: Callable[[Array, Array], Array] = relative_l2
    rougher: Callable[..., Array] | None = None


def main(row: Row) -> None:
    """The command line of a script."""
    parser = arguments(None, row.presets, seeds=True)
    parser.add_argument("--check", action="store_true", help="exit 1 if the mean error is above what the row must reach")
    options = parser.parse_args()
    tune_allocator()
    with jax.enable_x64(True):
        preset = row.presets[options.preset]
        result = run(row, options.preset, tuple(options.seeds or preset.seeds))
    print(json.dumps(result) if options.json else
          f"{row.name}: error {result['error']['mean']:.2e} (published {row.published or '-'}){remark(options.preset)}")
    if options.check and result["error"]["mean"] > row.must:
        raise SystemExit(f"the error is above {row.must:.1e}")


def run(row: Row, preset_name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """All seeds of one preset."""
    preset = row.presets[preset_name]
    points = row.region.draw(jax.random.key(10**6), TESTED)
    truth, answer = row.exact(*points.T).reshape(TESTED, -1), eqx.filter_jit(row.quantity)
    apart = None if row.rougher is None else float(row.error(row.rougher(*points.T).reshape(TESTED, -1), truth))
    errors, seconds, losses, numbers = [], [], [], 0
    for seed in seeds:
        began = time.perf_counter()
        found = row.fit(preset, jax.random.key(seed))
        u = answer(found.model, points)
        seconds.append(time.perf_counter() - began)
        errors.append(float(row.error(u, truth)))
        losses.append(found.loss)
        numbers = parameter_count(found.model)
        print(f"{row.name}, seed {seed}: error {errors[-1]:.2e}, {seconds[-1]:.0f} s", flush=True)
    spread = {"mean": float(np.mean(errors)), "std": float(np.std(errors, ddof=1)) if len(errors) > 1 else None, "each": errors}
    return {"table": "physics_informed", "row": row.name, "preset": preset_name, "seeds": list(seeds), "error": spread,
            "reference_error": apart,
            "seconds": seconds, "loss": losses, "parameters": numbers, "stages": [repr(s) for s in preset.stages],
            "size": {k: repr(v) for k, v in preset.size.items()}, "points": preset.points,
            "environment": environment() | {"precision": "float64"}}
