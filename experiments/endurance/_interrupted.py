"""Trainings and generations that are killed or asked to stop at random moments."""

import signal
import time
from collections.abc import Iterator

from _cases import NAMES, Bench, Case, newest_sound  # pyright: ignore[reportMissingImports]

STOPPED = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 138}
SOON = 10.0  # seconds within which a signal is answered
AT_ONCE = 3.0


def cases(bench: Bench) -> Iterator[Case]:
    yield killed_training(bench)
    yield killed_generation(bench)
    yield from stopped_training(bench)
    yield stopped_twice(bench)
    yield stopped_generation(bench)


def killed_training(bench: Bench) -> Case:
    """One folder, killed again and again: each call resumes what the one before had kept."""
    case = Case("training, kill -9", "resumes each time; in the end the weights of an uninterrupted run, bit for bit")
    for i in range(bench.sizes.kills):
        child = bench.start(bench.train("killed")) if i % 5 == 4 else bench.training("killed")
        time.sleep(bench.random.uniform(0.0, 4.0 if i % 5 == 4 else 0.4))  # every fifth wherever it is, starting up included
        child.send(signal.SIGKILL)
        ended = child.wait()
        sound = newest_sound(bench.folder / "killed")
        case.saw("killed, a sound checkpoint left" if sound else "killed, no sound checkpoint", sound and ended.code in (137, 0))
    bench.finish_training(case, "killed")
    return case


def killed_generation(bench: Bench) -> Case:
    case = Case("generation, kill -9", "never a file that is half there; resumes each time; in the end the same bytes")
    out = bench.folder / "killed.h5"
    for i in range(bench.sizes.generation_kills):
        child = bench.start(bench.generate("killed.h5")) if i % 5 == 4 else bench.generating("killed.h5")
        time.sleep(bench.random.uniform(0.0, 4.0 if i % 5 == 4 else 0.3))
        child.send(signal.SIGKILL)
        child.wait()
        half = out.exists() and not bench.same_file("killed.h5")
        case.saw("killed, a file half there" if half else "killed, no file yet or all of it", not half)
    bench.finish_file(case, "killed.h5")
    left = [p.name for p in bench.folder.glob("*killed.h5*") if p != out]
    case.saw(f"left over: {', '.join(left)}" if left else "nothing left over", not left)
    return case


def stopped_training(bench: Bench) -> Iterator[Case]:
    for signum, code in STOPPED.items():
        name = f"stopped-{code}"
        case = Case(f"training, {NAMES[signum]}", f"exit code {code} within {SOON:.0f} s, state kept; resumed bit for bit")
        child = bench.training(name)
        time.sleep(bench.random.uniform(0.0, 0.3))
        child.send(signum)
        asked = time.monotonic()
        ended = child.wait()
        good = ended.code == code and time.monotonic() - asked < SOON and "continue with the same command" in ended.last
        case.saw(f"exit code {ended.code}" + (", state kept" if good else f", {ended.last}"), good)
        bench.finish_training(case, name)
        yield case


def stopped_twice(bench: Bench) -> Case:
    case = Case("training, Ctrl-C twice", f"exit code 130 at once (within {AT_ONCE:.0f} s); resumed bit for bit")
    child = bench.training("twice")
    child.send(signal.SIGINT)
    time.sleep(0.002)
    child.send(signal.SIGINT)
    asked = time.monotonic()
    ended = child.wait()
    case.saw(f"exit code {ended.code}", ended.code == 130 and time.monotonic() - asked < AT_ONCE)
    bench.finish_training(case, "twice")
    return case


def stopped_generation(bench: Bench) -> Case:
    case = Case("generation, SIGTERM", f"exit code 143 within {SOON:.0f} s, what was solved is kept; the same bytes")
    child = bench.generating("stopped.h5")
    child.send(signal.SIGTERM)
    asked = time.monotonic()
    ended = child.wait()
    good = ended.code == 143 and time.monotonic() - asked < SOON and "are kept" in ended.last
    case.saw(f"exit code {ended.code}" + (", samples kept" if good else f", {ended.last}"), good)
    bench.finish_file(case, "stopped.h5")
    return case
