"""Muon against AdamW: FNO on Burgers (nu = .1, to t = 1), 1000 solved samples, as many epochs, and AdamW with twice as many.

    python experiments/burgers/optimisers.py [--preset smoke|cpu] [--out FOLDER] [--json]

Each takes the rate, of those tried, with the lowest validation error of the first seed; the test data are looked at after that. Seconds are
of training, compilation included.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import numpy as np

from experiments.burgers.few_data import solved
from experiments.options import arguments
from experiments.spectral._study import error_of
from pdesurr.allocator import tune_allocator
from pdesurr.data.augment import AugmentedSource
from pdesurr.fields.symmetries import reflection
from pdesurr.models import FNO
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainConfig, fit
from pdesurr.workflow import environment


@dataclasses.dataclass(frozen=True)
class Preset:
    nodes: int
    train: int
    epochs: int
    modes: int
    width: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    tested: int


PRESETS = {"smoke": Preset(32, 40, 1, 8, 8, (3e-3,), (0,), 4), "cpu": Preset(256, 1000, 60, 16, 32, (2e-3, 5e-3, 1e-2), (0, 1, 2), 200)}


def one(preset: Preset, optimiser: Any, epochs: int, rate: float, seed: int, folder: Path) -> dict[str, Any]:
    """One training: the model, its validation error and seconds."""
    network = FNO(1, 1, (preset.modes,), preset.width, head_width=2 * preset.width, key=jax.random.key(seed))
    config = TrainConfig(epochs=epochs, batch_size=20, learning_rate=rate, seed=seed, ema_decay=0.995, optimiser=optimiser)
    result = fit(network, AugmentedSource(solved(preset.train, preset.nodes, 0), (reflection,)), relative_l2, config,
                 validate=solved(max(preset.tested // 2, 4), preset.nodes, 10**6), devices=jax.devices()[:1],
                 folder=folder / f"{optimiser}-{epochs}-{rate:g}-{seed}")
    return {"model": result.model, "validation": float(result.best_metric), "seconds": sum(r["seconds"] for r in result.history)}


def compared(preset: Preset, optimiser: str, epochs: int, folder: Path) -> dict[str, Any]:
    """A row: the rate chosen on validation, then all seeds on the test data."""
    first = {rate: one(preset, optimiser, epochs, rate, preset.seeds[0], folder) for rate in preset.rates}
    rate = min(first, key=lambda r: first[r]["validation"])
    runs = [first[rate], *(one(preset, optimiser, epochs, rate, seed, folder) for seed in preset.seeds[1:])]
    test = solved(preset.tested, preset.nodes, 10**6 + 1)
    errors = [float(np.mean(error_of(run["model"], test))) for run in runs]
    return {"optimiser": optimiser, "epochs": epochs, "rate": rate, "validation": {f"{r:g}": run["validation"] for r, run in first.items()},
            "error": float(np.mean(errors)), "each": errors, "seconds": float(np.median([run["seconds"] for run in runs]))}


def main() -> None:
    options = arguments((__doc__ or "").splitlines()[0], PRESETS, out="checkpoints").parse_args()
    tune_allocator()
    preset, rows = PRESETS[options.preset], []
    for optimiser, epochs in (("adamw", preset.epochs), ("adamw", 2 * preset.epochs), ("muon", preset.epochs)):
        rows.append(compared(preset, optimiser, epochs, options.out / f"burgers-optimisers-{options.preset}"))
        print(f"{optimiser}, {epochs} epochs, rate {rows[-1]['rate']:g}: {rows[-1]['error']:.4f}", flush=True)
    result: dict[str, Any] = {"study": "optimisers", "preset": dataclasses.asdict(preset), "rows": rows, "environment": environment()}
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
