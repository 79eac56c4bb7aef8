"""Ten thousand mutants of data files, bundles, run settings and checkpoints: none may crash or hang its reader, or be wrongly accepted.

    python experiments/endurance/mutants.py [--preset cpu|smoke] [--count N] [--kinds KIND ...] [--first SEED]
        [--json]
    python experiments/record.py mutants python experiments/endurance/mutants.py --json

A mutant is an original with bits flipped, ranges cut, doubled, zeroed or made of noise, whole files swapped, or JSON edited, the hashes
made to fit again in two of five. It is refused by one line of the package's own errors, or read as the original; where hashes fit it may
also be a valid object of its own. Readers work in a process of their own, so that a crash or a hang is told by the mutant's seed:
`--first SEED --count 1` makes it again.
"""

import json
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.options import arguments

COUNTS = {"smoke": 100, "cpu": 10_000}  # of all kinds together
LIMIT = 20.0  # seconds for one mutant
START = 120.0  # and for the reader's process to start
ROOM = 4 << 30  # bytes that a reader may ask for beyond what it has at its start
NAMES = ("data", "bundle", "config", "checkpoint")
SHOWN = 20


def serve(kind: str, first: int, count: int) -> None:
    """The readers' process: one line a mutant."""
    from _kinds import KINDS  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        made = KINDS[kind](Path(folder))
        made.examine(first)
        status = Path("/proc/self/status").read_text().splitlines()
        taken = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, resource.RLIM_INFINITY))
        print(json.dumps("ready"), flush=True)
        for seed in range(first, first + count):
            print(json.dumps([seed, *made.examine(seed)]), flush=True)


def examined(kind: str, first: int, count: int) -> list[tuple[int, str, str]]:
    """(seed, outcome, what was done) of each mutant, by processes that are replaced where one crashes or hangs."""
    found: list[tuple[int, str, str]] = []
    while len(found) < count:
        seed = first + len(found)
        reader = subprocess.Popen([sys.executable, __file__, "--serve", kind, str(seed), str(count - len(found))], stdout=subprocess.PIPE,
                                  bufsize=0)  # so that no line waits in a buffer, unseen by `select`
        assert reader.stdout is not None
        limit, ready = START, False
        while len(found) < count:
            seen, _, _ = select.select([reader.stdout], [], [], limit)
            line = reader.stdout.readline() if seen else b""
            if not line:
                seed = first + len(found)
                reader.kill()
                code = reader.wait()
                if not ready and seed == first:
                    raise SystemExit(f"the reader's process of {kind} does not start (code {code})")
                found.append((seed, f"WRONG: the reader {'hung' if not seen else f'crashed (code {code})'}", "?"))
                break
            answer = json.loads(line)
            if answer == "ready":
                limit, ready = LIMIT, True
            else:
                found.append((answer[0], answer[1], answer[2]))
        reader.kill()
        reader.wait()
        reader.stdout.close()
    return found


def run(kinds: list[str], count: int, first: int, preset: str) -> dict[str, Any]:
    rows, wrong = [], []
    for i, kind in enumerate(kinds):
        share, began = count // len(kinds) + (i < count % len(kinds)), time.monotonic()
        found = examined(kind, first, share)
        bad = [{"kind": kind, "seed": s, "outcome": outcome, "done": done} for s, outcome, done in found if outcome.startswith("WRONG")]
        outcomes = Counter(outcome for _, outcome, _ in found)
        rows.append({"kind": kind, "mutants": len(found), "refused": outcomes["refused"], "same": outcomes["same content"],
                     "valid": outcomes["valid content of its own"], "wrong": len(bad), "seconds": round(time.monotonic() - began, 1)})
        wrong += bad
        print(rows[-1], file=sys.stderr, flush=True)
    for line in wrong[:SHOWN]:
        print(line, file=sys.stderr, flush=True)
    from pdesurr.workflow import environment

    return {"study": "mutants", "preset": preset, "first": first, "rows": rows, "wrong": wrong, "environment": environment()}


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = arguments(__doc__, COUNTS)
    parser.add_argument("--count", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--kinds", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--first", type=int, default=0, help="the first seed of each kind")
    options = parser.parse_args()
    result = run(options.kinds, options.count or COUNTS[options.preset], options.first, options.preset)
    print(json.dumps(result if options.json else result["rows"], indent=None if options.json else 1))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
