"""What a training step of the FNO costs against nodes, batch, modes, width and devices; a model of it; what it says of larger machines.

Measured: forward, backward and AdamW in two dimensions, one device of the CPU; then the batch, or the field, dealt to two. Messages are
counted in the compiled program for four devices and compared with the formula that the model uses. The model is

    seconds = flops / F + bytes / B + messages / N,

F and B fitted to the measured rows (non-negative least squares of relative errors), and for a GPU the maker's figures times an assumed
attained share, which is said beside them. `ratio`: predicted over measured.

    python experiments/benchmarks/scaling.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import dataclasses
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
import _harness as harness
import equinox as eqx
import jax
import numpy as np
from scipy.optimize import nnls

from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.models import FNO
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainState, adamw
from pdesurr.train.parallel import Layout
from pdesurr.train.slices import SlicedLayout
from pdesurr.train.step import Engine

FLOAT, HEAD = 4, 128
# Of one GPU, from its maker's data sheet (H100 SXM: dense TF32 products, HBM3, NVLink and one 400 Gb/s port, a direction each), and the
# shares of them that a step is taken to attain.
GPU = {"flops": 494e12, "memory": 3.35e12, "node": 450e9, "network": 50e9}
ATTAINED = {"flops": 0.3, "memory": 0.6, "node": 0.7, "network": 0.7}


@dataclasses.dataclass(frozen=True)
class Work:
    """A step: `nodes` on each of `axes`, `batch` samples in all; how many devices share a batch and a field."""

    nodes: int = 64
    batch: int = 8
    modes: int = 12
    width: int = 32
    depth: int = 4
    axes: int = 2
    batches: int = 1
    slices: int = 1

    @property
    def name(self) -> str:
        dealt = f", batch on {self.batches}, field on {self.slices} devices" if self.batches * self.slices > 1 else ""
        return f"{self.nodes}^{self.axes} nodes, batch {self.batch}, modes {self.modes}, width {self.width}{dealt}"

    @property
    def points(self) -> int:
        return self.batch * self.nodes**self.axes

    @property
    def kept(self) -> int:
        """Wavenumbers of a Fourier layer."""
        return self.modes * (2 * self.modes - 1) ** (self.axes - 1)

    def flops(self) -> float:
        """Of forward and backward (twice the forward's), all devices together: pointwise layers, transforms by products, modes."""
        pointwise = self.points * (self.depth * self.width**2 + 3 * self.width + HEAD * (self.width + 1))
        transforms, held = 0.0, float(self.points)
        for axis in range(self.axes):  # the last axis first, to real pairs; the others shrink to 2 m - 1
            kept = 2 * self.modes if axis == 0 else 2 * self.modes - 1
            transforms += 2 * held * kept
            held *= kept / self.nodes
        mixing = 4 * self.batch * self.kept * self.width**2
        return 3 * 2 * (pointwise + self.depth * (self.width * transforms + mixing))

    def bytes(self) -> float:
        """Read and written by forward and backward: fields of `width` channels (four a block each way, three more in lifting and head), of
        `HEAD` channels, and weights with gradients and moments."""
        fields = self.points * (self.width * (8 * self.depth + 6) + 6 * HEAD)
        return FLOAT * (fields + 10 * self.weights())

    def weights(self) -> float:
        return 2 * self.depth * self.kept * self.width**2

    def reduced(self) -> float:
        """Bytes of a gradient on one device."""
        return FLOAT * self.weights() / self.slices if self.batches > 1 else 0.0

    def exchanged(self) -> float:
        """Bytes that one device holds in the exchanges of a step: four a layer, of the kept modes of the axes transformed by then."""
        if self.slices == 1:
            return 0.0
        columns = 2 * self.modes * (2 * self.modes - 1) ** (self.axes - 2) * self.nodes / self.slices
        return FLOAT * 4 * self.depth * self.width * self.batch / self.batches * columns


def build(work: Work) -> tuple[Any, tuple[Any, ...]]:
    """The compiled step and its arguments, where they belong."""
    grid = Grid([FourierBasis(work.nodes)] * work.axes)
    model = FNO(1, 1, (work.modes,) * work.axes, work.width, work.depth, head_width=HEAD, key=jax.random.key(0))
    a = np.random.default_rng(0).standard_normal((work.batch, *grid.shape, 1)).astype(np.float32)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    optimiser, devices = adamw(1000), jax.devices()[: work.batches * work.slices]
    layout = Layout(devices) if work.slices == 1 else SlicedLayout(devices, work.slices, params, False)
    engine = Engine(static, layout.objective(relative_l2), optimiser, 0.99, layout.mean_of)
    run = layout.compiled(engine.step, (None, None, 0))
    state = TrainState.create(params, optimiser, jax.random.key(0), 1e-3)
    return run, (layout.state(state), layout.source(ArraySource(a, np.roll(a, 3, 1), grid)), jax.numpy.arange(work.batch))


def messages(work: Work) -> dict[str, tuple[int, float]]:
    """Collectives of the compiled step: how many, and the bytes that one device holds in them."""
    run, args = build(work)
    found = {}
    for line in run.lower(*args).compile().as_text().splitlines():
        match = re.search(r"= (.*?) (all-reduce|all-to-all|all-gather|collective-permute|reduce-scatter)(?:-start)?\(", line)
        if match and "replica_groups={{0},{1}," not in line:  # those among one device move nothing
            sizes = re.findall(r"(?:f32|s32|pred)\[([\d,]*)\]", match[1])
            held = sum(FLOAT * math.prod(int(n) for n in size.split(",") if n) for size in sizes)
            count, before = found.get(match[2], (0, 0.0))
            found[match[2]] = (count + 1, before + held)
    return found


def predicted(work: Work, nodes: int) -> dict[str, Any]:
    """Seconds of a step on GPUs, `nodes` hosts of equal shares: a device's flops and bytes, and its messages over the slowest link."""
    devices = work.batches * work.slices
    rates = {name: GPU[name] * ATTAINED[name] for name in GPU}
    link = rates["node"] if nodes == 1 else rates["network"]
    compute, memory = work.flops() / devices / rates["flops"], work.bytes() / devices / rates["memory"]
    ring = lambda p: (p - 1) / p  # noqa: E731
    reduce = 2 * ring(work.batches) * work.reduced() / link
    exchange = ring(work.slices) * work.exchanged() / (rates["node"] if work.slices <= devices // nodes else link)
    held = FLOAT * (work.points * work.width * 2 * (work.depth + 2) / devices + 5 * work.weights() / work.slices)
    return {"work": work.name, "hosts": nodes, "gpus": devices, "flops_s": compute, "memory_s": memory, "reduce_s": reduce,
            "exchange_s": exchange, "step_s": compute + memory + reduce + exchange, "gb_a_device": held / 2**30}


def works(quick: bool) -> list[Work]:
    base = Work()
    grown = [dataclasses.replace(base, **{k: v}) for k, values in
             {"nodes": (32, 128), "batch": (4, 16), "modes": (6, 20), "width": (16, 64)}.items() for v in values]
    dealt = [dataclasses.replace(base, batches=2), dataclasses.replace(base, slices=2)]
    return [base, *(grown[:2] if quick else grown), *dealt]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    chosen = [w for w in works(options.quick) if options.only in w.name]
    seconds = {}
    for work in chosen:
        run, args = build(work)
        seconds |= harness.alternate({work: lambda run=run, args=args: run(*args)}, 3 if options.quick else 9)
    alone = [w for w in chosen if w.batches * w.slices == 1]
    matrix = np.array([[w.flops() / seconds[w], w.bytes() / seconds[w]] for w in alone])
    (per_flop, per_byte), _ = nnls(matrix, np.ones(len(alone)))
    model = lambda w: per_flop * w.flops() + per_byte * w.bytes()  # noqa: E731
    rows = [harness.row(w.name, seconds[w], "the model, one device", model(w)) for w in chosen]
    counted = []
    for work in (Work(batches=4), Work(slices=4), Work(batches=2, slices=2)):
        wanted = {"all-reduce": work.reduced(), "all-to-all": work.exchanged()}
        counted += [{"work": work.name, "kind": kind, "count": n, "bytes": held, "formula_bytes": wanted.get(kind, 0.0)}
                    for kind, (n, held) in messages(work).items()]
    large = [predicted(*case) for case in (
        (Work(nodes=256, batch=16, modes=32, width=64), 1), (Work(nodes=256, batch=128, modes=32, width=64, batches=8), 1),
        (Work(nodes=256, batch=8192, modes=32, width=64, batches=512), 64),
        (Work(nodes=256, batch=1, modes=32, width=32, axes=3, slices=8), 1),
        (Work(nodes=1024, batch=1, modes=32, width=32, axes=3, slices=32), 4),
        (Work(nodes=1024, batch=16, modes=32, width=32, axes=3, batches=16, slices=32), 64))]
    harness.finish("scaling", rows, options.json, counted=counted, predicted=large, gpu=GPU, attained=ATTAINED,
                   model={"flops_a_second": 1 / per_flop if per_flop else None, "bytes_a_second": 1 / per_byte if per_byte else None})


if __name__ == "__main__":
    main()
