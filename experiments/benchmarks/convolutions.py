"""Training steps of models that convolve, one by one and in a `lax.scan`: what `fit` decides by `slow_in_loops`.

python experiments/benchmarks/convolutions.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource
from pdesurr.fields import Grid, UniformBasis
from pdesurr.models import FNO, MgNO, UNet
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainState, adamw
from pdesurr.train.step import Engine

STEPS, BATCH, NODES = 4, 8, 61
MODELS = {
    "MgNO width 16, depth 4": lambda key: MgNO(1, 1, (NODES, NODES), 16, 4, boundary=("dirichlet", "dirichlet"), key=key),
    "U-Net width 16, 3 levels": lambda key: UNet(1, 1, 2, 16, 3, key=key),
    "FNO modes 12, width 20 (no convolution)": lambda key: FNO(1, 1, (12, 12), 20, coordinates=(True, True), key=key),
}


def measure(name: str, rounds: int) -> dict:
    model, optimiser = MODELS[name](jax.random.key(0)), adamw(1000)
    a = np.random.default_rng(0).standard_normal((STEPS * BATCH, NODES, NODES, 1)).astype(np.float32)
    source = ArraySource(a, np.roll(a, 3, 1), Grid([UniformBasis(NODES, 0.0, 1.0, "closed")] * 2))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    segment = jax.jit(Engine(static, relative_l2, optimiser, 0.99, None).segment)
    state = TrainState.create(params, optimiser, jax.random.key(0), jnp.asarray(1e-3))
    numbers = jnp.arange(STEPS * BATCH, dtype=jnp.int32).reshape(STEPS, BATCH)

    def one_by_one() -> TrainState:
        found = state
        for n in numbers:
            found, _ = jax.block_until_ready(segment(found, source, n[None]))
        return found

    pairs = zip(jax.tree.leaves(one_by_one().params), jax.tree.leaves(segment(state, source, numbers)[0].params), strict=True)
    gap = max(float(jnp.max(jnp.abs(x - y))) for x, y in pairs)
    seconds = harness.alternate({"one by one": one_by_one, "loop": lambda: segment(state, source, numbers)}, rounds)
    return harness.row(f"{name}, {NODES}x{NODES}, batch {BATCH}, a step (largest difference {gap:.1e})", seconds["one by one"] / STEPS,
                       "in a loop", seconds["loop"] / STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    rows = [measure(name, 3 if options.quick else 5) for name in MODELS if options.only in name]
    harness.finish("convolutions", rows, options.json)


if __name__ == "__main__":
    main()
