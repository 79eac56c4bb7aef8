"""Errors that teach: what was required, what came, what to do. One exception type per boundary."""

import math
from numbers import Integral, Real
from typing import Any

LONGEST = 300  # characters of a value in a message


class PdesurrError(Exception):
    """Base of every error this package raises on purpose; the command line prints it as one line and exits 1. `result`: what was found
    all the same, which `--json` prints."""

    exit_code = 1

    def __init__(self, *words: object, result: Any = None):
        super().__init__(*words)
        self.result = result


class UsageError(PdesurrError, ValueError):
    """An argument or option outside what is allowed; the command line exits 2."""

    exit_code = 2


class DatasetError(PdesurrError):
    """A data file that is missing, damaged, hostile or not what it claims to be."""


class BundleError(PdesurrError):
    """A surrogate bundle that is missing, damaged, hostile or not what it claims to be."""


class CheckpointError(PdesurrError):
    """A run folder whose state cannot be used."""


class DivergedError(PdesurrError):
    """A solver or a training left the finite numbers."""


def expected(what: str, required: str, received: Any, fix: str = "") -> UsageError:
    """`expected(...)` builds the message; the caller raises it: `raise expected("nu", "a number > 0", nu)`."""
    text = f"{what}: expected {required}, received {_shown(received)}"
    return UsageError(text + (f"; {fix}" if fix else ""))


def _shown(value: Any) -> str:
    """A value as a reader would write it, on one line; its type where that does not show it, of an array its shape. A text with spaces
    is a description."""
    if isinstance(value, str) and " " in value:
        return value
    shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", None)
    if shape and dtype is not None:
        return f"an array of shape {tuple(shape)}, {dtype}"
    text = " ".join(repr(value).split())
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, list, dict))
    return text if plain else f"{text} ({type(value).__name__})"


def require(condition: bool, what: str, required: str, received: Any, fix: str = "") -> None:
    """Raise `UsageError` unless `condition` holds."""
    if not condition:
        raise expected(what, required, received, fix)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, Python's or NumPy's, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def require_counts(**named: Any) -> None:
    """Raise `UsageError` naming the first that is no whole number > 0."""
    for name, value in named.items():
        require(is_whole(value) and value > 0, name, "a whole number > 0", value)


def require_list_of_counts(**named: Any) -> None:
    """Raise `UsageError` naming the first that is no tuple or list of whole numbers > 0, one at least."""
    for name, value in named.items():
        fits = isinstance(value, tuple | list) and len(value) > 0 and all(is_whole(v) and v > 0 for v in value)
        require(fits, name, "whole numbers > 0, as in (64,) or (32, 64)", value)
