"""One of several processes that train as one: `python processes_worker.py ADDRESS PROCESSES PROCESS FOLDER EPOCHS CHECKPOINTS
SECONDS [DATA]`; writes its weights. The first 40 samples of DATA stay in that file."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(address: str, processes: str, process: str, folder: str, epochs: str, checkpoints: str, seconds: str,
         data: str | None = None) -> None:
    from pdesurr.train.processes import join

    join(address, int(processes), int(process))
    import jax
    import test_train as small

    assert len(jax.devices()) == 4 and len(jax.local_devices()) == 2
    config = small.dataclasses.replace(small.CONFIG, epochs=int(epochs), checkpoint_seconds=float(seconds))
    source = counted(data) if data else None
    found = small.run(config, Path(folder) / "run", devices=4, source=source, checkpoints=checkpoints)
    np.savez(Path(folder) / f"{process}.npz", *small.weights(found))
    print(found.resumed_at, flush=True)


def counted(data: str):
    """The samples in that file, in blocks of two steps; the end of the process tells how many were read."""
    import atexit

    from pdesurr.data.streaming import FileSource

    source = FileSource(data, rows=(0, 40), memory=4096)
    read, rows = source.records.read, []
    source.records.read = lambda numbers: (rows.extend(numbers), read(numbers))[1]  # pyright: ignore[reportAttributeAccessIssue]
    atexit.register(lambda: print(f"samples read: {len(rows) - 1}", flush=True))  # one told their kind
    return source


if __name__ == "__main__":
    main(*sys.argv[1:])
