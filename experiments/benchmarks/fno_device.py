"""FNO on an accelerator: a training step and inference in float32, TF32 and bfloat16, against neuraloperator with torch.compile there.

`share`: of the roof, the larger of the compiled step's flops over the device's and its bytes over the memory's, over the time it took;
both as XLA counts them. Without a GPU the shapes are tiny, the peer is left out, and only that the script is whole is shown.

    python experiments/benchmarks/fno_device.py [--json] [--quick] [--only SUBSTRING] [--peer-python PATH]
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import equinox as eqx
import jax
import numpy as np
from _fno_workers import Ours, Work
from scaling import GPU

from pdesurr.fields import FourierBasis, Grid
from pdesurr.objectives import relative_l2
from pdesurr.train.precision import PRODUCTS, in_precision
from pdesurr.types import Batch, Samples

PEAK = {"float32": 67e12, "tf32": GPU["flops"], "bfloat16": 989e12}  # products a second of one GPU, from its maker's data sheet
WORKS = [Work((64, 64), 12, 32, 64), Work((256, 256), 32, 32, 16), Work((64, 64, 64), 12, 20, 4)]


class Low(Ours):
    """Our worker's network, stepped by `in_precision`."""

    def in_precision(self, precision: Any) -> tuple[Any, Any]:
        grid = Grid([FourierBasis(n, 0.0, 1.0) for n in self.work.shape])
        objective = in_precision(relative_l2, precision)

        def step(model, state, a, u):
            value, gradient = jax.value_and_grad(lambda m: objective(m, Batch(Samples(grid, a), Samples(grid, u)), None)[0])(model)
            updates, state = self.optimiser.update(gradient, state, model)
            return eqx.apply_updates(model, updates), state, value

        def infer(model, a):
            with jax.default_matmul_precision(PRODUCTS[precision]):
                return model.batched(Samples(grid, a))

        step, infer = jax.jit(step), jax.jit(infer)
        return (lambda: step(self.model, self.state, self.a, self.u)), (lambda: infer(self.model, self.a)), (  # pyright: ignore
            step.lower(self.model, self.state, self.a, self.u).compile().cost_analysis())


def measure(work: Work, precision: str, python: str | None, rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        ours = Low()
        ours.build(folder, dataclasses.asdict(work))
        step, infer, cost = ours.in_precision(precision)  # pyright: ignore[reportAssignmentType]
        runs: dict[str, Any] = {"train": step, "infer": infer}
        for run in runs.values():
            harness.wait(run())
        if python is None:
            seconds = harness.alternate(runs, rounds)
        else:
            script = str(Path(__file__).resolve().with_name("_fno_workers.py"))
            with harness.Worker([python, script, "peer"], {}) as peer:
                peer.ask(do="build", folder=folder, fields=dataclasses.asdict(work))
                peer.ask(do="place", precision=precision)
                peer.ask(do="settings", threads=8, foreach=True)
                theirs = {f"peer {do}": lambda do=do: median(peer.ask(do=do, steps=5)["seconds"]) for do in runs}
                for run in theirs.values():
                    run()
                seconds = harness.alternate(runs | theirs, rounds)
        roof = max(cost["flops"] / PEAK[precision], cost["bytes accessed"] / GPU["memory"])
        name = lambda do: f"{dataclasses.replace(work, do=do).name} {precision}"  # noqa: E731
        return [harness.row(name(do), seconds[do], "neuraloperator 2.0.0, compiled" if python else None,
                            seconds.get(f"peer {do}")) | {"samples_a_second": work.batch / seconds[do]}
                | ({"share": roof / seconds[do]} if do == "train" else {}) for do in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    gpu = jax.default_backend() == "gpu"
    python = harness.peer_python(options.peer_python) if gpu else None
    works = WORKS if gpu else [dataclasses.replace(w, shape=(16,) * len(w.shape), modes=4, width=8, batch=2) for w in WORKS]
    rows = [row for work in works for p in PRODUCTS if options.only in f"{work.name} {p}"
            for row in measure(work, p, python, 3 if options.quick else 9)]
    for row in rows:
        row["device"] = str(np.unique([d.device_kind for d in jax.devices()])[0])
    harness.finish("fno_device", rows, options.json)


if __name__ == "__main__":
    main()
