"""The main job end to end: a data set, a trained surrogate, its errors and its cost, an inverse problem, a run folder with a report."""

import dataclasses
import json
import platform
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import __version__, builders, objectives
from pdesurr._files import check_manifest, read_json, write_json, write_text
from pdesurr.checks import CheckpointError, DatasetError, require
from pdesurr.data import Dataset, DatasetInfo, generate, open_dataset, read_info
from pdesurr.data.augment import AugmentedSource
from pdesurr.data.scaling import ChannelScaler, Scaled, encoded, fit_scaler
from pdesurr.data.schema import IMPORTED
from pdesurr.data.sources import AbstractSource, ArraySource, PDESource
from pdesurr.fields.symmetries import reflection
from pdesurr.pdes import AbstractPDE, Burgers
from pdesurr.recipes import make_pde
from pdesurr.recovery import recover
from pdesurr.report import write_report
from pdesurr.surrogates import Surrogate, save_surrogate
from pdesurr.surrogates.assess import check_answers, evaluate, make_surrogate, summary
from pdesurr.surrogates.compare import break_even, cheapest_setting, pareto_front, sample_errors, seconds_per_sample
from pdesurr.train import FitResult, TrainConfig, fit


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """An FNO's size. `modes` are kept per axis."""

    modes: int = 16
    width: int = 64
    depth: int = 4
    head_width: int = 128

    def build(self, data: Dataset, training: TrainConfig) -> Scaled:
        """The model between the normalisers of its training data."""
        return scaled_model("FNO", data, training.seeds[0], dataclasses.asdict(self))


def scaled_model(name: str, data: Dataset, seed: int, arguments: dict[str, Any]) -> Scaled:
    """The model of that name (see `builders.build`, also for what is raised) between the normalisers of its training data."""
    scaler = scalers(data)
    return Scaled(builders.build(name, encoded(data, scaler), jax.random.key(seed), **arguments), *scaler)


def scalers(data: Dataset) -> tuple[ChannelScaler, ChannelScaler]:
    """Normalisers of a data set; about zero on all-periodic grids, where equations commute with shifts and signs."""
    centre = not all(b.periodic for b in data.grid.bases)
    return fit_scaler(data.inputs, centre), fit_scaler(data.outputs, centre)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The JMLR Burgers job. Data at `resolution`; training on every `stride`-th node; tested there, at 2x and at 8x."""

    preset: str = "cpu"
    nu: float = 0.1
    resolution: int = 8192
    stride: int = 8
    train: int = 1000
    validation: int = 96
    test: int = 200
    data_seed: int = 0
    model: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()
    objective: Literal["relative_l2", "relative_h1"] = "relative_l2"


PRESETS = {
    "smoke": RunConfig(
        "smoke",
        resolution=512,
        stride=8,
        train=64,
        validation=16,
        test=32,
        nu=0.5,
        model=ModelConfig(modes=8, width=16, depth=2),
        training=TrainConfig(epochs=3, learning_rate=3e-3),
    ),
    # A coarser grid and a narrower network than the paper's, so that minutes are enough.
    "cpu": RunConfig(
        "cpu", stride=32, model=ModelConfig(width=32, head_width=64),
        training=TrainConfig(epochs=150, learning_rate=5e-3, ema_decay=0.995, optimiser="muon"),
    ),
    # Lowest validation errors among the depths, norms, decays and steps tried (experiments/neural_operators/burgers_fno.py).
    "paper": RunConfig(
        "paper", model=ModelConfig(depth=6), objective="relative_h1",
        training=TrainConfig(epochs=200, batch_size=10, learning_rate=3e-3, weight_decay=0.03, ema_decay=0.995, optimiser="muon"),
    ),
}


def run(config: RunConfig, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Generate, train, evaluate, time, load what was kept and invert with it, report. What an earlier call finished is reused; what it left
    half done is resumed.

    Returns what it also writes as `results.json`. Raises `CheckpointError` if the folder holds a run with another config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, config)
    if _is_finished(folder):
        say(f"finished already; delete {folder} to start afresh")
        return read_json(folder / "results.json")
    pde = Burgers(nu=config.nu)
    paths = make_data(pde, config, folder / "data", say)
    train = open_dataset(paths["train"], stride=config.stride)
    validation = open_dataset(paths["validation"], stride=config.stride)
    source = AugmentedSource(ArraySource(train.inputs, train.outputs, train.grid), (reflection,))
    model = config.model.build(train, config.training)
    result = train_model(train, validation, model, config.training, folder, say, config.objective, source)
    surrogate = make_surrogate(result, train, config.training, paths["train"])
    say("measuring errors and times ...")
    test = open_dataset(paths["test"])
    strides = [s for s in dict.fromkeys((config.stride, config.stride // 2, config.stride // 8)) if s >= 1]
    surrogate, errors = evaluate(surrogate, test, strides)
    save_surrogate(surrogate, folder / "bundle", overwrite=True)
    (folder / "results.json").unlink(missing_ok=True)
    results = {
        "command": _command(config, folder),
        "config": to_plain(config),
        "environment": environment(),
        "seed": config.training.seed,
        "dataset_sha256": {name: read_info(path).sha256 for name, path in paths.items()},
        "reference_error": train.info.reference_error,
        "errors": {k: summary(v) for k, v in errors.items()},
        "best_validation": float(result.best_metric),
        "training_seconds": sum(r["seconds"] for r in result.history),
        "parameters": sum(v.size for v in jax.tree.leaves(eqx.filter(surrogate.model, eqx.is_inexact_array))),
        "cost": compare_cost(surrogate, pde, test, config.stride, float(np.mean(next(iter(errors.values()))))),
    }
    say("finding a start from noisy readings of its end, by the bundle ...")
    results["recovery"] = recover(folder / "bundle", pde, train.grid)
    write_report(folder, results, surrogate, test, strides, errors, result.history)
    write_json(folder / "results.json", results)
    return results


def make_data(pde: AbstractPDE, config: RunConfig, folder: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The train, validation and test files: disjoint sample numbers of one seed. Existing files of the same recipe are kept."""
    paths, first = {}, 0
    for name in ("train", "validation", "test"):
        count, path = getattr(config, name), folder / f"{name}.h5"
        if not _is_recipe(path, pde, config, count):
            say(f"generating {count} {name} samples at {config.resolution} nodes ...")
            generate(pde, path, samples=count, resolution=config.resolution, seed=config.data_seed, first=first, overwrite=True)
        paths[name], first = path, first + (count + 1023) // 1024 * 1024
    return paths


def _is_recipe(path: Path, pde: AbstractPDE, config: RunConfig, count: int) -> bool:
    try:
        info = read_info(path)
    except DatasetError:
        return False
    return (info.parameters, info.n, info.grid.shape[0], info.seed) == (pde.parameters, count, config.resolution, config.data_seed)


def train_model(
    train: Dataset,
    validation: Dataset,
    model: Scaled,
    training: TrainConfig,
    folder: Path,
    say: Callable[[str], None],
    objective: str = "relative_l2",
    source: AbstractSource | None = None,
) -> FitResult:
    """Fit a model to a data set; the state lives in `folder`. `source` replaces the stored samples by others of the same map."""
    source = source or ArraySource(train.inputs, train.outputs, train.grid)
    check_answers(model, train)
    batches, left = divmod(source.size, training.batch_size)
    if batches:  # or `fit` refuses
        nodes = "x".join(map(str, train.grid.shape))
        say(f"training on {source.size} samples at {nodes} nodes, {training.epochs} epochs of {batches} steps"
            + (f" ({left} samples, drawn anew, sit out each epoch)" if left else "") + " ...")
    return fit(
        model,
        source,
        getattr(objectives, objective),
        training,
        folder=folder,
        validate=ArraySource(validation.inputs, validation.outputs, train.grid),
        validation_objective=objectives.relative_l2,
    )


def compare_cost(surrogate: Surrogate, pde: AbstractPDE, test: Dataset, stride: int, error: float, batch: int = 100) -> dict[str, Any]:
    """Seconds per sample at the training resolution, batched alike: surrogate, reference, cheapest setting at equal error."""
    inputs, outputs = test.inputs[:batch, ::stride], test.outputs[:batch, ::stride]
    grid = test.grid.with_shape(*(n // stride for n in test.grid.shape))
    a = jnp.asarray(inputs, jnp.float32)
    reference = jax.jit(jax.vmap(lambda v: pde.solve(v, grid, method="cole_hopf")))  # pyright: ignore[reportCallIssue]
    return {
        "batch": len(inputs),
        "nodes": list(grid.shape),
        "surrogate_seconds": seconds_per_sample(jax.jit(lambda v: surrogate(v)), a),
        "reference_seconds": seconds_per_sample(reference, a),
        "reference": "Cole-Hopf by FFT",
        "equal_error": cheapest_setting(pde, inputs, outputs, grid, error),
    }


def compare(surrogate: Surrogate, samples: int, seed: int, spent: float | None) -> dict[str, Any]:
    """Error and seconds a sample of the surrogate and of the solver's settings that are worth while, on fresh draws of the prior, batched
    alike; after how many samples the seconds `spent` are won back (None: never, or not asked)."""
    pde, grid = make_pde(surrogate.spec.pde, surrogate.spec.parameters), surrogate.spec.grid
    source = PDESource(pde, grid, samples, seed, draws=samples)
    batch = jax.jit(source.take)(jnp.arange(samples))
    inputs, outputs = (np.asarray(s.values) for s in (batch.input, batch.output))
    own = {"error": float(np.mean(sample_errors(surrogate, inputs, outputs, grid))),
           "seconds": seconds_per_sample(jax.jit(lambda v: surrogate(v)), jnp.asarray(inputs, jnp.float32))}
    front = pareto_front(pde, inputs, outputs, grid)
    queries = None if spent is None else break_even(spent, own["seconds"], front, own["error"])
    return {"nodes": list(grid.shape), "samples": samples, "surrogate": own, "solver": front, "spent": spent, "break_even": queries,
            "environment": environment()}


def environment() -> dict[str, Any]:
    """What the numbers were made with."""
    packages = {}
    for name in ("jax", "jaxlib", "equinox", "optax", "numpy", "h5py"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "?"
    device = jax.devices()[0]
    return {
        "pdesurr": __version__,
        "python": platform.python_version(),
        **packages,
        "device": " ".join(dict.fromkeys((device.platform, device.device_kind))),
        "devices": jax.device_count(),
        "precision": "float32",
        "system": sys.platform,
    }


def to_plain(config: Any) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def claim(folder: Path, config: RunConfig) -> None:
    """The resolved config is written first; a folder keeps to it. Raises `CheckpointError` for one that holds another, or a damaged one."""
    file = folder / "config.json"
    if file.exists():
        try:
            old, new = _leaves(read_json(file)), _leaves(to_plain(config))
        except (OSError, ValueError) as error:
            what = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{file} cannot be read ({what}): choose another --out, or delete the folder") from None
        changed = [f"{_cut(k)} {_shown(old, k)}, not {_shown(new, k)}" for k in {**new, **old} if _shown(old, k) != _shown(new, k)]
        if changed:
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise CheckpointError(f"{folder} holds a run with {'; '.join(changed[:5])}{more}: choose another --out, or delete the folder")
    else:
        write_text(file, json.dumps(to_plain(config), indent=1) + "\n")


def _shown(leaves: dict[str, Any], name: str) -> str:
    """As JSON, where 1 and true differ."""
    return _cut(json.dumps(leaves[name])) if name in leaves else "missing"


def _cut(text: str) -> str:
    """A text that may come from a damaged file."""
    return text[:60] if text.isprintable() else ascii(text)[:60]


def _leaves(config: Any, name: str = "") -> dict[str, Any]:
    """A nested table as one with dotted names."""
    if not isinstance(config, dict) or not config:
        return {name: config}
    return {k: v for key, part in config.items() for k, v in _leaves(part, f"{name}.{key}" if name else key).items()}


def _is_finished(folder: Path) -> bool:
    """Whether everything a run leaves is there, and the bundle sound."""
    needed = ["results.json", "report.md", *(f"data/{name}.h5" for name in ("train", "validation", "test"))]
    if not all((folder / name).is_file() for name in needed) or "recovery" not in read_json(folder / "results.json"):
        return False
    shown = re.findall(r"\(figures/(\w+\.png)\)", (folder / "report.md").read_text())
    figures = all((folder / "figures" / name).is_file() for name in shown)
    return figures and (folder / "bundle").is_dir() and check_manifest(folder / "bundle") is None


def _command(config: RunConfig, folder: Path) -> str:
    """What was called: options that are the preset's own are left out."""
    preset, words = PRESETS.get(config.preset, config), ["python -m pdesurr run --preset", config.preset]
    for name in ("seed", "epochs"):
        value = getattr(config.training, name)
        words += [f"--{name} {value}"] if value != getattr(preset.training, name) else []
    return " ".join(words + ([] if folder == Path("runs") / f"burgers-{config.preset}" else [f"--out {folder.name}"]))


def batch_size(samples: int, wanted: int = 20) -> int:
    """`wanted`, or for a small set the largest number of samples that all devices share evenly."""
    devices = jax.device_count()
    return max(1, min(wanted, samples) // devices) * devices


def pde_of(info: DatasetInfo) -> AbstractPDE:
    """The equation that made a data file. Raises `UsageError` for an imported one."""
    require(info.pde != IMPORTED, "data", "a file made by an equation of this package", info.pde, "only a known PDE can be streamed")
    return make_pde(info.pde, {name: float(value) for name, value in info.parameters.items()})
