"""What a step in lower precision costs in accuracy: the FNO on Burgers data, each precision from the same seeds.

On a CPU "tf32" is float32 (there are no such products), and bfloat16 is emulated: there its seconds say nothing. `ratio`: the seconds of
float32 over those of the precision.

    python experiments/benchmarks/precision.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import jax
import numpy as np

from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource, PDESource
from pdesurr.fields import Grid
from pdesurr.models import FNO
from pdesurr.objectives import relative_l2
from pdesurr.pdes import Burgers
from pdesurr.train import TrainConfig, fit

PRECISIONS = ("float32", "tf32", "bfloat16")
WORKS: dict[str, tuple[Any, int, dict[str, Any]]] = {
    "Burgers, 128 nodes": (Burgers(), 128, {"modes": (16,), "width": 32}),
}


def samples(pde: Any, grid: Grid, count: int, seed: int) -> list[np.ndarray]:
    source = PDESource(pde, grid, count, seed)
    take = jax.jit(source.take)
    batches = [take(jax.numpy.arange(i, i + 32)) for i in range(0, count, 32)]
    return list(np.concatenate([np.asarray(part(b)) for b in batches]) for part in (lambda b: b.input.values, lambda b: b.output.values))


def measure(name: str, epochs: int, seeds: int) -> list[dict]:
    pde, n, size = WORKS[name]
    grid = pde.grid(n)
    training, held, test = (samples(pde, grid, count, seed) for seed, count in ((0, 256), (1, 64), (2, 128)))
    scale = [(float(v.mean()), float(v.std())) for v in training]
    train, validate, final = (ArraySource((a - scale[0][0]) / scale[0][1], (u - scale[1][0]) / scale[1][1], grid)
                              for a, u in (training, held, test))
    found: dict[str, list[tuple[float, float]]] = {p: [] for p in PRECISIONS}
    for seed in range(seeds):
        for precision in PRECISIONS:
            net = FNO(1, 1, **size, key=jax.random.key(seed))
            config = TrainConfig(epochs=epochs, batch_size=16, learning_rate=3e-3, seed=seed, precision=precision)
            began = time.perf_counter()
            result = fit(net, train, relative_l2, config, validate=validate, devices=jax.devices()[:1])
            seconds = (time.perf_counter() - began) / (epochs * train.size // config.batch_size)
            # In float32, whatever it was trained in: what the weights are worth, not what an answer in bfloat16 loses.
            error = jax.jit(lambda m: relative_l2(m, final.take(jax.numpy.arange(final.size)), None)[0])(result.model)
            found[precision].append((seconds, float(error)))
            print(f"{name}, {precision}, seed {seed}: {error:.5f}", file=sys.stderr, flush=True)
    whole = [mean(v[i] for v in found["float32"]) for i in (0, 1)]
    return [harness.row(f"{name}, {p}, {seeds} seeds", mean(s for s, _ in found[p]), "float32", whole[0],
                        ours_error=mean(e for _, e in found[p]), peer_error=whole[1]) for p in PRECISIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    epochs, seeds = (2, 1) if options.quick else (60, 3)
    rows = [row for name in WORKS if options.only in name for row in measure(name, epochs, seeds)]
    harness.finish("precision", rows, options.json)


if __name__ == "__main__":
    main()
