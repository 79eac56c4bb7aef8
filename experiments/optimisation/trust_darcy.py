"""How far a trained Darcy surrogate knows its own error, on the data's law and off it.

    python experiments/optimisation/trust_darcy.py [--preset cpu] [--surrogate BUNDLE] [--json]

Half of the samples calibrate, the others are measured: coverage of a conformal band at 90 per cent nominal, rank correlation of the
residual's estimate with the error, and the guard's error, share of solver calls and time. Off the law the coefficient's field has shorter
waves (tau = 8 instead of 3). The bundle is what `neural_operators/darcy_fno.py --preset cpu` leaves in runs/.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from pdesurr import load_surrogate, metrics
from pdesurr.allocator import tune_allocator
from pdesurr.pdes import Darcy, PiecewiseConstant
from pdesurr.uq import Corrected, Novelty, calibrated, conformal_band, guarded
from pdesurr.uq.conformal import answers
from pdesurr.uq.estimates import in_batches
from pdesurr.workflow import environment

BUNDLE = Path(__file__).resolve().parents[2] / "runs" / "darcy-fno-cpu" / "seed-0" / "bundle"
TOLERANCE, OFF = 0.02, 8.0
PRESETS = {"smoke": (33, 24), "cpu": (141, 800)}  # nodes an axis, samples


def draw(pde: Darcy, nodes: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and solutions."""
    grid, keys = pde.grid(nodes), jax.random.split(jax.random.key(seed), samples)
    a = np.asarray(jax.lax.map(lambda k: pde.sample(k, grid), keys, batch_size=20))
    return a, np.asarray(jax.lax.map(jax.jit(lambda v: pde.solve(v, grid)), jnp.asarray(a), batch_size=20))


def measured(name: str, surrogate: Any, parts: dict[str, Any], a: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """One row: samples of a law that calibrated nothing."""
    grid, u = parts["grid"], answers(surrogate, a)
    parts["guard"](a)  # compiles
    errors = in_batches(lambda v, w: metrics.relative_l2(v, w, grid), u, truth)
    began = time.perf_counter()
    routed = parts["guard"](a)
    seconds = time.perf_counter() - began
    kept = in_batches(lambda v, w: metrics.relative_l2(v, w, grid), routed.u, truth)
    correlation = np.asarray(spearmanr(in_batches(parts["estimate"], a, u), errors))[0]
    novelty = in_batches(parts["novelty"], a[:, :: parts["stride"], :: parts["stride"]], u)
    return {"row": name, "samples": len(a), "error": {"mean": float(errors.mean()), "max": float(errors.max())},
            "coverage": parts["band"].covers(jnp.asarray(u), jnp.asarray(truth)),
            "bound_kept": float(np.mean(in_batches(parts["bound"], a, u) >= errors)), "spearman": float(correlation),
            "novel": float(np.mean(novelty > parts["usual"])), "guarded_kept": float(np.mean(kept <= TOLERANCE)),
            "solved": float(routed.solved.mean()), "guarded_s": seconds / len(a)}


def run(preset: str, bundle: Path) -> dict[str, Any]:
    surrogate, (nodes, samples) = load_surrogate(bundle), PRESETS[preset]
    pde = Darcy(refinement=1)
    grid, half = pde.grid(nodes), samples // 2
    a, truth = draw(pde, nodes, samples, 10**6)
    estimate, solver = Corrected(pde, grid), lambda v: pde.solve(v, grid)
    bound = calibrated(estimate, surrogate, grid, a[:half], truth[:half])
    stride = max(1, (nodes - 1) // 30)
    thin = a[:half, ::stride, ::stride]
    novelty = Novelty.of(thin)
    usual = float(np.quantile(in_batches(novelty, thin, thin), 0.99))
    guard = guarded(lambda v: surrogate(v), solver, bound, TOLERANCE)
    parts = {"grid": grid, "estimate": estimate, "bound": bound, "band": conformal_band(surrogate, a[:half], truth[:half]), "guard": guard,
             "novelty": novelty, "usual": usual, "stride": stride}
    rows = [measured("the data's law", surrogate, parts, a[half:], truth[half:])]
    off = Darcy(coefficient=PiecewiseConstant(tau=OFF), refinement=1)
    rows.append(measured(f"shorter waves, tau = {OFF:g}", surrogate, parts, *draw(off, nodes, half, 10**6 + 1)))
    both = jax.jit(solver)
    began = time.perf_counter()
    for v in a[half : half + 20]:
        both(jnp.asarray(v)).block_until_ready()
    return {"comparison": "trust_darcy", "preset": preset, "nodes": nodes, "tolerance": TOLERANCE, "rows": rows,
            "solver_s": (time.perf_counter() - began) / 20, "factor": float(bound.factor),
            "environment": environment() | {"precision": "float32"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--surrogate", type=Path, default=BUNDLE)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    result = run(options.preset, options.surrogate)
    print(json.dumps(result) if options.json else json.dumps(result["rows"], indent=1))


if __name__ == "__main__":
    main()
