"""Burgers data at 8192 points, nu = 0.1: exact evaluation (Cole-Hopf) against 200 steps of ETDRK4, ours and exponax's.

Seconds are per sample, batched alike (16 samples, one compiled call, `vmap`); errors are the mean relative L2 distance to the heat
kernel's sum in float64, which is right to near machine precision. The rows "self-consistency" have no peer: their error is
the relative L2 gap between solving to t = 1 and solving to 1/2 twice (`ours_error`: median of the samples, `peer_error` is
left empty; the worst sample is in the row's name).

    python experiments/benchmarks/burgers_generation.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.pdes import Burgers

POINTS, SAMPLES, STEPS = 8192, 16, 200
OURS = "Cole-Hopf"
PDE = Burgers()
GRID = PDE.grid(POINTS)


def exponax_stepper() -> Callable | None:
    """exponax's ETDRK4 for the same equation, or None where it is not installed."""
    try:
        import exponax
    except ImportError:
        return None
    step = exponax.stepper.Burgers(1, PDE.length, POINTS, PDE.horizon / STEPS, diffusivity=float(PDE.nu), convection_scale=1.0, order=4)
    advance = exponax.repeat(step, STEPS)
    return jax.vmap(lambda a: advance(a.T).T)  # pyright: ignore[reportCallIssue]


def solvers() -> dict[str, Callable | None]:
    """Batched `(samples, points, 1) -> (samples, points, 1)`, by name."""
    stepped = jax.vmap(lambda a: PDE.etdrk4(a, GRID, (PDE.horizon,), speed=1.0, steps=STEPS)[0])
    exact = jax.vmap(lambda a: PDE.cole_hopf(a, GRID, (PDE.horizon,))[0])
    return {OURS: exact, f"pdesurr ETDRK4, {STEPS} steps": stepped, f"exponax ETDRK4, {STEPS} steps": exponax_stepper()}


def measure(inputs: np.ndarray, truth: np.ndarray, rounds: int) -> list[dict]:
    """One row per peer and precision of the peer; ours is what `generate` does by default, float64."""
    runs: dict[Any, Callable] = {}
    errors: dict[Any, float] = {}
    for precision in ("float64", "float32"):
        with jax.enable_x64(precision == "float64"):
            for name, function in solvers().items():
                if function is not None and (precision == "float64" or name != OURS):
                    run = harness.in_precision(jax.jit(function), inputs, precision)
                    runs[name, precision], errors[name, precision] = run, relative(np.asarray(run(), np.float64), truth).mean()
    seconds = harness.alternate(runs, rounds)
    ours = seconds[OURS, "float64"] / SAMPLES
    return [
        harness.row(
            f"{POINTS} points, nu {PDE.nu:g}, float64; peer in {precision}",
            ours,
            peer,
            seconds[peer, precision] / SAMPLES if (peer, precision) in seconds else None,
            ours_error=errors[OURS, "float64"],
            peer_error=errors.get((peer, precision)),
        )
        for precision in ("float64", "float32")
        for peer in list(solvers())[1:]
    ]


def self_consistency(inputs: np.ndarray, rounds: int) -> list[dict]:
    """float64: to 1 at once against to 1/2 twice, by both exact routes."""
    rows = []
    with jax.enable_x64(True):
        a = jnp.asarray(inputs)
        for name in ("cole_hopf", "heat_kernel"):
            at = lambda v, t, name=name: getattr(PDE, name)(v, GRID, (t,))[0]  # noqa: E731
            once, twice = jax.jit(jax.vmap(lambda v, at=at: at(v, 1.0))), jax.jit(jax.vmap(lambda v, at=at: at(at(v, 0.5), 0.5)))
            gap = relative(np.asarray(twice(a)), np.asarray(once(a)))
            seconds = harness.alternate({name: lambda once=once: once(a)}, rounds)[name]
            rows.append(
                harness.row(
                    f"float64 self-consistency, {name} (worst sample {gap.max():.1e})", seconds / len(a), ours_error=float(np.median(gap))
                )
            )
    return rows


def relative(u: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Relative L2 distance of each sample."""
    return np.linalg.norm((u - truth)[..., 0], axis=1) / np.linalg.norm(truth[..., 0], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    with jax.enable_x64(True):
        draw = jax.jit(jax.vmap(lambda i: PDE.sample(jax.random.fold_in(jax.random.key(0), i), GRID)))
        inputs = np.asarray(draw(jnp.arange(SAMPLES)))
        truth = np.asarray(jax.jit(jax.vmap(lambda a: PDE.heat_kernel(a, GRID, (PDE.horizon,))[0]))(jnp.asarray(inputs)))
    rows = [r for r in measure(inputs, truth, rounds) if options.only in r["work"]]
    rows += [r for r in self_consistency(inputs, rounds) if options.only in r["work"]]
    harness.finish("burgers_generation", rows, options.json)


if __name__ == "__main__":
    main()
