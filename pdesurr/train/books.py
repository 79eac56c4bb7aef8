"""What a checkpoint says of its run beside the weights: how far it came."""

from typing import Any

from pdesurr.checks import CheckpointError

KEYS = {"epoch", "partial", "rollbacks", "history", "resumed_at"}


def check_books(books: Any, step: int, epochs: int, per_epoch: int, segment: int) -> None:
    """Raise `CheckpointError` unless the books are whole and of a state at `step`: `per_epoch` steps an epoch, `segment` of them
    compiled as one; an epoch that a signal cut short has some of its segments in `partial`."""
    if not isinstance(books, dict) or set(books) != KEYS:
        raise CheckpointError(f"a checkpoint's books need {', '.join(sorted(KEYS))}; delete it to start from the one before")
    epoch, partial, history = books["epoch"], books["partial"], books["history"]
    good = all(type(books[name]) is int and books[name] >= 0 for name in ("epoch", "rollbacks", "resumed_at")) and epoch <= epochs
    good = good and all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in (partial, history))
    good = good and [row.get("epoch") for row in history] == list(range(1, epoch + 1))
    if not good or epoch * per_epoch + len(partial) * segment != step:
        raise CheckpointError(f"a checkpoint's books do not fit its weights, those of step {step}; delete it to start from the one before")
