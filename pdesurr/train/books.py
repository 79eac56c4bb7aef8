"""How far a run came: what a checkpoint says of it beside the weights, and the log of its epochs."""

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pdesurr._files import write_text, writing
from pdesurr.checks import CheckpointError
from pdesurr.train.processes import leads

KEYS = {"epoch", "partial", "rollbacks", "resumed_at"}
LONGEST_LOG = 64 << 20  # bytes of a part


def plain(value: Any) -> Any:
    """As JSON has it: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def unplain(value: Any) -> Any:
    """The same back: null is NaN."""
    if isinstance(value, dict):
        return {k: unplain(v) for k, v in value.items()}
    return [unplain(v) for v in value] if isinstance(value, list) else math.nan if value is None else value


def mean_of(values: list[Any]) -> Any:
    """Of those that are finite, member by member; NaN where none is."""
    found = np.asarray(values, float)
    good = np.isfinite(found)
    return (np.where(good, found, 0).sum(0) / np.where(good.any(0), good.sum(0), np.nan)).tolist()


def check_books(books: Any, step: int, epochs: int, per_epoch: int) -> None:
    """Raise `CheckpointError` unless the books are whole and of a state at `step`: `per_epoch` steps an epoch; one that a signal cut short
    has the metrics of its segments in `partial`."""
    if not isinstance(books, dict) or set(books) - {"history"} != KEYS:  # earlier versions kept the log there too
        raise CheckpointError(f"a checkpoint's books need {', '.join(sorted(KEYS))}; delete it to start from the one before")
    epoch, partial = books["epoch"], books["partial"]
    good = all(type(books[name]) is int and books[name] >= 0 for name in ("epoch", "rollbacks", "resumed_at")) and epoch <= epochs
    good = good and isinstance(partial, list) and all(isinstance(row, dict) for row in partial)
    if not good or not 0 <= step - epoch * per_epoch < per_epoch or bool(partial) != (step > epoch * per_epoch):
        raise CheckpointError(f"a checkpoint's books do not fit its weights, those of step {step}; delete it to start from the one before")


class Log:
    """A run's epochs, a line of JSON each: `metrics.jsonl`. A part that has grown long becomes `metrics-0001.jsonl`, `metrics-0002.jsonl`
    and so on. Process 0 writes."""

    def __init__(self, folder: Path, longest: int = LONGEST_LOG):
        self.path, self.longest = folder / "metrics.jsonl", longest

    def append(self, record: dict[str, Any]) -> None:
        if not leads():
            return
        with writing(self.path, CheckpointError, ", the newest checkpoint is intact"), open(self.path, "a") as file:
            file.write(json.dumps(record) + "\n")
            long = file.tell() > self.longest
        if long:
            os.replace(self.path, self.path.with_name(f"metrics-{len(self._parts()) + 1:04d}.jsonl"))

    def flush(self) -> None:
        """Onto the disk, before a checkpoint that leans on it."""
        if leads() and self.path.is_file():
            with writing(self.path, CheckpointError, ", the newest checkpoint is intact"), open(self.path, "a") as file:
                os.fsync(file.fileno())

    def keep(self, epochs: int) -> list[dict[str, Any]]:
        """The records of the first `epochs` epochs; those after are taken out of the files. Warns where some are missing."""
        records: list[dict[str, Any]] = []
        for path in (*self._parts(), self.path):
            lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            good = [line for line in lines if (records[-1]["epoch"] if records else 0) < _epoch(line) <= epochs
                    and records.append(json.loads(line)) is None]
            if len(good) < len(lines) and leads():
                write_text(path, "".join(line + "\n" for line in good))
        if len(records) < epochs:
            warnings.warn(f"{self.path}: the records of {epochs - len(records)} epochs before the checkpoint are missing; the weights are "
                          "whole, the curve is not", stacklevel=2)
        elif leads() and not self.path.is_file():
            write_text(self.path, "")
        return records

    def restart(self, records: list[dict[str, Any]]) -> None:
        """These records and no others."""
        if leads():
            for path in self._parts():
                path.unlink()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, "".join(json.dumps(r) + "\n" for r in records))

    def _parts(self) -> list[Path]:
        return sorted(self.path.parent.glob("metrics-[0-9]*.jsonl"))


def _epoch(line: str) -> int:
    """The epoch that a line is of; 0 if it is none's."""
    try:
        epoch = json.loads(line)["epoch"]
    except (ValueError, TypeError, KeyError):
        return 0
    return epoch if type(epoch) is int else 0
