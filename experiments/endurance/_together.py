"""Two runs on one folder, and a run of two processes of which one dies."""

import json
import signal
import socket
import time
from collections.abc import Iterator

from _cases import Bench, Case, Child  # pyright: ignore[reportMissingImports]

EPOCHS, SLOW = 12, 0.05
SOON, PATIENCE = 20.0, 30.0  # seconds within which a death, and a silence, is noticed
MARGIN = 30.0


def cases(bench: Bench) -> Iterator[Case]:
    yield second_training(bench)
    yield second_generation(bench)
    yield stale_lock(bench)
    if bench.sizes.processes:
        yield from one_of_two(bench)


def second_training(bench: Bench) -> Case:
    case = Case("two trainings in one folder", "the second is refused at once, exit code 2, told by whom; the first ends undisturbed")
    first = bench.training("shared")
    second = bench.run(bench.train("shared"))
    good = second.code == 2 and second.clear and f"in use by process {first.process.pid}" in second.last
    case.saw("second refused" if good else f"code {second.code}, {second.last[:200]}", good)
    first.wait()
    case.saw(*(("first undisturbed", True) if bench.same_training("shared") else ("first disturbed", False)))
    return case


def second_generation(bench: Bench) -> Case:
    case = Case("two generations of one file", "the second is refused at once, exit code 2, told by whom; the first ends undisturbed")
    first = bench.generating("shared.h5")
    first.send(signal.SIGSTOP)  # so that it is still there when the second comes
    second = bench.run(bench.generate("shared.h5"))
    first.send(signal.SIGCONT)
    good = second.code == 2 and second.clear and f"in use by process {first.process.pid}" in second.last
    case.saw("second refused" if good else f"code {second.code}, {second.last[:200]}", good)
    first.wait()
    case.saw(*(("first undisturbed", True) if bench.same_file("shared.h5") else ("first disturbed", False)))
    return case


def stale_lock(bench: Bench) -> Case:
    case = Case("a lock left by a killed process", "recognised as nobody's; resumed bit for bit")
    child = bench.training("stale")
    child.send(signal.SIGKILL)
    child.wait()
    left = (bench.folder / "stale" / ".lock").read_text().startswith(str(child.process.pid))
    case.saw("lock file with the dead one's number" if left else "no lock file", left)
    bench.finish_training(case, "stale")
    return case


def pair(bench: Bench, name: str) -> list[Child]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    return [bench.fit(name, join=[address, 2, i], epochs=EPOCHS, slow=SLOW) for i in (0, 1)]


def both(bench: Bench, name: str) -> list[dict]:
    """What two processes found that ran to the end; nothing if one failed."""
    ended = [child.wait() for child in pair(bench, name)]
    return [json.loads(e.out.strip().splitlines()[-1]) for e in ended] if all(e.code == 0 for e in ended) else []


def one_of_two(bench: Bench) -> Iterator[Case]:
    whole = both(bench, "pair-whole")
    ends = (("the one that writes, kill -9", 0, signal.SIGKILL, SOON), ("the other, kill -9", 1, signal.SIGKILL, SOON),
            ("the other falls silent (SIGSTOP)", 1, signal.SIGSTOP, PATIENCE + MARGIN))
    for name, victim, signum, limit in ends:
        again = "; both started again resume bit for bit" if signum == signal.SIGKILL else ""
        case = Case(f"one of two processes: {name}", f"the one left ends within {limit:.0f} s, not with 0, and says why{again}")
        folder = f"pair-{victim}-{int(signum)}"
        log, children = bench.folder / folder / "metrics.jsonl", pair(bench, folder)
        children[0].until(lambda log=log: log.exists() and log.read_text().count("\n") >= 2)
        children[victim].send(signum)
        began = time.monotonic()
        ended = children[1 - victim].wait(limit + MARGIN)
        seconds = time.monotonic() - began
        children[victim].send(signal.SIGKILL)
        children[victim].wait()
        words = ("another of the 2 processes has ended", "another task died", "stopped sending heartbeats")
        good = ended.code in (1, 134) and seconds < limit and any(w in ended.error for w in words)
        said = f"the one left ended in time with code {ended.code}, said why"
        case.saw(said if good else f"{ended.code} after {seconds:.0f} s, {ended.last[:200]}", good)
        if signum == signal.SIGSTOP:
            yield case
            continue
        again = both(bench, folder)
        same = bool(again) and [a["weights"] for a in again] == [w["weights"] for w in whole] and all(
            1 <= a["resumed_at"] < EPOCHS for a in again)
        case.saw("resumed, bit-identical" if same else f"another result {again}", same)
        yield case
