"""Optimisation whose answer is known: what a surrogate claims, what is true, and what correcting it by the true solver costs.

    python experiments/optimisation/corrected.py [--preset cpu|smoke] [--json]

"design": min |u - d|^2 / 2 + 1e-5 |f|^2 / 2 over six sines in f, where -u'' + 5 u^3 = f is the truth and -u'' = f the surrogate: it leaves
the cubic out. "Poisson": min |u - d|^2 / 2 + alpha |f|^2 / 2 over 6 x 6 sines in f, -Lap u = f, d = sin sin / (2 pi^2), whose minimum is
known in closed form (pyadjoint's mother problem); the surrogate solves on half of the nodes an axis.
A claim is checked by the true solver; `solves` counts its evaluations, with gradients.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from experiments.options import arguments
from pdesurr.fields import ChebyshevBasis, Grid
from pdesurr.optimise import minimise, trust_region
from pdesurr.pdes import Poisson
from pdesurr.solvers.newton import newton
from pdesurr.workflow import environment

PRESETS = {"smoke": (19, 9), "cpu": (99, 33)}  # nodes of the design, nodes an axis of Poisson's
ALPHA, PENALTY, SINES = 1e-4, 1e-5, 6


def design(nodes: int) -> tuple[Callable, Callable, Any, float | None, float]:
    """(surrogate, truth, start, known minimum, first radius)."""
    x = np.arange(1, nodes + 1) / (nodes + 1)
    stiffness = jnp.asarray((2 * np.eye(nodes) - np.eye(nodes, k=1) - np.eye(nodes, k=-1)) * (nodes + 1) ** 2)
    sines = jnp.asarray(np.sin(np.pi * np.arange(1, SINES + 1) * x[:, None]))
    target = jnp.asarray(0.6 * np.sin(np.pi * x) + 0.2 * np.sin(3 * np.pi * x))

    def objective(u: Any, c: Any) -> Any:
        return (jnp.sum((u - target) ** 2) + PENALTY * jnp.sum((sines @ c) ** 2)) / (2 * (nodes + 1))

    def linear(c: Any) -> Any:
        return objective(jnp.linalg.solve(stiffness, sines @ c), c)

    def cubic(c: Any) -> Any:
        return objective(newton(lambda u: stiffness @ u + 5 * u**3 - sines @ c, jnp.zeros(nodes), 12)[0], c)

    return linear, cubic, jnp.zeros(SINES), None, 10.0


def poisson(nodes: int) -> tuple[Callable, Callable, Any, float | None, float]:
    fine, pde, rate = Grid([ChebyshevBasis(nodes, 0.0, 1.0)] * 2), Poisson(walls=True), 2 * np.pi**2
    coarse = fine.with_shape(*[(nodes + 1) // 2] * 2)
    d = lambda x: jnp.asarray(np.prod(np.sin(np.pi * x), axis=-1, keepdims=True) / rate)  # noqa: E731
    def objective(grid: Grid) -> Callable:
        at, target = np.asarray(grid.nodes), d(np.asarray(grid.nodes))
        basis = [jnp.asarray(np.sin(np.pi * np.outer(at[..., i].take(0, 1 - i), np.arange(1, SINES + 1)))) for i in range(2)]

        def of(c: Any) -> Any:
            f = (basis[0] @ c @ basis[1].T)[..., None]
            u = pde.solve(f, grid)
            return (grid.integral((u - target)[..., 0] ** 2) + ALPHA * grid.integral(f[..., 0] ** 2)) / 2

        return of

    return objective(coarse), objective(fine), jnp.zeros((SINES, SINES)), ALPHA / (2 * (1 + ALPHA * rate**2)) / 4, 1.0


def run(preset: str) -> dict[str, Any]:
    rows = []
    for name, made in (("design", design(PRESETS[preset][0])), ("Poisson", poisson(PRESETS[preset][1]))):
        surrogate, truth, start, known, radius = made
        direct = minimise(truth, start)
        lowest = direct.claimed if known is None else known
        found = {"surrogate alone": minimise(surrogate, start, truth=truth),
                 "surrogate corrected": trust_region(surrogate, truth, start, radius=radius)}
        rows.append({"problem": name, "method": "solver alone", "claimed": None, "verified": direct.claimed,
                     "excess": direct.claimed / lowest - 1, "solves": direct.calls, "calls": 0,
                     "solves_to_one_per_cent": next(step["calls"] for step in direct.history if step["claimed"] <= 1.01 * lowest)})
        rows += [{"problem": name, "method": method, "claimed": r.claimed, "verified": r.verified,
                  "excess": (r.verified or 0.0) / lowest - 1, "solves": r.solves, "calls": r.calls} for method, r in found.items()]
        near = next(i for i, step in enumerate(found["surrogate corrected"].history, 1) if step["truth"] <= 1.01 * lowest)
        rows[-1]["solves_to_one_per_cent"] = near
    return {"comparison": "corrected", "preset": preset, "rows": rows, "environment": environment() | {"precision": "float64"}}


def main() -> None:
    options = arguments(__doc__, PRESETS).parse_args()
    with jax.enable_x64(True):
        result = run(options.preset)
    print(json.dumps(result if options.json else result["rows"], indent=None if options.json else 1))


if __name__ == "__main__":
    main()
