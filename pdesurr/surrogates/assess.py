"""From a trained model to a surrogate that knows its error: its spec, its test, and whether other data are of its map."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.checks import require
from pdesurr.data import Dataset, DatasetInfo
from pdesurr.surrogates import traits
from pdesurr.surrogates.bundle import load_surrogate, save_surrogate
from pdesurr.surrogates.compare import sample_errors
from pdesurr.surrogates.spec import Channel, Spec
from pdesurr.surrogates.surrogate import RangeWarning, Surrogate
from pdesurr.train import FitResult, TrainConfig
from pdesurr.types import Model, Samples, apply


def make_surrogate(result: FitResult, train: Dataset, training: TrainConfig, path: Path) -> Surrogate:
    """The trained model with its spec, before any test. The rate of an optimiser that `fit` was given is not known: it is left out.
    Raises `UsageError` if the model is not one of these data (see `check_answers`)."""
    check_answers(result.model, train)
    kept = {name: getattr(training, name) for name in ("epochs", "batch_size", "learning_rate", "seed")
            if name != "learning_rate" or result.optimiser != "own"}
    kept |= {"optimiser": result.optimiser, "best_step": int(result.state.best_step)}
    return Surrogate(result.model, make_spec(train, kept, path))


def check_answers(model: Model, data: Dataset) -> None:
    """Raise `UsageError`, the model's own or this one, if it does not map such inputs to values like such outputs. Computes nothing."""
    one = Samples(data.grid, jnp.asarray(data.inputs[:1], jnp.float32))
    found = eqx.filter_eval_shape(apply, model, one, data.grid, key=jax.random.key(0)).shape[1:]
    wanted = data.outputs.shape[1:]
    require(found == wanted, "model", f"one whose answers to these data have the shape {wanted}", found, "give the data it was trained on")


def make_spec(train: Dataset, training: dict[str, Any], path: Path) -> Spec:
    """What a model that was trained so on these data, or on inputs of their law, is of."""
    info = train.info
    norms = np.sqrt(np.asarray(jax.vmap(lambda v: jnp.sum(train.grid.norm(v) ** 2))(jnp.asarray(train.inputs))))
    return Spec(
        pde=info.pde,
        parameters={k: float(v) for k, v in info.parameters.items()},
        grid=train.grid,
        input=_channels(info, info.input, train.inputs),
        output=_channels(info, info.output, train.outputs),
        norms=(float(norms.min()), float(norms.max())),
        data={"name": info.name, "samples": len(train), "sha256": info.sha256, "file": path.name},
        training=training,
        errors={},
        reference_error=info.reference_error["figure"] if info.reference_error else None,
        traits=traits.ranges(train.inputs),
    )


def _channels(info: Any, mapping: Any, values: np.ndarray) -> tuple[Channel, ...]:
    return tuple(
        Channel(part, None if t is None else info.times[t], info.field(name).unit, float(values[..., i].min()), float(values[..., i].max()))
        for i, (part, (name, t)) in enumerate(info.components(mapping))
    )


def evaluate(surrogate: Surrogate, test: Dataset, strides: list[int]) -> tuple[Surrogate, dict[str, np.ndarray]]:
    """Per-sample relative L2 errors at each stride of a test set, and the surrogate that knows them."""
    errors = {}
    for stride in strides:
        cut = (slice(None), *(slice(None, None, stride),) * test.grid.ndim)
        grid = test.grid.with_shape(*(n // stride for n in test.grid.shape))
        errors["x".join(map(str, grid.shape))] = sample_errors(surrogate, test.inputs[cut], test.outputs[cut], grid)
    spec = dataclasses.replace(surrogate.spec, errors={k: summary(v) for k, v in errors.items()})
    return Surrogate(surrogate.model, spec), errors


def summary(errors: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(errors.mean()),
        "median": float(np.median(errors)),
        "p95": float(np.quantile(errors, 0.95)),
        "max": float(errors.max()),
        "samples": len(errors),
    }


def check_same_map(spec: Spec, info: DatasetInfo) -> None:
    """Raise `UsageError` if a data file's channels, kinds of axes or box are not the surrogate's; warn (`RangeWarning`) if the
    equation or its parameters are."""
    for what, ours, theirs in (("input", spec.input, info.input), ("output", spec.output, info.output)):
        names = [c.name for c in ours]
        parts = [part for part, _ in info.components(theirs)]
        require(len(names) == len(parts), "data", f"the surrogate's {what} channels, {', '.join(names)}", parts)
    boxes = [[(type(b).__name__, round(b.lower, 9), round(b.upper, 9)) for b in g.bases] for g in (spec.grid, info.grid)]
    require(boxes[0] == boxes[1], "data", f"the surrogate's axes and box, {boxes[0]}", boxes[1], "it was trained for another domain")
    if spec.pde != info.pde:
        warnings.warn(f"the data are of {info.pde!r}, the surrogate was trained for {spec.pde!r}", RangeWarning, stacklevel=2)
    for name, value in spec.parameters.items():
        other = info.parameters.get(name)
        if spec.pde == info.pde and other != value:
            warnings.warn(f"the data have {name} = {other}, the surrogate was trained for {value}", RangeWarning, stacklevel=2)


def record_errors(path: Path, surrogate: Surrogate, errors: dict[str, dict[str, float]]) -> None:
    """Write test errors into the bundle at `path` (or in the run folder `path`), beside those at other resolutions."""
    spec = dataclasses.replace(surrogate.spec, errors={**surrogate.spec.errors, **errors})
    save_surrogate(Surrogate(surrogate.model, spec), path / "bundle" if (path / "bundle").is_dir() else path, overwrite=True)


def bundle_of(path: Path) -> Surrogate:
    """A bundle folder, or the bundle inside a run folder."""
    return load_surrogate(path / "bundle" if (path / "bundle").is_dir() else path)
