"""One of several processes that train as one: `python processes_worker.py ADDRESS PROCESSES PROCESS FOLDER EPOCHS`; writes its weights."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(address: str, processes: str, process: str, folder: str, epochs: str) -> None:
    from pdesurr.train.processes import join

    join(address, int(processes), int(process))
    import jax
    import test_train as small

    assert len(jax.devices()) == 4 and len(jax.local_devices()) == 2
    config = small.dataclasses.replace(small.CONFIG, epochs=int(epochs))
    found = small.run(config, Path(folder) / "run", devices=4)
    np.savez(Path(folder) / f"{process}.npz", *small.weights(found))
    print(found.resumed_at, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
