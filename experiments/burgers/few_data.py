"""Data against physics: FNO on Burgers (nu = .1, to t = 1) from 0, 64, 256 or 1024 solved samples, with and without the residual.

    python experiments/burgers/few_data.py [--preset smoke|cpu] [--out FOLDER] [--json]

The network is a function of space and time that starts where it must. Data are solutions at t = 1; the equation's residual is asked for on
inputs drawn anew at every step, which cost no solve. All runs take the same number of steps; the weights are chosen on the same validation
samples.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from experiments.options import arguments
from experiments.spectral._study import error_of
from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource, PriorSource, sample_key
from pdesurr.models import FNO, InitialValue, OverTime
from pdesurr.objectives import Mixed, SpectralResidual, relative_l2
from pdesurr.pdes import Burgers
from pdesurr.train import TrainConfig, fit
from pdesurr.workflow import environment


@dataclasses.dataclass(frozen=True)
class Preset:
    nodes: int
    steps: int
    samples: tuple[int, ...]
    width: int = 24
    weight: float = 0.1  # of the residual
    tested: int = 128
    seeds: tuple[int, ...] = (0,)


PRESETS = {"smoke": Preset(24, 8, (0, 16), width=8, tested=4), "cpu": Preset(64, 2500, (0, 64, 256, 1024))}
PDE = Burgers()


def network(key, preset: Preset) -> InitialValue:
    modes = (min(16, preset.nodes // 2), 4)
    return InitialValue(OverTime(FNO(1, 1, modes, preset.width, 4, coordinates=(False, True), padding=0.5, key=key), 17))


def solved(count: int, nodes: int, seed: int) -> ArraySource:
    """Exact by Cole-Hopf."""
    grid = PDE.grid(nodes)
    inputs = jax.vmap(lambda i: PDE.sample(sample_key(seed, i), grid))(jnp.arange(count))
    return ArraySource(inputs, jax.lax.map(lambda a: PDE.solve(a, grid, method="cole_hopf"), inputs), grid)


def one(preset: Preset, samples: int, physics: bool, seed: int, folder: Path) -> float:
    """The test error of one training."""
    batch, grid = 16, PDE.grid(preset.nodes)
    residual = SpectralResidual(PDE, time=17, padding=1.5, fresh=batch if samples else 0)
    if samples:
        data = solved(samples, preset.nodes, seed)
        source, objective = data, Mixed(((1.0, relative_l2), (preset.weight, residual))) if physics else relative_l2
    else:
        source, objective = PriorSource(PDE, grid, 1024, seed), residual
    per_epoch = source.size // batch
    config = TrainConfig(epochs=max(1, preset.steps // per_epoch), batch_size=batch, learning_rate=2e-3, seed=seed, ema_decay=0.99)
    held = solved(min(64, preset.tested), preset.nodes, 10**6)
    result = fit(network(jax.random.key(seed), preset), source, objective, config, validate=held, validation_objective=relative_l2,
                 folder=folder / f"{samples}-{physics}-{seed}")
    return float(np.mean(error_of(result.model, solved(preset.tested, preset.nodes, 10**6 + 1))))


def main() -> None:
    options = arguments((__doc__ or "").splitlines()[0], PRESETS, out="checkpoints").parse_args()
    tune_allocator()
    preset, rows = PRESETS[options.preset], []
    for samples in preset.samples:
        for physics in ((False, True) if samples else (True,)):
            errors = [one(preset, samples, physics, seed, options.out / f"burgers-few-data-{options.preset}") for seed in preset.seeds]
            rows.append({"samples": samples, "residual": physics, "error": float(np.mean(errors)), "each": errors})
            print(f"{samples} samples, {'with' if physics else 'without'} the residual: {rows[-1]['error']:.4f}", flush=True)
    result: dict[str, Any] = {"study": "few_data", "preset": dataclasses.asdict(preset), "rows": rows, "environment": environment()}
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
