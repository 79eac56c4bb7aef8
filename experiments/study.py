"""One row of a table: data, a model, some seeds, its errors at every resolution, and the reference solver beside it.

A script of choices makes a `Row` and calls `main(ROW)`:

    python experiments/neural_operators/burgers_fno.py [--preset smoke|cpu|paper] [--seeds 0 1 2] [--out FOLDER] [--json] [--check]

Data, checkpoints and bundles stay in `runs/`; a stopped call goes on where it was. The weights are chosen on validation data; the
test data are looked at once a seed, at the end. `--json` prints the row as one JSON object; `--check` exits 1 where it is worse than
the row says it should be. `python experiments/record.py neural_operators/NAME ...` keeps the object for `table.py`.
"""

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from experiments.options import arguments, remark, slug
from pdesurr import metrics, recipes
from pdesurr._files import read_json, write_json
from pdesurr.allocator import tune_allocator
from pdesurr.checks import require
from pdesurr.data import Dataset, generate, open_dataset, read_info
from pdesurr.data.augment import AugmentedSource
from pdesurr.data.scaling import ChannelScaler, Scaled, encoded
from pdesurr.data.sources import AbstractSource, ArraySource
from pdesurr.data.windows import WindowSource
from pdesurr.fields.symmetries import Symmetry
from pdesurr.models import RollOut, Smoothed, Symmetrised
from pdesurr.models.smoothed import with_averages
from pdesurr.objectives import RolledOut, relative_l2
from pdesurr.pdes import AbstractPDE
from pdesurr.surrogates import Surrogate, compare, save_surrogate
from pdesurr.surrogates.assess import make_surrogate, summary
from pdesurr.train import FitResult, TrainConfig, fit
from pdesurr.types import Model, Objective, parameter_count
from pdesurr.uq.estimates import in_batches
from pdesurr.workflow import environment, scalers

RUNS = Path("runs")
CACHED = 2**18  # nodes of the samples evaluated side by side


@dataclasses.dataclass(frozen=True)
class Data:
    """Disjoint training, validation and test samples of a named data set, stored on `resolution` nodes an axis. Training is on every
    `stride`-th node, tests on every one of `tests`. `changes`: numbers of the equation other than the recipe's."""

    recipe: str
    resolution: int
    stride: int
    train: int
    validation: int
    test: int
    tests: tuple[int, ...]
    changes: dict[str, float] = dataclasses.field(default_factory=dict)

    def build(self) -> AbstractPDE:
        return recipes.find(self.recipe).build(self.changes)


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a preset fixes: data, training, seeds, and the arguments `size` of the row's network. `first`: a training before that, on every
    so many-th node, whose network is then `refined` for the nodes of `data`."""

    data: Data
    training: TrainConfig
    seeds: tuple[int, ...] = (0,)
    size: dict[str, Any] = dataclasses.field(default_factory=dict)
    first: tuple[int, TrainConfig] | None = None


@dataclasses.dataclass(frozen=True)
class OneStep:
    """Training of one step of an evolution on true windows (Markov), which is then rolled out over all records. `noise` and `residual`
    as in `RolledOut`."""

    noise: float = 0.0
    residual: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """`network(scaled training data, key, **size)` makes the model; `published` and `best_known` are errors by resolution.

    `objective` is what training minimises, on the stored pairs, each epoch under a random one of `symmetries`. With `one_step` the data
    are evolutions: the network answers the next record, and is trained on windows of as many records as the input holds. `smoothed`:
    lengths of averages of the input that the network sees beside it (`pdesurr.models.Smoothed`; not with `one_step`). `symmetrised`:
    the group of symmetries over which answers are averaged once training is done (`pdesurr.models.Symmetrised`); the errors without
    that are kept too. `protocol`:
    what else changes the number, in words, stored with it. `allowed`: for `--check`, by preset: the largest mean error. `reduced`: presets
    whose data are a smaller form of the published ones, so that their errors are not held against the published.
    """

    table: str
    name: str
    network: Callable[..., Model]
    presets: dict[str, Preset]
    published: dict[str, float] = dataclasses.field(default_factory=dict)
    best_known: dict[str, float] = dataclasses.field(default_factory=dict)
    objective: Objective = relative_l2
    symmetries: tuple[Symmetry, ...] = ()
    scalers: Callable[[Dataset], tuple[ChannelScaler, ChannelScaler]] = scalers
    one_step: OneStep | None = None
    smoothed: tuple[float, ...] = ()
    symmetrised: str | None = None
    protocol: dict[str, str] = dataclasses.field(default_factory=dict)
    allowed: dict[str, float] = dataclasses.field(default_factory=dict)
    reduced: tuple[str, ...] = ()


def main(row: Row) -> None:
    """The command line of a script."""
    parser = arguments(None, row.presets, seeds=True, out="data and runs")
    parser.add_argument("--check", action="store_true", help="exit 1 if the error is larger than expected")
    options = parser.parse_args()
    tune_allocator()
    preset = row.presets[options.preset]
    result = run(row, options.preset, options.out, tuple(options.seeds or preset.seeds), lambda text: print(text, flush=True))
    if options.json:
        print(json.dumps(result))
    for shape, e in result["errors"].items():
        if not options.json:
            print(f"{row.table} {row.name} at {shape}: relative L2 error {e['mean']:.4f} (published {row.published.get(shape, '-')})"
                  + remark(options.preset))
    allowed = row.allowed.get(options.preset)
    if options.check and allowed is None:
        print(f"no error is expected of preset {options.preset}: not checked", file=sys.stderr)
    elif options.check and result["errors"][result["trained_at"]]["mean"] > allowed:
        raise SystemExit(f"the error at {result['trained_at']} is above {allowed}")


def run(row: Row, preset_name: str, out: Path, seeds: tuple[int, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """All seeds of one preset, and the solver beside them."""
    preset = row.presets[preset_name]
    files = make_data(preset.data, out / "data", say)
    label = slug(row.table, row.name, preset_name)
    found = [one_seed(row, preset, seed, files, out / label / f"seed-{seed}", say) for seed in seeds]
    surrogate, parts = found[0][0], [p for _, p in found]
    over_seeds = lambda name: {s: spread([p[name][s]["mean"] for p in parts]) for s in parts[0][name]}  # noqa: E731
    errors = over_seeds("errors")
    mean = [np.mean(u, axis=0) for u in zip(*(p["answers"] for p in parts), strict=True)]
    together = {"errors_together": tested(mean, preset.data, files["test"][0], say, " of the seeds together")} if len(seeds) > 1 else {}
    trained_at = next(iter(errors))
    info = read_info(files["train"][0])
    result = {
        "table": row.table, "row": row.name, "preset": preset_name, "seeds": list(seeds), "trained_at": trained_at, "errors": errors,
        **({"errors_of_one_image": over_seeds("errors_of_one_image")} if row.symmetrised else {}), **together,
        "validation": [p["validation"] for p in parts], "parameters": parts[0]["parameters"],
        "training_seconds": [p["training_seconds"] for p in parts], "data_seconds": sum(seconds for _, seconds in files.values()),
        "protocol": protocol(row, preset), "reference_error": info.reference_error["figure"] if info.reference_error else None,
        "dataset_sha256": {name: read_info(path).sha256 for name, (path, _) in files.items()}, "environment": environment(),
        "samples": {name: moments(open_dataset(path, stride=preset.data.stride)) for name, (path, _) in files.items()},
    }
    say("timing the surrogate and the reference solver ...")
    return result | solver_beside(preset, surrogate, files["test"][0], errors[trained_at]["mean"], result)


def one_seed(row: Row, preset: Preset, seed: int, files: dict[str, tuple[Path, float]], folder: Path,
             say: Callable[[str], None]) -> tuple[Surrogate, dict[str, Any]]:
    """Train, or go on training, and test."""
    data = preset.data
    result, train, seconds = trained(row, preset, seed, files, folder, say)
    scaler = row.scalers(train)
    if row.smoothed:
        result.model = Scaled(Smoothed(result.model.model, row.smoothed), *scaler)
    if row.one_step is not None:
        rolled = RollOut(result.model.model, train.outputs.shape[-1], residual=row.one_step.residual)
        result.model = Scaled(rolled, *scaler)
    training = dataclasses.replace(preset.training, seed=seed)
    surrogate, more = make_surrogate(result, train, training, files["train"][0]), {}
    if preset.first:
        spec = dataclasses.replace(surrogate.spec, training=surrogate.spec.training | {"before": before(preset.first)})
        surrogate = Surrogate(surrogate.model, spec)
    if row.symmetrised:
        one = answers(surrogate, data, files["test"][0])
        more = {"errors_of_one_image": tested(one, data, files["test"][0], say, " of one image")}
        images = Symmetrised(surrogate.model.model, row.symmetrised)
        surrogate = Surrogate(dataclasses.replace(surrogate.model, model=images), surrogate.spec)
    found = answers(surrogate, data, files["test"][0])
    errors = tested(found, data, files["test"][0], say)
    surrogate = Surrogate(surrogate.model, dataclasses.replace(surrogate.spec, errors=errors))
    save_surrogate(surrogate, folder / "bundle", overwrite=True)
    return surrogate, {"errors": errors, "validation": float(result.best_metric), "parameters": parameter_count(result.model),
                       "answers": found, "training_seconds": seconds, **more}


def trained(row: Row, preset: Preset, seed: int, files: dict[str, tuple[Path, float]], folder: Path,
            say: Callable[[str], None]) -> tuple[FitResult, Dataset, float]:
    """Train, or go on training: the result, the training data, and how many seconds it took in all."""
    train, validation = (open_dataset(files[name][0], stride=preset.data.stride) for name in ("train", "validation"))
    scaler, key, seconds = row.scalers(train), jax.random.key(seed), 0.0
    seen, seen_scaler = averaged(train, row.smoothed), (repeated(scaler[0], 1 + len(row.smoothed)), scaler[1])
    if preset.first is None:
        network = row.network(encoded(seen, seen_scaler), key, **preset.size)
    else:
        coarse = Preset(dataclasses.replace(preset.data, stride=preset.first[0]), preset.first[1], size=preset.size)
        start, _, seconds = trained(row, coarse, seed, files, folder / "coarse", say)
        network = start.model.model.refined(train.grid.shape, key=key)
    training = dataclasses.replace(preset.training, seed=seed)
    say(f"{row.table} {row.name}, seed {seed}: {parameter_count(network)} parameters, {len(train)} samples at {train.grid.shape}, "
        f"{training.epochs} epochs")
    plan = Plan(Scaled(network, *seen_scaler), row.objective, pairs(seen), relative_l2) if row.one_step is None else one_step_plan(
        row.one_step, network, scaler, train)
    result = fit(plan.model, AugmentedSource(plan.source, row.symmetries), plan.objective, training, folder=folder,
                 validation_objective=plan.validation, validate=pairs(averaged(validation, row.smoothed)))
    return result, train, seconds + sum(r["seconds"] for r in result.history)


def answers(surrogate: Surrogate, data: Data, file: Path) -> list[np.ndarray]:
    """What it says of the test samples, at every resolution."""
    ask, found = eqx.filter_jit(lambda f, a: f(a)), []
    for stride in data.tests:
        test = open_dataset(file, stride=stride)
        batch = max(1, min(20, CACHED // int(np.prod(test.grid.shape))))
        parts = [ask(surrogate, jnp.asarray(test.inputs[i : i + batch], jnp.float32)) for i in range(0, len(test), batch)]
        found.append(np.concatenate([np.asarray(part) for part in parts]))
    return found


def tested(found: list[np.ndarray], data: Data, file: Path, say: Callable[[str], None], whose: str = "") -> dict[str, dict[str, float]]:
    """The test errors of `answers`."""
    errors = {}
    for stride, u in zip(data.tests, found, strict=True):
        test = open_dataset(file, stride=stride)
        each = in_batches(functools.partial(metrics.relative_l2, grid=test.grid), u, test.outputs)
        errors["x".join(map(str, test.grid.shape))] = summary(each)
        say(f"  relative L2 at {test.grid.shape}{whose}: {each.mean():.4f}")
    return errors


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `fit` is given."""

    model: Model
    objective: Objective
    source: AbstractSource
    validation: Objective


def pairs(data: Dataset) -> ArraySource:
    return ArraySource(data.inputs, data.outputs, data.grid)


def averaged(data: Dataset, lengths: tuple[float, ...]) -> Dataset:
    """The data with averages of their inputs as further channels: what the network of a row with `smoothed` is trained on."""
    if not lengths:
        return data
    parts = [np.asarray(with_averages(jnp.asarray(part), data.grid, lengths)) for part in np.array_split(data.inputs, -(-len(data) // 64))]
    return dataclasses.replace(data, inputs=np.concatenate(parts))


def repeated(scaler: ChannelScaler, times: int) -> ChannelScaler:
    return ChannelScaler(scaler.mean * times, scaler.std * times)


def one_step_plan(how: OneStep, network: Model, scaler: tuple[ChannelScaler, ChannelScaler], data: Dataset) -> Plan:
    """The network between normalisers of one record, trained on windows, chosen by its whole roll-outs."""
    one = tuple(numbers[:1] for numbers in (scaler[1].mean, scaler[1].std))
    windows = WindowSource(np.concatenate([data.inputs, data.outputs], -1), data.grid, data.inputs.shape[-1], 1)
    return Plan(Scaled(network, scaler[0], ChannelScaler(*one)), RolledOut(1, noise=how.noise, residual=how.residual), windows,
                RolledOut(data.outputs.shape[-1], residual=how.residual))


def make_data(data: Data, folder: Path, say: Callable[[str], None]) -> dict[str, tuple[Path, float]]:
    """The three files, with the seconds that making each took: once, then reused by every row of the same data."""
    pde, made, first = data.build(), {}, 0
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "validation", "test"):
        count = getattr(data, part)
        numbers = "".join(f"_{k}{v:g}" for k, v in sorted(data.changes.items()))
        path = folder / f"{data.recipe}{numbers}_{data.resolution}_{first}_{count}.h5"
        clock = path.with_suffix(".json")
        if not path.is_file():
            say(f"generating {count} {part} samples of {data.recipe} at {data.resolution} nodes an axis ...")
            began = time.perf_counter()
            generate(pde, path, samples=count, resolution=data.resolution, seed=0, first=first)
            write_json(clock, {"seconds": time.perf_counter() - began})
        info = read_info(path)
        require(info.parameters == pde.parameters, "data", f"a file of {pde.parameters}", info.parameters, f"delete {path}")
        made[part] = (path, read_json(clock)["seconds"] if clock.is_file() else 0.0)
        first += (count + 1023) // 1024 * 1024
    return made


def solver_beside(preset: Preset, surrogate: Surrogate, file: Path, error: float, result: dict[str, Any]) -> dict[str, Any]:
    """Seconds a sample, batched alike: the surrogate; the reference solver at equal error, and what it reaches in equal time; after how
    many queries data and training are paid for."""
    pde, test = preset.data.build(), open_dataset(file, stride=preset.data.stride)
    count = max(1, min(20, len(test), CACHED // int(np.prod(test.grid.shape))))
    inputs, outputs = test.inputs[:count], test.outputs[:count]
    seconds = compare.seconds_per_sample(jax.jit(lambda v: surrogate(v)), jnp.asarray(inputs, jnp.float32), repeats=3)
    equal_error = compare.cheapest_setting(pde, inputs, outputs, test.grid, error)
    equal_time = compare.best_within(pde, inputs, outputs, test.grid, seconds)
    spent = result["data_seconds"] + float(np.mean(result["training_seconds"]))
    saved = equal_error["seconds"] - seconds if equal_error else None
    return {"surrogate_s": seconds, "solver_equal_error": equal_error, "solver_equal_time": equal_time,
            "break_even_queries": spent / saved if saved and saved > 0 else None}


def protocol(row: Row, preset: Preset) -> dict[str, str]:
    """Everything that changes the number besides the model (see the anchors of each claim)."""
    return {"selection": f"lowest validation error of the weights' running mean, {preset.data.validation} samples",
            "training samples": str(preset.data.train), "test samples": str(preset.data.test), "normaliser": "one mean and scale a channel",
            "objective": getattr(row.objective, "__name__", type(row.objective).__name__) if row.one_step is None else str(row.one_step),
            "symmetries": ", ".join(getattr(s, "__name__", repr(s)) for s in row.symmetries) or "none",
            **({"answers averaged over": row.symmetrised} if row.symmetrised else {}),
            **({"averages of the input": ", ".join(map(str, row.smoothed))} if row.smoothed else {}),
            "optimiser": preset.training.optimiser, "epochs": str(preset.training.epochs), "batch": str(preset.training.batch_size),
            **({"before": before(preset.first)} if preset.first else {}),
            **row.protocol, **{k: str(v) for k, v in preset.size.items()}}


def before(first: tuple[int, TrainConfig]) -> str:
    """A first, coarse training, in words."""
    return f"{first[1].epochs} epochs at every {first[0]}th node, rate {first[1].learning_rate:g}, then refined"


def moments(data: Dataset) -> dict[str, float]:
    """By which samples that another machine rounds otherwise are known to be the same."""
    parts = {"input": np.asarray(data.inputs, np.float64), "output": np.asarray(data.outputs, np.float64)}
    return {f"{part}_{name}": float(of(v)) for part, v in parts.items() for name, of in (("mean", np.mean), ("std", np.std))}


def spread(values: list[float]) -> dict[str, Any]:
    """Mean over seeds, sample standard deviation (None for one seed), and each."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None, "each": values}
