"""What every benchmark shares: alternating medians, the fixed output form, the machine in words, a peer in its own process."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

COLUMNS = ("work", "ours_s", "peer", "peer_s", "ratio", "ours_error", "peer_error", "ours_mb", "peer_mb")

# glibc keeps large buffers between steps instead of returning them to the kernel, and asks for huge pages: the best setting
# for every CPU peer too.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# Threads of the run before may spin for a while in wait for more work (OpenMP's do for 0.2 s) and would slow the next one.
SETTLE = 0.5


def row(work: str, ours_s: float, peer: str | None = None, peer_s: float | None = None, **errors_and_mb: float | None) -> dict:
    """One row of the fixed form; what was not measured is None."""
    unknown = set(errors_and_mb) - set(COLUMNS[5:])
    if unknown:
        raise ValueError(f"unknown columns {sorted(unknown)}, expected some of {COLUMNS[5:]}")
    ratio = None if peer_s is None else peer_s / ours_s
    return dict.fromkeys(COLUMNS) | {"work": work, "ours_s": ours_s, "peer": peer, "peer_s": peer_s, "ratio": ratio} | errors_and_mb


def alternate(runs: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
    """Median seconds per name. The runs take turns, so that a slow spell of a shared machine hits all of them. A run that
    returns a float has timed itself (a peer in another process); anything else is timed here, results waited for."""
    times: dict[Any, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(SETTLE)
            start = time.perf_counter()
            result = run()
            wait(result)
            times[name].append(result if isinstance(result, float) else time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def in_precision(function: Callable, argument: Any, precision: str) -> Callable[[], Any]:
    """A call without arguments that converts its argument and runs in that precision, whatever the caller's."""
    import jax

    with jax.enable_x64(precision == "float64"):
        given = jax.numpy.asarray(argument, precision)

    def run() -> Any:
        with jax.enable_x64(precision == "float64"):
            return jax.block_until_ready(function(given))

    run()
    return run


def wait(result: Any) -> None:
    """Block until asynchronous results are there."""
    if "jax" in sys.modules:
        sys.modules["jax"].block_until_ready(result)


def peak_mb() -> float | None:
    """Peak resident memory of this process so far; None where /proc does not tell. (`getrusage` would count the parent's too.)"""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found.group(1)) / 1024 if found else None


def machine() -> dict[str, Any]:
    """What a reader needs to judge a time: processor, cores, versions. No host name and no path."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        cpu = found.group(1).strip() if found else cpu
    described = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.system(), "python": platform.python_version()}
    described["jax"] = version("jax")
    if "jax" in sys.modules:
        described["device"] = sys.modules["jax"].devices()[0].device_kind
    return described


def finish(benchmark: str, rows: Sequence[dict], as_json: bool, **more: Any) -> None:
    """Print the rows: one JSON object on the last line, or a table."""
    if as_json:
        print(json.dumps({"benchmark": benchmark, "machine": machine(), **more, "rows": list(rows)}))
        return
    text = [COLUMNS] + [tuple(_cell(r[c]) for c in COLUMNS) for r in rows]
    widths = [max(len(line[i]) for line in text) for i in range(len(COLUMNS))]
    for line in text:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(json.dumps({"machine": machine(), **more}))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def add_options(parser: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="only works whose name contains this")
    parser.add_argument("--peer-python", default=None, metavar="PATH", help="python of the peers' environment (`make peers`)")


def peer_python(given: str | None) -> str | None:
    """The peers' interpreter: the option, else PDESURR_PEER_PYTHON, else .venv-peer in the repository; None if there is none."""
    chosen = given or os.environ.get("PDESURR_PEER_PYTHON")
    if chosen:
        if not Path(chosen).exists():
            raise SystemExit(f"no python at {chosen}: make one with `make peers`, then give .venv-peer/bin/python")
        return chosen
    default = Path(__file__).resolve().parents[2] / ".venv-peer" / "bin" / "python"
    return str(default) if default.exists() else None


class Worker:
    """A process that reads one JSON command a line and answers one JSON line; it waits without using the processor."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None):
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")} | (environment or {})
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the worker ended while asked for {command.get('do')!r}; its own message stands above")

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def serve(commands: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """The worker's side: answer commands until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(commands[request.pop("do")](**request)), flush=True)
