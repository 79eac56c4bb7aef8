"""Inputs found from a few noisy readings of the output, through pretrained surrogates, and what the true solver says of them.

    python experiments/optimisation/inverse.py [--preset cpu|smoke] [--source FOLDER] [--json]

The most probable combination of 16 principal components of the prior, given 32 readings with 2 per cent noise (`pdesurr.recovery`): by the
solver alone, by the surrogate alone, and by the surrogate that the solver corrects. `solves` counts the solver's evaluations, with
gradients; `excess` is the objective above the least that any of the three found, by the true solver. (Reaction-diffusion is left out: by
its horizon it has forgotten its start but for some 1e-4 of the answer.)
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax.numpy as jnp

from pdesurr.allocator import tune_allocator
from pdesurr.optimise import minimise, trust_region
from pdesurr.pdes import Burgers, Poisson
from pdesurr.recovery import DIRECTIONS, Recovery
from pdesurr.surrogates import catalogue, load
from pdesurr.surrogates.zoo import SHIPPED
from pdesurr.workflow import environment

SEEDS = {"smoke": 1, "cpu": 5}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "burgers-fno": (Burgers(nu=0.1), {"method": "heat_kernel"}), "burgers-ensemble": (Burgers(nu=0.1), {"method": "heat_kernel"}),
    "poisson-nsm": (Poisson(), {}),
}


def one(name: str, surrogate: Any, seed: int) -> list[dict[str, Any]]:
    """Three rows: a problem, its data of that seed."""
    pde, options = CASES[name]
    grid, zero = surrogate.spec.grid, jnp.zeros(DIRECTIONS)
    solve = lambda a: pde.solve(a, grid, **options)  # noqa: E731
    problem = Recovery.of(pde, grid, solve, seed)
    claim, truth = problem.objective(surrogate), problem.objective(solve)
    runs = {"solver alone": lambda: minimise(truth, zero, steps=400),
            "surrogate alone": lambda: minimise(claim, zero, truth=truth, steps=400),
            "surrogate corrected": lambda: trust_region(claim, truth, zero, radius=3.0, solves=30, tolerance=1e-4)}
    rows = []
    for method, run in runs.items():
        began = time.perf_counter()
        found = run()
        alone = method == "solver alone"
        rows.append({"surrogate": name, "seed": seed, "method": method, "claimed": None if alone else found.claimed,
                     "verified": found.claimed if alone else found.verified, "solves": found.calls if alone else found.solves,
                     "error": problem.error(found.x), "seconds": time.perf_counter() - began})
        rows[-1]["path"] = ([(step["claimed"], step["calls"]) for step in found.history] if alone else
                            [(step.get("truth", math.inf), i) for i, step in enumerate(found.history, 1)])
    least = min(r["verified"] for r in rows)
    for row in rows:
        row["excess"] = row["verified"] / least - 1
        path = row.pop("path")
        row["solves_to_one_per_cent"] = next((count for value, count in path if value <= 1.01 * least), None)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(SEEDS), default="cpu")
    parser.add_argument("--source", type=Path, default=SHIPPED, help="a folder of bundles with a catalogue")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    there, rows = catalogue(options.source), []
    for name in (n for n in CASES if n in there):
        surrogate = load(name, source=options.source)
        for seed in range(SEEDS[options.preset]):
            rows += one(name, surrogate, seed)
            print(*rows[-3:], sep="\n", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"comparison": "inverse", "preset": options.preset, "rows": rows, "environment": environment()}))


if __name__ == "__main__":
    main()
