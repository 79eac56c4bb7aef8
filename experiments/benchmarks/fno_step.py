"""FNO on the CPU against neuraloperator 2.0: a training step (forward, backward, AdamW) and inference, same weights, same loss.

Both networks: "default" is neuraloperator's own block (two-layer lifting, channel MLP, soft gating), "classic" the first one
(linear lifting, 1 x 1 bypass, head of 128). Both sides run in a process of their own with glibc told to keep large buffers;
the peer also with the better of one and two threads, and of AdamW with and without `foreach` (its fused form refuses complex
weights). Errors are against our network in float64 (one sample; the peer computes the result of its transforms in single
precision whatever its input). Also: a whole epoch inside `lax.scan` against a loop of steps, ours against ours.

    python experiments/benchmarks/fno_step.py [--json] [--quick] [--only SUBSTRING] [--peer-python PATH]
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
from _fno_workers import Work

PEER = "neuraloperator 2.0.0"


def works() -> list[Work]:
    sizes = [
        Work((64, 64), 12, 20, 20, 10), Work((85, 85), 12, 32, 20), Work((241, 241), 12, 32, 4), Work((1024,), 16, 64, 20),
    ]
    kinds = [("train", size) for size in sizes] + [("infer", size) for size in sizes[:2]] + [("epoch", size) for size in sizes[:2]]
    return [dataclasses.replace(size, do=do, block=block) for do, size in kinds for block in ("default", "classic")]


def measure(work: Work, python: str | None, quick: bool) -> dict:
    script = str(Path(__file__).resolve().with_name("_fno_workers.py"))
    fields = dataclasses.asdict(work)
    rounds, steps = (3, 3) if quick else (9, 3)
    environment = {"XLA_FLAGS": os.environ.get("XLA_FLAGS", ""), **harness.ALLOCATOR}
    with tempfile.TemporaryDirectory() as folder, harness.Worker([sys.executable, script, "ours"], environment) as ours:
        built = ours.ask(do="build", folder=folder, fields=fields)
        if work.do == "epoch":
            return measure_epoch(work, ours, rounds)
        mine = lambda: median(ours.ask(do=work.do, steps=steps)["seconds"])  # noqa: E731
        mine()
        if python is None:
            seconds = harness.alternate({"ours": mine}, rounds)
            return harness.row(work.name, seconds["ours"], ours_mb=ours.ask(do="memory")["mb"])
        with harness.Worker([python, script, "peer"], harness.ALLOCATOR) as peer:
            check = peer.ask(do="build", folder=folder, fields=fields)
            if check["parameters"] != built["parameters"] or check["difference"] > 1e-3:
                raise RuntimeError(f"{work.name}: not the same network: {built} against {check}")
            best_settings(peer, work)
            theirs = lambda: median(peer.ask(do=work.do, steps=steps)["seconds"])  # noqa: E731
            seconds = harness.alternate({"ours": mine, "peer": theirs}, rounds)
            return harness.row(work.name, seconds["ours"], PEER, seconds["peer"], ours_error=check["ours_error"],
                               peer_error=check["peer_error"], ours_mb=ours.ask(do="memory")["mb"],
                               peer_mb=peer.ask(do="memory")["mb"])


def measure_epoch(work: Work, ours: harness.Worker, rounds: int) -> dict:
    """Ten batches inside one scan, against ten calls from Python. Seconds per epoch."""
    steps = 10
    scan = lambda: ours.ask(do="run_epoch", steps=steps)["seconds"][0]  # noqa: E731
    loop = lambda: sum(ours.ask(do="train", steps=steps)["seconds"])  # noqa: E731
    scan()
    loop()
    seconds = harness.alternate({"scan": scan, "loop": loop}, max(3, rounds // 2))
    return harness.row(work.name, seconds["scan"], "ours, a Python loop of steps", seconds["loop"], ours_mb=ours.ask(do="memory")["mb"])


def best_settings(peer: harness.Worker, work: Work) -> None:
    """Leave the peer at the fastest of its settings."""
    trials = {}
    for settings in ({"threads": 2, "foreach": True}, {"threads": 2, "foreach": False}, {"threads": 1, "foreach": True}):
        peer.ask(do="settings", **settings)
        peer.ask(do=work.do, steps=1)
        trials[tuple(settings.items())] = min(peer.ask(do=work.do, steps=3)["seconds"])
    peer.ask(do="settings", **dict(min(trials, key=trials.__getitem__)))
    peer.ask(do=work.do, steps=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    python, rows = harness.peer_python(options.peer_python), []
    for work in works():
        if options.only in work.name:
            rows.append(measure(work, python, options.quick))
            print(f"{rows[-1]['work']}: ratio {rows[-1]['ratio']}", file=sys.stderr, flush=True)
    harness.finish("fno_step", rows, options.json, blocks="default = neuraloperator 2.0's own, classic = 1 x 1 bypass only")


if __name__ == "__main__":
    main()
