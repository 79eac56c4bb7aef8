"""Graph operators on the CPU: a training step (forward, backward, AdamW) per work, and the memory of the process.

The works: `GNO` on 300 random points of an 85 x 85 grid, radius .25, through `SampledL2`; the same with its matrix formed once
for every edge and kept over the layers, which shows what the order of summation saves; inference of a `GNO` on the whole grid;
the multipole operators; `LNO`, and the same with its perceptrons' last layers at every point. No peer is measured.

    python experiments/benchmarks/graph_step.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness

BATCH = 4


def step(model, objective, grid) -> Callable:
    """One step of AdamW on a batch of random functions, as a call without arguments."""
    import equinox as eqx
    import jax
    import optax

    from pdesurr.types import Batch, Samples

    a, u = jax.random.normal(jax.random.key(1), (2, BATCH, *grid.shape, 1))
    batch, optimiser = Batch(Samples(grid, a), Samples(grid, u)), optax.adamw(1e-3)
    params, static = eqx.partition(model, eqx.is_inexact_array)

    @jax.jit
    def update(params, state, key):
        gradient = jax.grad(lambda p: objective(eqx.combine(p, static), batch, key)[0])(params)
        changes, state = optimiser.update(gradient, state, params)
        return optax.apply_updates(params, changes), state

    state = optimiser.init(params)
    return lambda: update(params, state, jax.random.key(2))


def works() -> dict[str, Callable[[], Callable]]:
    """Name to what builds the timed call."""
    import equinox as eqx
    import jax

    from pdesurr.fields import FourierBasis, Grid, UniformBasis
    from pdesurr.models import GNO, LNO, MultipoleGraphOperator, OrthogonalMultipole
    from pdesurr.models.lno import LowRankLayer
    from pdesurr.nn.graph import KernelIntegral
    from pdesurr.nn.mlp import rows
    from pdesurr.objectives import SampledL2, relative_l2
    from pdesurr.types import Samples

    key, plane, line = jax.random.key(0), Grid([UniformBasis(85), UniformBasis(85)]), Grid([FourierBasis(1024)])

    def gno(width: int):
        return GNO(1, 1, 2, 0.25, width, 6, kernel=(64, width), key=key)

    def formed():
        KernelIntegral.basis = lambda self, e, weights: self.formed(e)
        KernelIntegral.__call__ = lambda self, basis, weights, v: jax.numpy.einsum("qkco,qkc->qo", basis, weights[..., None] * v)
        return step(gno(32), SampledL2(300), plane)

    def field():
        model, a = gno(32), Samples(plane, jax.random.normal(key, (*plane.shape, 1)))
        run = eqx.filter_jit(model)
        return lambda: run(a, plane)

    def lno():
        return step(LNO(1, 1, 1, 32, 4, period=(2 * math.pi,), key=key), relative_l2, line)

    def at_every_point():
        def matrices(layer, perceptron, z):
            width = layer.skip.weight.shape[-1]
            return perceptron(z).reshape(len(z), layer.rank, width, width)

        LowRankLayer.integrate = lambda self, z, v, weights: jax.numpy.einsum("nroi,ni,n->roi", matrices(self, self.psi, z), v, weights)
        LowRankLayer.expand = lambda self, z, v, c: jax.numpy.einsum("nroi,roi->no", matrices(self, self.phi, z), c) + rows(self.skip, v)
        return lno()

    return {
        f"GNO width 32, 300 nodes r .25, step of {BATCH}": lambda: step(gno(32), SampledL2(300), plane),
        f"GNO width 64, 300 nodes r .25, step of {BATCH}": lambda: step(gno(64), SampledL2(300), plane),
        f"GNO width 32, K formed for every edge, step of {BATCH}": formed,
        "GNO width 32, inference of one 85x85": field,
        f"MultipoleGraphOperator width 32, 400/100/25 nodes, step of {BATCH}": lambda: step(
            MultipoleGraphOperator(1, 1, 2, 32, key=key), SampledL2(400), plane),
        f"OrthogonalMultipole width 32, 1024 nodes, step of {BATCH}": lambda: step(
            OrthogonalMultipole(1, 1, 32, 8, key=key), relative_l2, line),
        f"LNO width 32, rank 4, 1024 nodes, step of {BATCH}": lno,
        f"LNO width 32, rank 4, last layers at every point, step of {BATCH}": at_every_point,
    }


def child(name: str, rounds: int) -> None:
    """Time one work in this process, whose memory is then its own."""
    import jax

    run = works()[name]()
    jax.block_until_ready(run())
    harness.finish("graph_step", [harness.row(name, harness.alternate({"ours": run}, rounds)["ours"], ours_mb=harness.peak_mb())], True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rounds = 3 if options.quick else 9
    if options.child is not None:
        return child(options.child, rounds)
    import json

    rows = []
    for name in works():
        if options.only in name:
            command = [sys.executable, str(Path(__file__).resolve()), "--child", name, *(["--quick"] if options.quick else [])]
            out = subprocess.run(command, env=os.environ | harness.ALLOCATOR, capture_output=True, text=True, check=True).stdout
            rows += json.loads(out.splitlines()[-1])["rows"]
            print(f"{name}: {rows[-1]['ours_s']:.3f} s", file=sys.stderr, flush=True)
    harness.finish("graph_step", rows, options.json)


if __name__ == "__main__":
    main()
