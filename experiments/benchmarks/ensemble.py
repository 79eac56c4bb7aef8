"""Four trainings on one vmapped axis against four one after another: same members, same results, whole epochs in `lax.scan`.

python experiments/benchmarks/ensemble.py [--json] [--quick] [--only SUBSTRING]
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
from pdesurr.fields import FourierBasis, Grid
from pdesurr.models import FNO
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainState, adamw
from pdesurr.train.parallel import over_devices
from pdesurr.train.step import Engine

MEMBERS, STEPS = 4, 10
WORKS = {"1-D 64 nodes, width 16": (64, 16), "1-D 256 nodes, width 32": (256, 32), "1-D 1024 nodes, width 64": (1024, 64)}


def measure(name: str, nodes: int, width: int, rounds: int) -> dict:
    grid, batch = Grid([FourierBasis(nodes)]), 20
    a = np.random.default_rng(0).standard_normal((200, nodes, 1)).astype(np.float32)
    source, device = ArraySource(a, np.roll(a, 3, 1), grid), jax.devices()[:1]
    models = [FNO(1, 1, (16,), width, 4, coordinates=(False,), key=jax.random.key(i)) for i in range(MEMBERS)]
    optimiser = adamw(1000)
    engine = Engine(eqx.partition(models[0], eqx.is_inexact_array)[1], relative_l2, optimiser, 0.99)
    states = [TrainState.create(eqx.filter(m, eqx.is_inexact_array), optimiser, jax.random.key(i), 1e-3) for i, m in enumerate(models)]
    stacked = jax.tree.map(lambda *v: jnp.stack(v), *states)
    numbers = jnp.stack([source.plan(jax.random.key(i), jnp.asarray(0)).reshape(STEPS, batch) for i in range(MEMBERS)])
    single = over_devices(engine.segment, device, (None, None, 1))
    together = over_devices(jax.vmap(engine.segment, in_axes=(0, None, 0)), device, (None, None, 2))
    alone = [single(s, source, n)[0].params for s, n in zip(states, numbers, strict=True)]
    gap = max(
        float(jnp.max(jnp.abs(x[i] - y)))
        for i, m in enumerate(alone)
        for x, y in zip(jax.tree.leaves(together(stacked, source, numbers)[0].params), jax.tree.leaves(m), strict=True)
    )
    seconds = harness.alternate(
        {
            "together": lambda: together(stacked, source, numbers),
            "alone": lambda: [single(s, source, n) for s, n in zip(states, numbers, strict=True)],
        },
        rounds,
    )
    return harness.row(
        f"{name}, {MEMBERS} members, {STEPS} steps (largest difference {gap:.1e})",
        seconds["together"],
        f"{MEMBERS} single runs",
        seconds["alone"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    rows = [measure(name, *work, 5 if options.quick else 15) for name, work in WORKS.items() if options.only in name]
    harness.finish("ensemble", rows, options.json)


if __name__ == "__main__":
    main()
