"""How far the pretrained surrogates know their own errors, on their data's law and off it.

    python experiments/optimisation/trust.py [--preset cpu|smoke] [--source FOLDER] [--json]

For each: a third of the draws calibrate, the others are measured: coverage of a conformal band for all points at once at 90 per cent
nominal and its mean half-width, in units of the outputs' root mean square, rank correlation of an estimate with the error, how often its
calibrated bound holds, how many inputs `Novelty` calls unlike the training's, and the guard's error, share of solver calls and time. The
estimate is the equation's residual where the surrogate's answer has one (corrected by a step of the solver, or carried to the end), else
the disagreement of an ensemble's members or what the last layer leaves open. Off the law the inputs have shorter waves or are larger.
Tolerances are 1.5 times the mean error.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from experiments.optimisation._methods import arguments_with_source, on_finer
from pdesurr import metrics
from pdesurr.allocator import tune_allocator
from pdesurr.pdes import AbstractPDE, Burgers, Darcy, GaussianStart, NavierStokes, PiecewiseConstant, Poisson, ReactionDiffusion
from pdesurr.recipes import make_pde
from pdesurr.surrogates import Surrogate, catalogue, load
from pdesurr.uq import AbstractEstimate, Corrected, Disagreement, LastLayer, Novelty, Propagated, calibrated, conformal_band, guarded
from pdesurr.uq.conformal import answers
from pdesurr.uq.estimates import in_batches
from pdesurr.workflow import environment

SAMPLES = {"smoke": (300, 200, 2), "cpu": (1800, 2000, None)}  # solved; inputs that `Novelty` knows, which need no solution; surrogates
HEAT: dict[str, Any] = {"method": "heat_kernel"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A surrogate of the catalogue, its equation, the same with another law of inputs, and an estimate of its error, which may learn from
    solved samples. `options` of the solver, which works on `finer` times as many nodes an axis. `stride`: every how many nodes `Novelty`
    sees."""

    pde: AbstractPDE
    off: AbstractPDE
    what: str
    estimate: Callable[..., AbstractEstimate]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    stride: int = 1
    finer: int = 1


def corrected(s: Surrogate, *_: Any) -> AbstractEstimate:
    return Corrected(make_pde(s.spec.pde, s.spec.parameters), s.spec.grid)


def last_weight(s: Any) -> Any:
    return s.model.model.head[-1].weight


LATER: dict[str, Any] = {"horizon": 4.0, "intervals": 1, "history": 1}
FLOW = NavierStokes(**LATER)
WAVES = Darcy(coefficient=PiecewiseConstant(tau=8.0), refinement=1)
CASES = {
    "burgers-ensemble": Case(Burgers(nu=0.1), Burgers(nu=0.1, sigma=50.0), "twice as large", lambda s, *_: Disagreement(s), HEAT, 4),
    "darcy-fno": Case(Darcy(refinement=1), WAVES, "shorter waves, tau = 8", corrected, stride=2),
    "navier-stokes-fno": Case(
        FLOW, NavierStokes(prior=GaussianStart(1.5 * 2**0.5 * 7**1.5, 7.0, 2.5), **LATER), "half as large again",
        lambda s, a, u: LastLayer.of(s, last_weight, a, u), {"dt": FLOW.step_size(FLOW.grid(64))}, 2, 2),
    "poisson-nsm": Case(Poisson(), Poisson(scale=0.1), "shorter waves, scale .1", corrected, stride=4),
    "reaction-diffusion-nsm": Case(
        ReactionDiffusion(nu=0.05), ReactionDiffusion(nu=0.05, scale=0.12), "shorter waves, scale .12",
        lambda s, *_: Propagated(s, ReactionDiffusion(nu=0.05)), stride=2),
}


def draw(case: Case, pde: AbstractPDE, surrogate: Surrogate, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and solutions."""
    a = inputs(pde, surrogate, samples, seed)
    return a, np.asarray(jax.lax.map(jax.jit(solver(case, surrogate)), jnp.asarray(a), batch_size=20))


def inputs(pde: AbstractPDE, surrogate: Surrogate, samples: int, seed: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), samples)
    return np.asarray(jax.lax.map(lambda k: pde.sample(k, surrogate.spec.grid), keys, batch_size=20))


def solver(case: Case, surrogate: Surrogate) -> Callable:
    return on_finer(case.pde, surrogate.spec.grid, case.finer, **case.options)


def measured(label: str, surrogate: Surrogate, parts: dict[str, Any], a: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """One row: samples that calibrated nothing."""
    grid, u = surrogate.spec.grid, answers(surrogate, a)
    parts["guard"](a)  # compiles
    errors = in_batches(lambda v, w: metrics.relative_l2(v, w, grid), u, truth)
    began = time.perf_counter()
    routed = parts["guard"](a)
    seconds = time.perf_counter() - began
    kept = in_batches(lambda v, w: metrics.relative_l2(v, w, grid), routed.u, truth)
    correlation = np.asarray(spearmanr(in_batches(parts["estimate"], a, u), errors))[0]
    seen = parts["seen"](a)
    return {"row": label, "samples": len(a), "error": {"mean": float(errors.mean()), "max": float(errors.max())},
            "coverage": parts["band"].covers(jnp.asarray(u), jnp.asarray(truth)),
            "width": float(np.mean(parts["band"].width) / np.sqrt(np.mean(truth**2))),
            "bound_kept": float(np.mean(in_batches(parts["bound"], a, u) >= errors)), "spearman": float(correlation),
            "novel": float(np.mean(in_batches(parts["novelty"], seen, seen) > parts["usual"])),
            "guarded_kept": float(np.mean(kept <= parts["tolerance"])), "solved": float(routed.solved.mean()),
            "guarded_s": seconds / len(a)}


def one(name: str, case: Case, surrogate: Surrogate, samples: int, known_inputs: int) -> dict[str, Any]:
    third, grid = samples // 3, surrogate.spec.grid
    a, truth = draw(case, case.pde, surrogate, samples, 10**6)
    seen = lambda v: v[(slice(None), *(slice(None, None, case.stride),) * grid.ndim)]  # noqa: E731
    known = seen(inputs(case.pde, surrogate, known_inputs, 10**7))
    estimate, novelty = case.estimate(surrogate, a[:third], truth[:third]), Novelty.of(known)
    bound = calibrated(estimate, surrogate, grid, a[:third], truth[:third], coverage=0.99)
    u = answers(surrogate, a[:third])
    tolerance = 1.5 * float(in_batches(lambda v, w: metrics.relative_l2(v, w, grid), u, truth[:third]).mean())
    guard = guarded(lambda v: surrogate(v), solver(case, surrogate), bound, tolerance)
    parts = {"estimate": estimate, "bound": bound, "band": conformal_band(surrogate, a[:third], truth[:third]), "guard": guard,
             "seen": seen, "novelty": novelty, "usual": float(np.quantile(in_batches(novelty, known, known), 0.99)),
             "tolerance": tolerance}
    rows = [measured("its law", surrogate, parts, a[third:], truth[third:]),
            measured(case.what, surrogate, parts, *draw(case, case.off, surrogate, third, 10**6 + 1))]
    single = jax.jit(solver(case, surrogate))
    single(jnp.asarray(a[0])).block_until_ready()
    began = time.perf_counter()
    for v in a[:20]:
        single(jnp.asarray(v)).block_until_ready()
    return {"surrogate": name, "estimate": type(estimate).__name__, "nodes": list(grid.shape), "tolerance": tolerance, "rows": rows,
            "solver_s": (time.perf_counter() - began) / 20}


def main() -> None:
    options = arguments_with_source(__doc__, SAMPLES).parse_args()
    tune_allocator()
    there = catalogue(options.source)
    found, (samples, known, count) = [], SAMPLES[options.preset]
    for name, case in list(CASES.items())[:count]:
        if name in there:
            found.append(one(name, case, load(name, source=options.source), samples, known))
            print(json.dumps(found[-1], indent=1), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"comparison": "trust", "preset": options.preset, "surrogates": found,
                          "environment": environment() | {"precision": "float32"}}))


if __name__ == "__main__":
    main()
