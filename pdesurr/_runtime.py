"""The process around a long job: stop cleanly on a signal, show progress on a terminal, keep a second process out."""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pdesurr.checks import PdesurrError, UsageError


class Stopped(PdesurrError):
    """The job was asked to stop and has saved what it had: exit code 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, signum: int, saved: str):
        super().__init__(f"stopped by {signal.Signals(signum).name}; {saved}")
        self.exit_code = 128 + signum


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Yields `asked() -> signal number or None`. The first SIGTERM or Ctrl-C asks; a second Ctrl-C interrupts at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def handle(signum: int, _: object) -> None:
        if signum == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(signum)

    old = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else None
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Yields `advance(to, note)`: a rich progress bar on standard error if that is a terminal, nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda to, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda to, note: bar.update(task, completed=to, note=note)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process a folder. The lock belongs to the process, so a killed one leaves none behind."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UsageError(f"{folder} is in use by process {holder}; wait for it, or choose another folder") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
