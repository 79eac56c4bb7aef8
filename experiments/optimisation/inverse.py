"""Inputs found from a few noisy readings of the output, through pretrained surrogates, and what the true solver says of them.

    python experiments/optimisation/inverse.py [NAME ...] [--preset cpu|smoke] [--source FOLDER] [--json]

The most probable combination of principal components of the prior, given readings with 2 per cent noise (`pdesurr.recovery`): a flow's
start from its end (Burgers; heat, where the answer is known in closed form; Navier-Stokes vorticity, 256 of 1024 nodes), a source from
its potential (Poisson), a permeability from 50 pressures (Darcy). By the solver alone, by the surrogate alone, and by the surrogate that
the solver corrects. `solves` counts the solver's evaluations, with gradients; `excess` is the objective above the least that is known, by
the true solver. (Reaction-diffusion is left out: by its horizon it has forgotten its start but for some 1e-4 of the answer.)
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from experiments.optimisation._methods import arguments_with_source, double, on_finer, three
from pdesurr.allocator import tune_allocator
from pdesurr.pdes import Burgers, Darcy, Heat, LogNormal, NavierStokes, Poisson
from pdesurr.recovery import Recovery
from pdesurr.surrogates import catalogue, load
from pdesurr.workflow import environment

SEEDS = {"smoke": 1, "cpu": 5}
HEAT: dict[str, Any] = {"method": "heat_kernel"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem for a surrogate of the catalogue. `nodes` an axis, the surrogate's own if None: else it sees, and answers at, every
    `every`-th of them. `options` of the solver, which works on `finer` times as many nodes an axis. `linear`: the least objective is
    known in closed form."""

    pde: Any
    nodes: int | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    problem: dict[str, Any] = dataclasses.field(default_factory=dict)
    linear: bool = False
    finer: int = 1
    every: int = 1

    def of(self, surrogate: Any, seed: int) -> tuple[Recovery, Any]:
        """The problem with its data of that seed, and the true solver."""
        grid = surrogate.spec.grid if self.nodes is None else self.pde.grid(self.nodes)
        solve = on_finer(self.pde, grid, self.finer, **self.options)
        return Recovery.of(self.pde, grid, solve, seed, every=self.every, **self.problem), solve

    def claim(self, surrogate: Any) -> Any:
        """The surrogate in place of the solver."""
        def model(a: Any) -> Any:
            u = surrogate(a[nodes])
            return jnp.zeros((*a.shape[:-1], u.shape[-1]), u.dtype).at[nodes].set(u)

        nodes = (slice(None, None, self.every),) * surrogate.spec.grid.ndim
        return surrogate if self.every == 1 else model


FLOW = NavierStokes(nu=1e-3, horizon=4.0, intervals=1, history=1)
CASES = {
    "burgers-fno": Case(Burgers(nu=0.1), None, HEAT),
    "burgers-ensemble": Case(Burgers(nu=0.1), None, HEAT),
    "heat-fno": Case(Heat(horizon=0.25), linear=True),
    "navier-stokes-fno": Case(FLOW, None, {"dt": FLOW.step_size(FLOW.grid(64))}, {"readings": 256, "directions": 48}, finer=2),
    "poisson-nsm": Case(Poisson()),
    "darcy-lognormal-fno": Case(Darcy(coefficient=LogNormal()), 61, {}, {"readings": 50, "directions": 32, "log": True}, every=2),
}


def one(name: str, surrogate: Any, seed: int) -> list[dict[str, Any]]:
    """Three rows: a problem, its data of that seed."""
    problem, solve = CASES[name].of(surrogate, seed)
    truth, start = problem.objective(solve), problem.start
    least = float(truth(of_least_squares(problem.read(solve), start))) if CASES[name].linear else None
    labels = {"surrogate": name, "seed": seed}
    return three(problem.objective(CASES[name].claim(surrogate)), truth, start, labels, radius=3.0, least=least, error=problem.error)


def of_least_squares(misfit: Any, start: Any) -> Any:
    """argmin |misfit(c)|^2 + |c|^2 of a misfit that is linear in c."""
    slopes = np.asarray(jax.jacfwd(misfit)(start), np.float64)
    right = -slopes.T @ np.asarray(misfit(start), np.float64)
    return jnp.asarray(np.linalg.solve(slopes.T @ slopes + np.eye(start.size), right), start.dtype)


def main() -> None:
    parser = arguments_with_source(__doc__, SEEDS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all by default")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CASES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(CASES)}")
    tune_allocator()
    there, rows = catalogue(options.source), []
    with jax.enable_x64(True):  # the objectives are ill-conditioned: in float32 every method stops where it cannot tell better from worse
        for name in (n for n in options.names or CASES if n in there):
            surrogate = double(load(name, source=options.source))
            for seed in range(SEEDS[options.preset]):
                rows += one(name, surrogate, seed)
                print(*rows[-3:], sep="\n", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"comparison": "inverse", "preset": options.preset, "rows": rows,
                          "environment": environment() | {"precision": "float64"}}))


if __name__ == "__main__":
    main()
