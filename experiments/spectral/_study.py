"""One row of the spectral table: an equation, a network, an objective that reads the equation alone, and the solver beside them.

    python experiments/spectral/poisson_nsm.py [--preset smoke|cpu|paper] [--seeds 0 1 2 3] [--out FOLDER] [--json] [--check]

Inputs are drawn from the prior on the device while training; no solution is looked at but for choosing the weights (validation) and for the
error (test), on other draws. Checkpoints stay in `runs/`; a stopped call goes on where it was.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.benchmarks._harness import peak_mb
from experiments.options import arguments, remark, slug
from pdesurr import metrics
from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource, PriorSource, sample_key
from pdesurr.fields import Grid
from pdesurr.models import Records
from pdesurr.objectives import AtRecords, relative_l2
from pdesurr.pdes import AbstractEvolution, AbstractPDE
from pdesurr.surrogates.compare import seconds_per_sample
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Model, Objective, apply, parameter_count
from pdesurr.workflow import environment

STEPS_PER_EPOCH = 500
RECORDS = 16  # equal intervals up to the horizon, at which an evolution is judged
HELD, TESTED = 32, 128  # samples


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a preset fixes: nodes of the inputs, steps, batch and rate of training, arguments `size` of the network, seeds."""

    nodes: int
    steps: int
    learning_rate: float = 1e-3
    batch: int = 16
    size: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    tests: tuple[int, int] = (HELD, TESTED)


Solver = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Row:
    """`network(key, **size)` answers `pde` on `grid(nodes)` (the equation's own if not given), `objective(preset)` is minimised.

    The error is that of the steady answer, or of an evolution's `RECORDS` records together, in relative L2 on `tested` nodes, against
    the solver on `refined` times as many in float64. `solvers(grid)`: cheaper ways to solve, by name, from one input to what is judged.
    `published`: its error, not in per cent; `must` and `aim`: what the row is for."""

    name: str
    pde: AbstractPDE
    network: Callable[..., Model]
    objective: Callable[[Preset], Objective]
    presets: dict[str, Preset]
    published: float | None
    must: float | None
    aim: float | None = None
    grid: Callable[[int], Grid] | None = None
    tested: int = 64
    refined: int = 2
    solvers: Callable[[Grid], dict[str, Solver]] = lambda grid: {}

    def nodes(self, n: int) -> Grid:
        return (self.grid or self.pde.grid)(n)


def main(row: Row) -> None:
    """The command line of a script."""
    parser = arguments(None, row.presets, seeds=True, out="checkpoints")
    parser.add_argument("--check", action="store_true", help="exit 1 if the mean error is above what the row must reach")
    options = parser.parse_args()
    tune_allocator()
    preset = row.presets[options.preset]
    result = run(row, options.preset, tuple(options.seeds or preset.seeds), options.out)
    print(json.dumps(result) if options.json else
          f"{row.name}: relative L2 error {result['error']['mean']:.2e} (published {row.published or '-'}){remark(options.preset)}")
    if options.check and row.must is not None and result["error"]["mean"] > row.must:
        raise SystemExit(f"the error is above {row.must:.1e}")


def run(row: Row, preset_name: str, seeds: tuple[int, ...], out: Path) -> dict[str, Any]:
    """All seeds of one preset, and the solvers."""
    preset = row.presets[preset_name]
    held, tested = (solved(row, count, seed) for count, seed in zip(preset.tests, (10**6, 10**6 + 1), strict=True))
    label = slug(row.name, preset_name)
    errors, residuals, seconds, models = [], [], [], []
    for seed in seeds:
        model, spent = trained(row, preset, seed, held, out / label / f"seed-{seed}")
        answer = Records(model, RECORDS) if row.pde.record_times else model
        errors.append(float(np.mean(error_of(answer, tested))))
        few = tested.take(jnp.arange(8)).input
        residuals.append(float(jnp.mean(jnp.sqrt(eqx.filter_jit(row.objective(preset).squares)(model, few)))))  # pyright: ignore
        seconds.append(spent)
        models.append(answer)
        print(f"{row.name}, seed {seed}: error {errors[-1]:.2e}, {spent:.0f} s", flush=True)
    batch = jnp.asarray(tested.inputs[:16], jnp.float32)
    answer = eqx.filter_jit(lambda v: apply(models[0], dataclasses.replace(tested.take(jnp.arange(1)).input, values=v), tested.grid))
    spread = {"mean": float(np.mean(errors)), "std": float(np.std(errors, ddof=1)) if len(errors) > 1 else None, "each": errors}
    return {"table": "spectral", "row": row.name, "preset": preset_name, "seeds": list(seeds), "error": spread, "residual": residuals,
            "training_seconds": seconds, "step_seconds": float(np.mean(seconds)) / preset.steps, "parameters": parameter_count(models[0]),
            "peak_mb": peak_mb(), "surrogate_s": seconds_per_sample(answer, batch, 3),
            "solvers": [timed(name, solver, tested) for name, solver in row.solvers(tested.grid).items()],
            "judged": f"{RECORDS} records" if row.pde.record_times else "the solution", "training": dataclasses.asdict(preset),
            "objective": repr(row.objective(preset)), "environment": environment()}


def trained(row: Row, preset: Preset, seed: int, held: ArraySource, folder: Path, at_records: bool = True) -> tuple[Model, float]:
    """The network with the best validated weights, and the seconds that training took. An evolution is validated `at_records`, or else at
    its horizon."""
    model = row.network(jax.random.key(seed), **preset.size)
    size = min(STEPS_PER_EPOCH, preset.steps) * preset.batch
    source = PriorSource(row.pde, row.nodes(preset.nodes), size, seed)
    config = TrainConfig(epochs=preset.steps * preset.batch // size, batch_size=preset.batch, learning_rate=preset.learning_rate, seed=seed,
                         warmup=0.02, weight_decay=0.0, ema_decay=0.999)
    judge = AtRecords(relative_l2, RECORDS) if row.pde.record_times and at_records else relative_l2
    result = fit(model, source, row.objective(preset), config, validate=held, validation_objective=judge, folder=folder)
    return result.model, sum(r["seconds"] for r in result.history)


def solved(row: Row, count: int, seed: int) -> ArraySource:
    """Draws of the prior with their solutions, computed on finer nodes in float64."""
    grid = row.nodes(row.tested)
    with jax.enable_x64(True):
        fine = row.pde.grid(row.tested * row.refined)

        def one(i: Array) -> tuple[Array, Array]:
            a = row.pde.sample(sample_key(seed, i), fine).astype(jnp.float64)
            return fine.interpolate(fine.transform(a), grid), fine.interpolate(fine.transform(truth(row.pde, a, fine)), grid)

        inputs, outputs = jax.lax.map(one, jnp.arange(count))
    return ArraySource(np.asarray(inputs, np.float32), np.asarray(outputs, np.float32), grid)


def truth(pde: AbstractPDE, a: Array, grid: Grid, factor: float = 0.25) -> Array:
    """The solution, or an evolution's records as channels, by `factor` times the solver's own step."""
    if isinstance(pde, AbstractEvolution):
        horizon = float(pde.record_times[-1])
        times = tuple(horizon * (i + 1) / RECORDS for i in range(RECORDS))
        return jnp.concatenate(list(pde.evolve(a, grid, times, pde.step_size(grid) * factor)), axis=-1)  # pyright: ignore
    return pde.solve(a, grid)


def etdrk4(pde: Any, grid: Grid, n: int, steps: int) -> Solver:
    """An evolution's records by that many steps on n nodes an axis."""
    coarse, horizon = grid.with_shape(*(n,) * grid.ndim), float(pde.record_times[-1])
    times = tuple(horizon * (i + 1) / RECORDS for i in range(RECORDS))

    def records(a: Array) -> Array:
        few = a if coarse == grid else grid.resample(a, *coarse.shape)
        u = jnp.concatenate(list(pde.evolve(few, coarse, times, horizon / steps)), axis=-1)
        return u if coarse == grid else coarse.resample(u, *grid.shape)

    return records


def error_of(answer: Model, data: ArraySource) -> np.ndarray:
    """Relative L2 error of each sample."""

    @eqx.filter_jit
    def measure(model: Model, numbers: Array) -> Array:
        batch = data.take(numbers)
        return jax.vmap(lambda u, v: metrics.relative_l2(u, v, data.grid))(apply(model, batch.input, data.grid), batch.output.values)

    return np.concatenate([np.asarray(measure(answer, jnp.arange(i, min(i + 16, data.size)))) for i in range(0, data.size, 16)])


def timed(name: str, solver: Solver, data: ArraySource) -> dict[str, Any]:
    """Error and seconds a sample of a solver, batched."""
    a, u = data.inputs[:16], data.outputs[:16]
    answer = jax.jit(jax.vmap(solver))
    errors = jax.vmap(lambda v, w: metrics.relative_l2(v, w, data.grid))(answer(a), u)
    return {"solver": name, "error": float(jnp.mean(errors)), "seconds": seconds_per_sample(answer, a)}
