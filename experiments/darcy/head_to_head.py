"""Head to head with neuraloperator on the Darcy sample that it bundles: its own FNO, trained by its own Trainer as its example does, in its
own environment (15 epochs), against ours with no more weights and in 10 epochs. Three seeds each, taking turns; the same 50 test samples at
16 x 16 and, without retraining, at 32 x 32. Seconds are of training, compilation included.

    python experiments/darcy/head_to_head.py ../shared/data/darcy_neuraloperator.h5 [--peer-python PATH] [--json]

Claim: lower error at both resolutions and shorter time. Ours trains on 900 samples, each in a random one of its two orientations, and
chooses weights on the other 100; the example trains on all 1000 and keeps its last weights. `make peers` makes the peer's environment.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import numpy as np

from experiments.benchmarks._harness import ALLOCATOR, machine
from experiments.darcy.darcy_import_fno import SEEDS, Setting, data, train
from pdesurr.allocator import tune_allocator

EPOCHS = {"ours": 10, "neuraloperator": 15}
# lowest validation error (seed 0, 15 epochs): (4, 4) x 26, (4, 4) x 28, (5, 5) x 20, (6, 6) x 18; batch 4, 8, 16; rate 5e-3, 1e-2, 2e-2
SHORT = Setting((4, 4), 28, 8, 2e-2, 0.97)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer-python", default=".venv-peer/bin/python")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not Path(options.peer_python).exists():
        raise SystemExit(f"{options.peer_python}: no such Python; `make peers` makes it, or name another with --peer-python")
    tune_allocator()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, *tests = (data(options.file, folder, group) for group in ("train_16", "test_16", "test_32"))
        arrays = {f"{k}_{group}": v[..., 0] for group, d in zip(("train_16", "test_16", "test_32"), (whole, *tests), strict=True)
                  for k, v in (("x", d.inputs), ("y", d.outputs))}
        np.savez(folder / "data.npz", **arrays)  # pyright: ignore[reportArgumentType]
        for seed in SEEDS:
            ours, weights = train(whole, dict(zip(("error_16", "error_32"), tests, strict=True)), seed, EPOCHS["ours"], folder, SHORT)
            rows.append({"who": "ours", "parameters": weights, **ours})
            rows.append({"who": "neuraloperator", **peer(options.peer_python, folder / "data.npz", seed)})
    result = {"rows": rows, "means": {who: means([r for r in rows if r["who"] == who]) for who in ("ours", "neuraloperator")},
              "epochs": EPOCHS, "machine": machine(), "dataset_sha256": whole.info.sha256}
    if options.json:
        print(json.dumps(result))
        return
    for who, mean in result["means"].items():
        print(f"{who} ({mean['parameters']:.0f}): {mean['error_16']:.4f} at 16, {mean['error_32']:.4f} at 32, {mean['seconds']:.0f} s")


def peer(python: str, file: Path, seed: int) -> dict[str, Any]:
    """One seed of the peer, in its own process."""
    script = Path(__file__).resolve().with_name("_head_to_head_peer.py")
    command = [python, script, file, str(EPOCHS["neuraloperator"]), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=ALLOCATOR, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the peer failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {k: float(np.mean([r[k] for r in rows])) for k in ("error_16", "error_32", "seconds", "parameters")}


if __name__ == "__main__":
    main()
