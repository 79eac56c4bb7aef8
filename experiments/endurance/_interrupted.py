"""Trainings and generations that are killed or asked to stop at random moments."""

import shutil
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
    """One folder, killed again and again, each call resuming what the one before had kept; a new one at the training's end."""
    case = Case("training, kill -9", "resumes each time; in the end the weights of an uninterrupted run, bit for bit")
    killed, run = 0, bench.folder / "killed"
    while killed < bench.sizes.kills:
        anywhere = killed % 5 == 4  # starting up included
        child = bench.start(bench.train("killed")) if anywhere else bench.training("killed")
        time.sleep(bench.random.uniform(0.0, 4.0 if anywhere else 0.4))
        child.send(signal.SIGKILL)
        if child.wait().code != 137:  # it was faster
            bench.finish_training(case, "killed")
            shutil.rmtree(run)
            continue
        killed += 1
        begun, sound = (run / "checkpoints").is_dir(), newest_sound(run)
        case.saw("killed, a sound checkpoint left" if begun and sound else "killed before the first checkpoint" if sound else
                 "killed, no sound checkpoint", sound)
    bench.finish_training(case, "killed")
    return case


def killed_generation(bench: Bench) -> Case:
    """As `killed_training`."""
    case = Case("generation, kill -9", "never a file that is half there; resumes each time; in the end the same bytes")
    killed, out = 0, bench.folder / "killed.h5"
    while killed < bench.sizes.generation_kills:
        anywhere = killed % 5 == 4
        child = bench.start(bench.generate("killed.h5")) if anywhere else bench.generating("killed.h5")
        time.sleep(bench.random.uniform(0.0, 4.0 if anywhere else 0.3))
        child.send(signal.SIGKILL)
        code = child.wait().code
        killed += code == 137
        if out.exists():
            bench.finish_file(case, "killed.h5", "the file was there: ")
            out.unlink()
        elif code == 137:
            case.saw("killed, no file yet", True)
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
