"""Adversarial adaptive sampling against uniform points, RAR and RAD on narrow peaks: relative L2 errors at equal points and steps.

    python experiments/physics_informed/sampling.py [--preset smoke|cpu] [--seeds 0 1 2] [--only AAS] [--validate] [--json]

The same network, optimiser, walls and number of points for all; only where the equation's points lie differs. A peak fills 0.3 per cent of
the square. Settings are chosen at validation points (`--validate`), errors are told at others.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from _peaks import PROBLEMS, SQUARE, problem

from experiments.options import arguments
from pdesurr.allocator import tune_allocator
from pdesurr.models.coordinate import CoordinateMLP
from pdesurr.objectives.adversarial import AdversarialFlow
from pdesurr.objectives.sampling import RAD, RAR, AbstractSampler, Fresh
from pdesurr.train.physics import SOAP, fit_problem
from pdesurr.types import parameter_count
from pdesurr.workflow import environment

TESTED, TEST_KEY, VALIDATION_KEY = 40_000, 10**6, 10**6 + 1


@dataclasses.dataclass(frozen=True)
class Preset:
    """`every`: steps between two renewals of RAD and RAR, on ten times the points; the flow has five in that time, of five steps each on
    as many points as the network's: two and a half times the residuals."""

    points: int
    steps: int
    width: int
    seeds: tuple[int, ...]
    every: int = 100
    weight: float = 1e3
    rate: float = 3e-3

    def samplers(self) -> dict[str, AbstractSampler]:
        pool, renewals = 10 * self.points, max(1, self.steps // self.every)
        return {"uniform": Fresh(), "RAR": RAR(every=self.every, pool=pool, add=max(1, self.points // 2 // renewals)),
                "RAD": RAD(every=self.every, pool=pool),
                "AAS": self.flow(True), "AAS, unweighted": self.flow(False)}

    def flow(self, reweighed: bool) -> AdversarialFlow:
        every = max(1, self.every // 5)
        return AdversarialFlow(every=every, ascent=5, batch=self.points, learning_rate=3e-3, mixed=0.5, reweighed=reweighed)


PRESETS = {"smoke": Preset(50, 40, 8, (0,), 20), "cpu": Preset(1000, 3000, 32, (0, 1, 2, 3, 4))}


def solve(name: str, sampler: AbstractSampler, preset: Preset, seed: int, test_key: int) -> dict[str, float]:
    """One training: its relative L2 error, loss and time."""
    operator, exact = PROBLEMS[name]
    ends, key = (SQUARE.lower, SQUARE.upper), jax.random.key(seed)
    model = CoordinateMLP(*ends, 1, preset.width, 3, frequencies=preset.width // 2, scale=8.0, key=key)
    stage = SOAP(preset.steps, preset.rate, preset.steps // 4, sampler)
    began = time.perf_counter()
    found = fit_problem(model, problem(operator, exact, preset.points, preset.weight), [stage], key=key)
    seconds = time.perf_counter() - began
    at = SQUARE.draw(jax.random.key(test_key), TESTED, "quasi")
    truth, u = exact(*at.T), found.model(None, at)[:, 0]
    return {"error": float(jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth)), "loss": found.loss, "seconds": seconds,
            "parameters": parameter_count(found.model)}


def run(preset_name: str, seeds: tuple[int, ...] | None, only: list[str] | None, validate: bool) -> dict[str, Any]:
    """All problems, samplers and seeds."""
    preset, rows = PRESETS[preset_name], []
    for name in PROBLEMS:
        for label, sampler in preset.samplers().items():
            if only and label not in only:
                continue
            each = [solve(name, sampler, preset, seed, VALIDATION_KEY if validate else TEST_KEY) for seed in seeds or preset.seeds]
            errors = [e["error"] for e in each]
            spread = {"mean": float(np.mean(errors)), "std": float(np.std(errors, ddof=1)) if len(errors) > 1 else None, "each": errors}
            rows.append({"problem": name, "sampler": label, "settings": repr(sampler), "error": spread, "loss": [e["loss"] for e in each],
                         "seconds": [e["seconds"] for e in each], "parameters": each[0]["parameters"]})
            deviation = "-" if spread["std"] is None else f"{spread['std']:.1e}"
            print(f"{name}, {label}: relative L2 {spread['mean']:.2e} +- {deviation}, {rows[-1]['seconds'][0]:.0f} s", flush=True)
    return {"comparison": "sampling", "preset": preset_name, "seeds": list(seeds or preset.seeds), "tested": "validation" if validate else
            "test", "rows": rows, "settings": dataclasses.asdict(preset), "environment": environment() | {"precision": "float32"}}


def main() -> None:
    parser = arguments(__doc__, PRESETS, seeds=True)
    parser.add_argument("--only", nargs="+", default=None, choices=list(PRESETS["cpu"].samplers()), help="these samplers alone")
    parser.add_argument("--validate", action="store_true", help="errors at the validation points, for choosing settings")
    options = parser.parse_args()
    tune_allocator()
    result = run(options.preset, tuple(options.seeds) if options.seeds else None, options.only, options.validate)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
