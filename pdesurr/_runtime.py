"""The process around a long job: stop cleanly on a signal, show progress on a terminal, keep a second process out."""

import fcntl
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pdesurr._xla import backend_started
from pdesurr.checks import PdesurrError, UsageError


def device_per_core(most: int) -> None:
    """Let the CPU show up to `most` devices, one a core, for a command whose work is split over devices: many small solves in one
    program keep a single core busy. Nothing happens once jax has started, or where the user chose a number."""
    if not backend_started() and "JAX_NUM_CPU_DEVICES" not in os.environ and "host_platform_device" not in os.environ.get("XLA_FLAGS", ""):
        import jax

        jax.config.update("jax_num_cpu_devices", max(1, min(most, os.cpu_count() or 1)))


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # the last is what SLURM can send before a job's time is up


class Stopped(PdesurrError):
    """The job was asked to stop and has saved what it had: exit code 130 (Ctrl-C), 143 (SIGTERM) or 138 (SIGUSR1)."""

    def __init__(self, signum: int, saved: str):
        super().__init__(f"stopped by {signal.Signals(signum).name}; {saved}")
        self.exit_code = 128 + signum


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Yields `asked() -> signal number or None`. The first Ctrl-C, SIGTERM or SIGUSR1 asks, and is answered on standard error; a
    second one ends the process, whatever compiled program it is in (a notebook's it interrupts when that program returns)."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def handle(signum: int, _: object) -> None:
        if signum == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(signum)

    old = {s: signal.signal(s, handle) for s in STOPS}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_answer, args=(reader,), daemon=True).start()
    try:
        yield lambda: received[0] if received else None
    finally:
        signal.set_wakeup_fd(old_writer)
        os.close(writer)
        for s, handler in old.items():
            signal.signal(s, handler)


def _answer(reader: int) -> None:
    """Read signal numbers as they come: Python's own handlers wait until a compiled program returns."""
    stops, notebook = 0, hasattr(sys, "ps1") or "ipykernel" in sys.modules
    with open(reader, "rb", buffering=0) as pipe:
        while byte := pipe.read(1):
            if byte[0] not in STOPS:
                continue
            stops += 1
            if stops == 1:
                print("pdesurr: stopping as soon as what is under way can be kept; once more to stop at once", file=sys.stderr, flush=True)
            elif not notebook:
                os._exit(128 + byte[0])  # files are written whole or not at all, so nothing is left half done


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Yields `advance(to, note)`: a rich progress bar on standard error if that is a terminal, else a line every half minute."""
    if not sys.stderr.isatty():
        last = [time.monotonic()]

        def report(to: int, note: str) -> None:
            if time.monotonic() - last[0] > 30:
                last[0] = time.monotonic()
                print(f"{label}: {to} of {total} {note}".rstrip(), file=sys.stderr, flush=True)

        yield report
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda to, note: bar.update(task, completed=to, note=note)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process a folder. The lock belongs to the process, so a killed one leaves none behind; the file says who it is, and where."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "that does not say its number"
            raise UsageError(f"{folder} is in use by process {holder}; wait for it, or choose another folder") from None
        except OSError as error:
            raise UsageError(f"{folder} is on a file system that cannot lock files ({error.strerror}); choose another folder") from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node() or 'this machine'}")
        file.flush()
        yield
