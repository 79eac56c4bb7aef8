"""A permeability from 50 pressures: the most probable one, an ensemble's, and, asked for, the posterior, by the solver and its surrogate.

    python experiments/optimisation/permeability.py [--posterior] [--preset cpu|smoke] [--source FOLDER] [--json]

-div(exp(g) grad u) = 1 on the unit square, u = 0 on its walls; g a Gaussian field, of which 32 principal components are sought from u at 50
nodes with 2 per cent noise (`pdesurr.recovery`; the setting of Iglesias, Law and Stuart, Inverse Problems 29, 2013).

Ensemble Kalman inversion: 320 members, whose mean is judged. Posterior (of the first draw): NUTS; `corrected` has the truth's readings and
their derivatives at the most probable point: a solve and 32 slopes of one, besides the solves that found the point (`gradient, surrogate
corrected`). `off` is the largest distance of means, in the deviations of the solver's own posterior, and `spread` the largest ratio of
deviations, over the components. `objective` is by the true solver, `excess` that above the least that the solver found by gradients;
`solves` counts its runs, with or without gradient.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.optimisation._methods import arguments_with_source, double
from experiments.optimisation.inverse import CASES
from pdesurr.allocator import tune_allocator
from pdesurr.optimise import EnsembleKalman, minimise, posterior, trust_region
from pdesurr.surrogates import load
from pdesurr.workflow import environment

NAME = "darcy-lognormal-fno"
DISCREPANCY = 200  # draws of the prior that the surrogate's error is estimated from
PRESETS = {"smoke": (1, 40, 8, 24), "cpu": (3, 320, 200, 150)}  # seeds; members; draws a chain and steps of the warm-up


def ensembles(problem: Any, models: dict[str, Any], members: int, seed: int) -> list[dict[str, Any]]:
    """Kalman inversion by each model."""
    rows, start = [], jax.random.normal(jax.random.key(100 + seed), (members, len(problem.start)))
    for by, model in models.items():
        began, steps = time.perf_counter(), 0
        read, size = problem.read(model), problem.values.size
        readings = jax.jit(lambda m, read=read: lax.map(read, m, batch_size=20))
        ensemble = EnsembleKalman(start, jnp.zeros(size), jnp.ones(size))  # in units of the noise, less the data
        while not ensemble.done:
            ensemble, steps = ensemble.tell(readings(ensemble.ask()), jax.random.fold_in(jax.random.key(seed), steps)), steps + 1
        rows.append({"method": f"ensemble Kalman, {by}", "solves": members * steps if by == "solver" else 0, "x": ensemble.members.mean(0),
                     "seconds": time.perf_counter() - began})
    return rows


def most_probable(claim: Any, truth: Any, start: Any) -> list[dict[str, Any]]:
    """By the solver, and by the surrogate that it corrects."""
    rows, runs = [], {
        "gradient, solver": lambda: minimise(truth, start, steps=400), "gradient, surrogate": lambda: minimise(claim, start, steps=400),
        "gradient, surrogate corrected": lambda: trust_region(claim, truth, start, radius=3.0, solves=30, tolerance=1e-4)}
    for method, run in runs.items():
        began = time.perf_counter()
        found = run()
        rows.append({"method": method, "solves": found.calls if method.endswith("solver") else found.solves, "x": found.x,
                     "seconds": time.perf_counter() - began})
    return rows


def posteriors(problem: Any, model: Any, solve: Any, at: Any, draws: int, warmup: int, seed: int) -> list[dict[str, Any]]:
    """Draws by the solver; by the surrogate; by the surrogate with its error among the noise, as a Gaussian's over the prior (Kaipio and
    Somersalo, J. Comput. Appl. Math. 198, 2007); by the surrogate with the truth's readings and their derivatives at the most probable
    point `at`. Each in coordinates in which its own Gauss-Newton matrix at its own most probable point is the identity."""
    ours, true = map(problem.read, (model, solve))
    of_prior = jax.random.normal(jax.random.key(seed), (DISCREPANCY, at.size))
    errors = jax.jit(lambda c: lax.map(lambda c: true(c) - ours(c), c, batch_size=20))(of_prior)
    white = jnp.linalg.cholesky(jnp.eye(len(errors.T)) + jnp.cov(errors.T))
    gap, tilt = true(at) - ours(at), jax.jacfwd(true)(at) - jax.jacfwd(ours)(at)
    misfits = {
        "solver": (true, 0), "surrogate": (ours, 0),
        "surrogate, its error among the noise": (
            lambda c: jax.scipy.linalg.solve_triangular(white, ours(c) + jnp.mean(errors, 0), lower=True), DISCREPANCY),
        "surrogate corrected": (lambda c: ours(c) + gap + tilt @ (c - at), 1 + at.size)}
    rows, known = [], None
    for by, (misfit, solves) in misfits.items():
        began, objective = time.perf_counter(), lambda c, f=misfit: (jnp.sum(f(c) ** 2) + jnp.sum(c**2)) / 2
        top = at if by == "solver" else minimise(objective, at, steps=400).x
        slopes = jax.jacfwd(misfit)(top)
        root = jnp.linalg.inv(jnp.linalg.cholesky(slopes.T @ slopes + jnp.eye(at.size))).T
        density = lambda z, f=objective, top=top, root=root: -f(top + root @ z)  # noqa: E731
        found = posterior(density, jnp.zeros(at.size), key=jax.random.key(seed), samples=draws, warmup=warmup)
        flat = np.asarray(top) + np.asarray(found.samples).reshape(-1, at.size) @ np.asarray(root).T
        mean, deviation = flat.mean(axis=0), flat.std(axis=0)
        known = known or (mean, deviation)
        rows.append({"method": f"posterior, {by}", "solves": found.gradients if by == "solver" else solves,
                     "x": jnp.asarray(mean), "seconds": time.perf_counter() - began,
                     "off": float(np.max(np.abs(mean - known[0]) / known[1])),
                     "spread": float(np.max(np.maximum(deviation / known[1], known[1] / deviation))), "effective": found.effective,
                     "r_hat": found.r_hat})
    return rows


def one(surrogate: Any, seed: int, members: int, draws: int, warmup: int, asked: bool) -> list[dict[str, Any]]:
    """All rows of one draw of the permeability and its noise."""
    problem, solve = CASES[NAME].of(surrogate, seed)
    model = CASES[NAME].claim(surrogate)
    claim, truth = problem.objective(model), problem.objective(solve)
    rows = most_probable(claim, truth, problem.start)
    least, corrected = float(truth(rows[0]["x"])), rows[2]["x"]
    rows += ensembles(problem, {"solver": solve, "surrogate": model}, members, seed)
    began, solves = time.perf_counter(), rows[-1]["solves"]
    again = trust_region(claim, truth, rows[-1]["x"], radius=1.0, solves=30, tolerance=1e-4)
    rows.append({"method": "ensemble Kalman, surrogate, then corrected", "solves": solves + again.solves, "x": again.x,
                 "seconds": rows[-1]["seconds"] + time.perf_counter() - began})
    if asked and seed == 0:
        rows += posteriors(problem, model, solve, corrected, draws, warmup, seed)
    for row in rows:
        x = row.pop("x")
        row |= {"seed": seed, "objective": float(truth(x)), "excess": float(truth(x)) / least - 1, "error": problem.error(x)}
    return rows


def main() -> None:
    parser = arguments_with_source(__doc__, PRESETS)
    parser.add_argument("--posterior", action="store_true", help="draw from it, for the first permeability")
    options = parser.parse_args()
    tune_allocator()
    seeds, *sizes = PRESETS[options.preset]
    rows: list[dict[str, Any]] = []
    with jax.enable_x64(True):
        surrogate = double(load(NAME, source=options.source))
        for seed in range(seeds):
            found = one(surrogate, seed, *sizes, asked=options.posterior)
            print(*found, sep="\n", file=sys.stderr, flush=True)
            rows += found
    if options.json:
        print(json.dumps({"comparison": "permeability", "preset": options.preset, "rows": rows,
                          "environment": environment() | {"precision": "float64"}}))


if __name__ == "__main__":
    main()
