"""Optimal control through roll-outs: a flow steered to a target by a force that changes ten times, through a one-slot surrogate.

    python experiments/optimisation/control.py [--preset cpu|smoke] [--source FOLDER] [--json]

Burgers at nu = 0.01, periodic (the published problem has walls: Wei et al., NeurIPS 2024, DiffPhyCon; Holl, Koltun and Thuerey, ICLR 2020):

    min |u(., 1) - target|^2 / 2 + alpha / 2 int |w|^2 dt

over w on ten slots of 0.1, 17 Fourier coefficients each. Start, target (the end of another flow, under forces of the prior) and seed go
together. The surrogate, `burgers-forced-fno`, answers one slot and is rolled out; `solves` counts whole flows of the true solver.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from experiments.optimisation._methods import double, three
from pdesurr.allocator import tune_allocator
from pdesurr.fields import Grid
from pdesurr.pdes import ForcedBurgers
from pdesurr.surrogates import load
from pdesurr.surrogates.zoo import SHIPPED
from pdesurr.workflow import environment

SEEDS = {"smoke": 1, "cpu": 5}
SLOTS, WAVES, ALPHA = 10, 8, 0.01
PDE = ForcedBurgers()
Step = Callable[[Float[Array, "n 2"]], Float[Array, "n 2"]]


def end(step: Step, u: Float[Array, " n"], forces: Float[Array, "slots n"]) -> Float[Array, " n"]:
    """u after all slots."""
    return lax.scan(lambda u, w: (step(jnp.stack([u, w], axis=-1))[..., 0], None), u, forces)[0]


def waves(grid: Grid) -> Float[np.ndarray, "k n"]:
    """1 and pairs of cosine and sine, each of mean square 1."""
    phase = 2 * math.pi * np.arange(1, WAVES + 1)[:, None] * grid.bases[0].nodes / grid.bases[0].length
    return np.concatenate([np.ones((1, grid.shape[0])), 2**0.5 * np.cos(phase), 2**0.5 * np.sin(phase)])


def problem(grid: Grid, seed: int) -> tuple[Callable[[Step], Callable[[Array], Array]], Step, Array]:
    """(what makes an objective of a step, the true step, the start)."""
    truth = lambda a: PDE.solve(a, grid, dt=PDE.step_size(grid) / 2)  # noqa: E731
    keys = jax.random.split(jax.random.key(seed), SLOTS + 2)
    draw = jax.vmap(lambda k: PDE.sample(k, grid))(keys)
    start, target, functions = draw[0, :, 0], end(truth, draw[1, :, 0], draw[2:, :, 1]), jnp.asarray(waves(grid))

    def objective(step: Step) -> Callable[[Array], Array]:
        def of(c: Array) -> Array:
            gap = end(step, start, c @ functions) - target
            return grid.integral(gap**2) / 2 + ALPHA / 2 * PDE.horizon * PDE.length * jnp.sum(c**2)

        return of

    return objective, truth, jnp.zeros((SLOTS, len(functions)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(SEEDS), default="cpu")
    parser.add_argument("--source", type=Path, default=SHIPPED, help="a folder of bundles with a catalogue")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    rows: list[dict[str, Any]] = []
    with jax.enable_x64(True):
        surrogate = double(load("burgers-forced-fno", source=options.source))
        for seed in range(SEEDS[options.preset]):
            objective, truth, start = problem(surrogate.spec.grid, seed)
            began = time.perf_counter()
            rows += three(objective(surrogate), objective(truth), start, {"surrogate": "burgers-forced-fno", "seed": seed}, radius=1.0)
            print(*rows[-3:], f"{time.perf_counter() - began:.1f} s", sep="\n", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"comparison": "control", "preset": options.preset, "rows": rows,
                          "environment": environment() | {"precision": "float64"}}))


if __name__ == "__main__":
    main()
