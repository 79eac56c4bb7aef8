"""Training steps of models that convolve, one by one and in a `lax.scan`: what `fit` decides by `slow_in_loops`. And a convolution with
stride, whose derivatives are plain convolutions (`pdesurr.nn.convolution`), beside XLA's own transposes of it.

python experiments/benchmarks/convolutions.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
from collections.abc import Callable
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
from pdesurr.nn.convolution import convolve
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


def measure_strided(name: str, rounds: int) -> dict:
    nodes, channels, batch = 211, 16, 4
    keys = jax.random.split(jax.random.key(0), 3)
    v, kernel = jax.random.normal(keys[0], (batch, nodes, nodes, channels)), jax.random.normal(keys[1], (3, 3, channels, channels))
    slope = jax.random.normal(keys[2], (batch, (nodes + 1) // 2, (nodes + 1) // 2, channels))

    def xla(v: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(v, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def all_of(f: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[[], tuple]:
        @jax.jit
        def run(v: jax.Array, kernel: jax.Array, slope: jax.Array) -> tuple:
            u, back = jax.vjp(f, v, kernel)
            return u, *back(slope)

        return lambda: jax.block_until_ready(run(v, kernel, slope))

    ours, peer = all_of(lambda v, kernel: convolve(v, kernel, ("constant", "constant"), stride=2)), all_of(xla)
    gap = max(float(jnp.max(jnp.abs(x - y)) / jnp.max(jnp.abs(y))) for x, y in zip(ours(), peer(), strict=True))
    seconds = harness.alternate({"ours": ours, "XLA": peer}, rounds)
    return harness.row(f"{name}, {channels} channels, {nodes}x{nodes}, batch {batch}, value and derivatives (largest relative difference "
                       f"{gap:.1e})", seconds["ours"], "its transposes by XLA", seconds["XLA"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    measures = {name: measure for name in MODELS} | {"convolution of stride 2": measure_strided}
    rows = [work(name, 3 if options.quick else 5) for name, work in measures.items() if options.only in name]
    harness.finish("convolutions", rows, options.json)


if __name__ == "__main__":
    main()
