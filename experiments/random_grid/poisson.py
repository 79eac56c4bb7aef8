"""Both directions of Poisson's equation with a conductivity that depends on the solution, learned from the equation alone (random grid
neural processes): errors of u and of the conductivity's five coefficients z, and how much of the truth lies within two deviations.

    python experiments/random_grid/poisson.py [--preset smoke|cpu|paper] [--seeds 0 1 2] [--out FOLDER] [--json]

Beside it the same pair trained on one fixed grid, and a DeepONet trained on solved samples for as long. z is found from u at 30 points that
no step saw, exact, and with noise. Settings were fixed before the test draws were looked at.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import NumberSource, PDESource
from pdesurr.fields.regions import box
from pdesurr.models import DeepONet
from pdesurr.models.constrained import given
from pdesurr.models.random_grid import FieldProcess, NumberProcess, RandomGridProcess
from pdesurr.objectives import relative_l2
from pdesurr.objectives.evidence import Evidence
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import QuasilinearPoisson
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Samples
from pdesurr.workflow import environment

PDE, LINE = QuasilinearPoisson(), box((-1, 1))
POINTS, BATCH, TESTED, NOISE = 30, 50, 1000, 0.05  # noise: of the values z is found from
WALL = given(lambda x: jnp.cos(jnp.pi * x / 2))


@dataclasses.dataclass(frozen=True)
class Preset:
    steps: int
    width: int
    depth: int
    seeds: tuple[int, ...]
    tested: int = TESTED


PRESETS = {"smoke": Preset(20, 12, 2, (0,), 8), "cpu": Preset(15_000, 100, 4, (0,)), "paper": Preset(20_000, 300, 7, (0, 1, 2))}


PROBLEM = Problem({"equation": Equation(PDE.residual_of_numbers, (LINE,), POINTS)}, ("x",))


def pair(preset: Preset, key) -> RandomGridProcess:
    first, second = jax.random.split(key)
    return RandomGridProcess(FieldProcess(1, PDE.terms + 1, 1, preset.width, preset.depth, key=first),
                             NumberProcess((-1.0,), (1.0,), PDE.terms, 1, width=preset.width, key=second), lambda x, v: WALL(x) * v)


def train(preset: Preset, seed: int, fresh: bool, folder: Path) -> tuple[RandomGridProcess, float]:
    size = min(500, preset.steps) * BATCH
    config = TrainConfig(preset.steps * BATCH // size, BATCH, 1e-3, seed, weight_decay=0.0, clip_norm=1e6, ema_decay=0.999)
    source = NumberSource(PDE.numbers, PDE.grid(8), size, seed)
    found = fit(pair(preset, jax.random.key(seed)), source, Evidence(PROBLEM, fresh=fresh), config, folder=folder)
    return found.model, sum(r["seconds"] for r in found.history)


def truths(count: int) -> tuple[Any, ...]:
    """(z, w, a, u): the inputs on Chebyshev nodes and u there, solved in float64."""
    grid = PDE.grid(64)
    with jax.enable_x64(True):
        def one(key):
            p, a = PDE.numbers(key), PDE.sample(key, grid)
            return p["z"], p["w"], a, PDE.solve(a, grid)[..., 0]

        found = jax.lax.map(one, jax.random.split(jax.random.key(10**6), count))
    return tuple(np.asarray(v, np.float32) for v in found)


def judged(model: RandomGridProcess, data: tuple[Any, ...]) -> dict[str, float]:
    """Means over the test draws, relative L2; shares within two deviations."""
    grid = PDE.grid(64)
    inner = jnp.asarray(grid.bases[0].nodes[1:-1], jnp.float32)[:, None]
    weights = jnp.asarray(grid.bases[0].weights, jnp.float32)[1:-1]

    def one(z, w, u, key):
        field, x_key = model.field(z, w, inner), jax.random.fold_in(key, 1)
        gap = field.mean - u[1:-1]
        x = LINE.draw(x_key, POINTS).astype(u.dtype)
        at = grid.evaluate(grid.transform(u[:, None]), x)
        noisy = at + NOISE * jax.random.normal(key, at.shape, at.dtype)
        exact, rough = (model.inverse(v, x, w) for v in (at, noisy))
        size = lambda v: jnp.sqrt(jnp.sum(weights * v**2))  # noqa: E731
        within = lambda p, v: jnp.mean(jnp.abs(p.mean - v) < 2 * p.marginal)  # noqa: E731
        far = lambda p: jnp.linalg.norm(p.mean - z) / jnp.linalg.norm(z)  # noqa: E731
        return {"error": size(gap) / size(u[1:-1]), "u_within": within(field, u[1:-1]), "z": far(exact), "z_within": within(exact, z),
                "z_noisy": far(rough), "z_noisy_within": within(rough, z)}

    z, w, _, u = map(jnp.asarray, data)
    found = jax.jit(jax.vmap(one))(z, w, u, jax.random.split(jax.random.key(1), len(z)))
    return {name: float(jnp.mean(v)) for name, v in found.items()}


def deeponet(preset: Preset, seed: int, seconds: float, data: tuple[Any, ...]) -> float:
    """The error of u by a DeepONet trained on solved samples, as many epochs as fit into `seconds`."""
    grid = PDE.grid(32)
    source, epochs = PDESource(PDE, grid, 50 * BATCH, seed), 2
    model = DeepONet(2, 1, (32,), width=preset.width, key=jax.random.key(seed))
    run = lambda n: fit(model, source, relative_l2, TrainConfig(n, BATCH, 1e-3, seed, weight_decay=0.0))  # noqa: E731
    spent = [r["seconds"] for r in run(epochs).history]
    model = run(max(2, int(seconds / spent[-1]))).model
    _, _, a, u = map(jnp.asarray, data)
    fine, x = PDE.grid(64), jnp.asarray(grid.bases[0].nodes, jnp.float32)[:, None]
    weights = jnp.asarray(fine.bases[0].weights, jnp.float32)
    at = jnp.asarray(fine.bases[0].nodes, jnp.float32)[:, None]

    @jax.jit
    def error(a, u):
        answer = model(Samples(grid, fine.evaluate(fine.transform(a), x)), at)[..., 0]
        return jnp.sqrt(jnp.sum(weights * (answer - u) ** 2) / jnp.sum(weights * u**2))

    return float(jnp.mean(jax.vmap(error)(a, u)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=None)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where checkpoints stay")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    preset, rows = PRESETS[options.preset], []
    data = truths(preset.tested)
    for seed in options.seeds or preset.seeds:
        for name, fresh in (("random grids", True), ("one fixed grid", False)):
            folder = options.out / f"random-grid-poisson-{options.preset}-{name.replace(' ', '-')}-{seed}"
            model, seconds = train(preset, seed, fresh, folder)
            rows.append({"method": name, "seed": seed, "seconds": seconds, **judged(model, data)})
            print(rows[-1], flush=True)
        rows.append({"method": "DeepONet", "seed": seed, "seconds": seconds, "error": deeponet(preset, seed, seconds, data)})
        print(rows[-1], flush=True)
    if options.json:
        print(json.dumps({"comparison": "random_grid_poisson", "preset": options.preset, "rows": rows,
                          "settings": dataclasses.asdict(preset), "environment": environment()}))


if __name__ == "__main__":
    main()
