"""Optimal control through roll-outs: a flow steered to a target by a force that changes ten times, through a one-slot surrogate.

    python experiments/optimisation/control.py [--preset cpu|smoke] [--source FOLDER] [--json]

Burgers at nu = 0.01, periodic (the published problem has walls: Wei et al., DiffPhyCon, NeurIPS 2024):

    min |u(., 1) - target|^2 / 2 + alpha / 2 int |w|^2 dt

over w on ten slots of 0.1, 16 Fourier coefficients each. Start, target (the end of another flow, under forces of the prior) and seed go
together. The surrogate, `burgers-forced-fno`, answers one slot and is rolled out; `solves` counts whole flows of the true solver.

With a shift the target's mean is 0.3 above the start's, and a constant force is among the controls: flows that the surrogate has not seen.
"refined" is the surrogate trained on by what the true solver was asked in searches for three other such targets (`refine`).
"""

import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from experiments.optimisation._methods import arguments_with_source, double, three
from pdesurr.allocator import tune_allocator
from pdesurr.fields import Grid
from pdesurr.optimise import refine, trust_region
from pdesurr.pdes import ForcedBurgers
from pdesurr.surrogates import Surrogate, load
from pdesurr.train import TrainConfig
from pdesurr.workflow import environment

NAME = "burgers-forced-fno"
# Seeds; searches to learn from, draws beside them, epochs; solves of a search, and of one to learn from.
PRESETS = {"smoke": (1, 1, 40, 1, 4, 3), "cpu": (5, 3, 1000, 60, 30, 15)}
SLOTS, WAVES, ALPHA, SHIFT = 10, 8, 0.01, 0.3
PDE = ForcedBurgers()
Step = Callable[[Float[Array, "n 2"]], Float[Array, "n 2"]]


def flow(step: Step, u: Float[Array, " n"], forces: Float[Array, "slots n"]) -> tuple[Float[Array, " n"], tuple[Array, Array]]:
    """u after all slots, and each slot's input and output, `(slots, n, 2)`."""
    def slot(u: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        a = jnp.stack([u, w], axis=-1)
        b = step(a)
        return b[..., 0], (a, b)

    return lax.scan(slot, u, forces)


def waves(grid: Grid, constant: bool) -> Float[np.ndarray, "k n"]:
    """Pairs of cosine and sine, and a constant, each of mean square 1."""
    phase = 2 * math.pi * np.arange(1, WAVES + 1)[:, None] * grid.bases[0].nodes / grid.bases[0].length
    pairs = 2**0.5 * np.concatenate([np.cos(phase), np.sin(phase)])
    return np.concatenate([np.ones((1, pairs.shape[1])), pairs]) if constant else pairs


@dataclasses.dataclass(frozen=True)
class Problem:
    """Start, target and controls of a seed; the target's mean is moved by `shift`, which the surrogate's law does not know."""

    grid: Grid
    start: Float[Array, " n"]
    target: Float[Array, " n"]
    functions: Float[Array, "k n"]

    @classmethod
    def of(cls, grid: Grid, seed: int, shift: float = 0.0) -> "Problem":
        draw = jax.vmap(lambda k: PDE.sample(k, grid))(jax.random.split(jax.random.key(seed), SLOTS + 2))
        target = flow(truth(grid), draw[1, :, 0], draw[2:, :, 1])[0] + shift
        return cls(grid, draw[0, :, 0], target, jnp.asarray(waves(grid, shift != 0)))

    @property
    def zero(self) -> Float[Array, "slots k"]:
        return jnp.zeros((SLOTS, len(self.functions)))

    def recorded(self, step: Step) -> Callable[[Array], tuple[Array, tuple[Array, Array]]]:
        """c -> the objective, and what the slots went through."""
        def of(c: Array) -> tuple[Array, tuple[Array, Array]]:
            u, slots = flow(step, self.start, c @ self.functions)
            return self.grid.integral((u - self.target) ** 2) / 2 + ALPHA / 2 * PDE.horizon * PDE.length * jnp.sum(c**2), slots

        return of

    def objective(self, step: Step) -> Callable[[Array], Array]:
        return lambda c: self.recorded(step)(c)[0]


def truth(grid: Grid) -> Step:
    return lambda a: PDE.solve(a, grid, dt=PDE.step_size(grid) / 2)


def refined(surrogate: Surrogate, lessons: range, draws: int, epochs: int, solves: int) -> tuple[Surrogate, int]:
    """The surrogate trained on by the solves of other searches with a shift, and their number; with as many draws of its own law again."""
    grid, doubled, found = surrogate.spec.grid, double(surrogate), []
    for seed in lessons:
        problem = Problem.of(grid, seed, SHIFT)
        claim, asked = problem.objective(doubled), problem.recorded(truth(grid))
        found += trust_region(claim, asked, problem.zero, radius=1.0, solves=solves, has_aux=True).found
    inputs, outputs = (np.concatenate([np.asarray(pair[i], np.float32) for pair in found]) for i in range(2))
    own = jax.vmap(lambda k: PDE.sample(k, grid))(jax.random.split(jax.random.key(999), draws))
    rehearsal = np.asarray(own, np.float32), np.asarray(jax.lax.map(jax.jit(truth(grid)), own, batch_size=50), np.float32)
    config = TrainConfig(epochs=epochs, batch_size=20, learning_rate=1e-3, ema_decay=0.99)
    with jax.enable_x64(False):
        return refine(surrogate, inputs, outputs, config, rehearsal=rehearsal), len(found)


def rows_of(surrogate: Surrogate, name: str, seed: int, shift: float, solves: int,
            least: float | None = None) -> list[dict[str, Any]]:
    """By the three ways; by two where the least objective is known."""
    problem = Problem.of(surrogate.spec.grid, seed, shift)
    labels = {"surrogate": name, "seed": seed, "shift": shift}
    claim, true = problem.objective(double(surrogate)), problem.objective(truth(problem.grid))
    rows = three(claim, true, problem.zero, labels, radius=1.0, least=least, solver=least is None,
                 solves=solves)
    print(*rows, sep="\n", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    options = arguments_with_source(__doc__, PRESETS).parse_args()
    tune_allocator()
    seeds, lessons, draws, epochs, solves, asked = PRESETS[options.preset]
    with jax.enable_x64(True):
        with jax.enable_x64(False):
            surrogate = load(NAME, source=options.source)
        rows = [row for seed in range(seeds) for row in rows_of(surrogate, NAME, seed, 0.0, solves)]
        shifted = [rows_of(surrogate, NAME, seed, SHIFT, solves) for seed in range(seeds)]
        taught, spent = refined(surrogate, range(100, 100 + lessons), draws, epochs, asked)
        rows += sum(shifted, [])
        for seed, known in enumerate(shifted):
            rows += rows_of(taught, f"{NAME}, refined", seed, SHIFT, solves, min(row["verified"] for row in known))
    if options.json:
        print(json.dumps({"comparison": "control", "preset": options.preset, "rows": rows, "lessons": lessons, "lesson_solves": spent,
                          "environment": environment() | {"precision": "float64"}}))


if __name__ == "__main__":
    main()
