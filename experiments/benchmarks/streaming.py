"""Training from a file whose samples stay there (`FileSource`) against training from memory, ours against ours: seconds a step of an FNO
on 64 x 64 nodes by `fit`, peak memory of each side's process; and the reading of a batch against the step that it feeds.

    python experiments/benchmarks/streaming.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import numpy as np

BATCH, NODES, MEMORY = 20, 64, 32 * 2**20
FROM_MEMORY = "ours, data in memory"


def write(path: Path, samples: int) -> None:
    """Random fields and their shifted copies."""
    from pdesurr.data import DatasetInfo, DatasetWriter, Field
    from pdesurr.fields import FourierBasis, Grid

    grid = Grid([FourierBasis(NODES)] * 2, ("x", "y"))
    info = DatasetInfo("plane", "Plane", grid, (Field("a"), Field("u")), (("a", None),), (("u", None),))
    rng = np.random.default_rng(0)
    with DatasetWriter(path, info) as writer:
        for start in range(0, samples, 200):
            a = rng.standard_normal((min(200, samples - start), NODES, NODES)).astype(np.float32)
            writer.append({"a": a, "u": np.roll(a, 3, 1)})


class Side:
    """Commands of a worker: one trains from memory, one from the file."""

    def build(self, path: str, streamed: bool, width: int) -> dict:
        from pdesurr.data import open_dataset
        from pdesurr.data.sources import ArraySource
        from pdesurr.data.streaming import FileSource

        self.width = width
        if streamed:
            self.source: Any = FileSource(path, memory=MEMORY)
        else:
            data = open_dataset(path)
            self.source = ArraySource(data.inputs, data.outputs, data.grid)
        return self.train()

    def train(self) -> dict:
        """Two epochs, of which the first compiles; seconds a step of the second, which waits for its own first block no more."""
        import jax

        from pdesurr.models import FNO
        from pdesurr.objectives import relative_l2
        from pdesurr.train import TrainConfig, fit

        model = FNO(1, 1, (12, 12), self.width, 4, coordinates=(False, False), key=jax.random.key(0))
        found = fit(model, self.source, relative_l2, TrainConfig(epochs=2, batch_size=BATCH), devices=jax.devices()[:1])
        return {"seconds": found.history[-1]["seconds"] / (self.source.size // BATCH), "loss": found.history[-1]["loss"]}

    def load(self, batches: int) -> dict:
        """Seconds to read a batch of random samples, of several read as one block."""
        numbers = np.random.default_rng(1).permutation(self.source.size)[: batches * BATCH]
        start = time.perf_counter()
        self.source.read(numbers)
        return {"seconds": (time.perf_counter() - start) / (len(numbers) / BATCH)}

    def memory(self) -> dict:
        return {"mb": harness.peak_mb()}


def measure(width: int, quick: bool) -> list[dict]:
    samples, rounds = (400, 1) if quick else (4000, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plane.h5"
        write(path, samples)
        environment = {"XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "cache"),
                       **harness.ALLOCATOR}
        command = [sys.executable, str(Path(__file__).resolve()), "worker"]
        with harness.Worker(command, environment) as file, harness.Worker(command, environment) as held:
            losses = [side.ask(do="build", path=str(path), streamed=streamed, width=width)["loss"]
                      for side, streamed in ((file, True), (held, False))]
            if abs(losses[0] - losses[1]) > 1e-5 * losses[1]:  # means over segments of other lengths
                raise RuntimeError(f"not the same training: loss {losses[0]} from the file, {losses[1]} from memory")
            seconds = harness.alternate({"file": lambda: file.ask(do="train")["seconds"], "held": lambda: held.ask(do="train")["seconds"],
                                         "load": lambda: file.ask(do="load", batches=10)["seconds"]}, rounds)
            mb = {"ours_mb": file.ask(do="memory")["mb"], "peer_mb": held.ask(do="memory")["mb"]}
    work = f"{NODES}x{NODES} modes 12 width {width} batch {BATCH}, file of {samples * 2 * NODES**2 * 4 / 2**20:.0f} MiB"
    return [harness.row(f"step, {work}, blocks of {MEMORY // 2**21} MiB", seconds["file"], FROM_MEMORY, seconds["held"], **mb),
            harness.row(f"reading a batch, {work}", seconds["load"], "the step from memory", seconds["held"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    rows = []
    for width in (20, 32):
        if options.only in f"width {width}":
            rows += measure(width, options.quick)
            print(*(f"{r['work']}: ratio {r['ratio']:.3f}" for r in rows[-2:]), sep="\n", file=sys.stderr, flush=True)
    harness.finish("streaming", rows, options.json)


if __name__ == "__main__":
    side = Side()
    if sys.argv[1:] == ["worker"]:
        harness.serve({"build": side.build, "train": side.train, "load": side.load, "memory": side.memory})
    else:
        main()
