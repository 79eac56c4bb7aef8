"""Runs that are killed, stopped, starved of disk space, damaged, poisoned and doubled: does each end as documented?

    python experiments/endurance/endurance.py [--preset cpu|smoke] [--out FOLDER] [--only SUBSTRING] [--seed 0] [--json]
    python experiments/record.py endurance python experiments/endurance/endurance.py --json

Everything is the command line itself (or, for what has no command, a call of `fit`) in processes of its own. A line tells what is expected
and what was observed; the exit code is 1 where they differ. Full disks are a tmpfs where mounting is allowed, else a limit on the size of
the child's files.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import _damaged  # pyright: ignore[reportMissingImports]
import _interrupted  # pyright: ignore[reportMissingImports]
import _together  # pyright: ignore[reportMissingImports]
from _cases import PRESETS, Bench  # pyright: ignore[reportMissingImports]

from experiments.options import arguments, as_folder

TOPICS = {"interrupted": _interrupted, "damaged": _damaged, "together": _together}


def run(preset: str, folder: Path, only: str, seed: int) -> dict[str, Any]:
    bench, rows = Bench(folder, PRESETS[preset], seed), []
    for topic, module in TOPICS.items():
        if only not in topic:
            continue
        began = time.monotonic()
        for case in module.cases(bench):
            rows.append({"topic": topic, **case.row(), "seconds": round(time.monotonic() - began, 1)})
            began = time.monotonic()
            print(f"{'ok   ' if rows[-1]['ok'] else 'WRONG'} {rows[-1]['case']}: {rows[-1]['observed']}", file=sys.stderr, flush=True)
    from pdesurr.workflow import environment

    return {"study": "endurance", "preset": preset, "seed": seed, "rows": rows, "environment": environment()}


def main() -> int:
    parser = arguments(__doc__, PRESETS)
    parser.add_argument("--out", type=as_folder, default=None, help="a new folder to work in (default: a temporary one)")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = run(options.preset, (options.out or Path(scratch)).resolve() / "endurance", options.only, options.seed)
    print(json.dumps(result if options.json else result["rows"], indent=None if options.json else 1))
    return 0 if all(row["ok"] for row in result["rows"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
