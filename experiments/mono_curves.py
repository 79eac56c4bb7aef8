"""Mixtures of neural operators: how many weights an input uses, how many are stored, and the error. Burgers on 64 nodes.

    python experiments/mono_curves.py [--quick] [--json]

The claim of arXiv 2404.09101, made for theory and with no numbers: at a fixed error, each expert of a mixture may be smaller than one
operator, at the price of more of them. One FNO, and mixtures of 2, 4 and 8 FNOs by a binary tree, each in several widths,
trained on the same samples for the same epochs; weights (and the learning rate, of several) are chosen on validation samples.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import jax
import jax.numpy as jnp

from experiments.options import as_folder
from experiments.study import RUNS, Data, make_data, pairs
from pdesurr.allocator import tune_allocator
from pdesurr.builders import build
from pdesurr.data import Dataset, open_dataset
from pdesurr.data.augment import AugmentedSource
from pdesurr.data.scaling import Scaled, encoded
from pdesurr.fields.symmetries import reflection
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Samples, parameter_count
from pdesurr.workflow import environment, scalers


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of everything."""

    data: Data = Data("burgers_jmlr", 1024, 16, 1000, 96, 200, (16,))
    levels: tuple[int, ...] = (0, 1, 2, 3)
    widths: tuple[int, ...] = (6, 12, 24)
    rates: tuple[float, ...] = (5e-3,)
    epochs: int = 30


QUICK = Size(Data("burgers_jmlr", 256, 8, 32, 8, 8, (8,), {"nu": 0.5}), (0, 1), (4,), (3e-3,), 2)


def network(data: Dataset, levels: int, width: int) -> Any:
    """One FNO, or a mixture of 2^levels; to be given the scaled data."""
    size = {"modes": 12, "width": width, "depth": 3, "head_width": 2 * width}
    if levels == 0:
        return build("FNO", data, jax.random.key(0), **size)
    return build("MoNO", data, jax.random.key(0), branching=2, levels=levels, **size)


def point(parts: tuple[Dataset, Dataset, Dataset], levels: int, width: int, size: Size) -> dict[str, Any]:
    """One mark on the curve: of the learning rates the one with the lowest validation error."""
    train, validation, test = parts
    scaler, found = scalers(train), []
    model = network(encoded(train, scaler), levels, width)
    for rate in size.rates:
        config = TrainConfig(epochs=size.epochs, batch_size=min(20, len(train)), learning_rate=rate)
        result = fit(Scaled(model, *scaler), AugmentedSource(pairs(train), (reflection,)), relative_l2, config, validate=pairs(validation),
                     devices=jax.devices()[:1])
        found.append((float(result.best_metric), rate, result.model))
    best, rate, trained = min(found, key=lambda f: f[0])
    error, _ = relative_l2(trained, Batch(*(Samples(test.grid, jnp.asarray(v)) for v in (test.inputs, test.outputs))), None)
    stored = parameter_count(model)
    return {"experts": 2**levels, "width": width, "active": stored // 2**levels, "stored": stored, "error": float(error),
            "validation": best, "learning_rate": rate}


def run(size: Size, out: Path) -> dict[str, Any]:
    say = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    files = make_data(size.data, out / "data", say)
    train, validation, test = (open_dataset(files[name][0], stride=size.data.stride) for name in ("train", "validation", "test"))
    began, rows = time.perf_counter(), []
    for levels in size.levels:
        for width in size.widths:
            rows.append(point((train, validation, test), levels, width, size))
            say(shown(rows[-1]))
    return {"rows": rows, "epochs": size.epochs, "samples": len(train), "seconds": time.perf_counter() - began,
            "environment": environment()}


def shown(row: dict[str, Any]) -> str:
    return f"{row['experts']} experts of width {row['width']}: {row['active']} of {row['stored']} weights used, error {row['error']:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds: is the script whole?")
    parser.add_argument("--out", type=as_folder, default=RUNS, help="where data stay")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    result = run(QUICK if options.quick else Size(), options.out)
    print(json.dumps(result) if options.json else "\n".join(map(shown, result["rows"])))


if __name__ == "__main__":
    main()
