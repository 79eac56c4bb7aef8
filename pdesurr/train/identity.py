"""What makes a run the run that it is: a resume must find the same."""

import hashlib
import re
from typing import Any

import jax
import numpy as np

from pdesurr.checks import UsageError
from pdesurr.types import Objective, describe

ADDRESS = r" at 0x[0-9a-f]+"  # of a function, in a text that must be the same in the next process


def difference(now: dict[str, Any], found: dict[str, Any]) -> str | None:
    """What an earlier run's facts had otherwise, in words; None if nothing (an earlier version's checkpoint says less)."""
    for name, value in now.items():
        old = found.get(name, value)
        if isinstance(value, dict) and isinstance(old, dict):  # name the weight that differs
            part = next((k for k in (*value, *old) if value.get(k) != old.get(k)), None)
            name, old, value = f"{name}{part}", old.get(part), value.get(part)
        if old != value:
            return f"{name} {_short(old)}, not {_short(value)}"
    return None


def fingerprint(source: Any) -> str:
    """sha256 of a source: of its arrays and of everything static about it."""
    leaves, structure = jax.tree.flatten(source)
    digest = hashlib.sha256(re.sub(ADDRESS, "", str(structure)).encode())
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def architecture(model: Any) -> dict[str, Any]:
    """Class and arguments of a model between its normalisers: most are not to be seen in the weights. Empty where it cannot tell."""
    try:
        described = describe(getattr(model, "model", model))
    except UsageError:
        return {}
    return {": class": described["class"], **{f": {name}": value for name, value in described["arguments"].items()}}


def identity_of(objective: Objective) -> str:
    """A function's name, or everything that an object was made with."""
    return getattr(objective, "__qualname__", None) or re.sub(ADDRESS, "", repr(objective))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
