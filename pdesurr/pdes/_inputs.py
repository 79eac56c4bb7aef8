"""What every equation asks of its numbers, states and times. What is traced is not looked at: there the caller checks."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from pdesurr.checks import require


@contextlib.contextmanager
def looked_at(*values: Any) -> Iterator[bool]:
    """Whether all arrays in `values` are concrete; inside the block they can be computed with, also under someone else's jit."""
    with jax.ensure_compile_time_eval():
        yield not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def require_numbers(owner: Any, *names: str, zero: bool = False) -> None:
    """Raise `UsageError` unless the attributes of these names are finite and > 0, or >= 0 with `zero`."""
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, Tracer):
            continue
        number = np.asarray(value)  # numpy's: equations are made when this package is imported, which must not start jax
        good = number.dtype.kind in "iuf" and bool(np.all(np.isfinite(number) & ((number >= 0) if zero else (number > 0))))
        require(good, name, f"a number {'>=' if zero else '>'} 0", value)


def require_state(a: Any, shape: tuple[int, ...]) -> Array:
    """A state as an array of the precision that is switched on. Raises `UsageError` unless it is one finite sample of that shape."""
    a = jnp.asarray(a)
    require(a.shape == shape, "a", f"one sample of shape {shape}", a.shape, "for a batch use jax.vmap")
    with looked_at(a) as concrete:
        require(not concrete or bool(jnp.all(jnp.isfinite(a))), "a", "finite values", "NaN or infinity")
    return a


def require_times(times: tuple[float, ...]) -> None:
    """Raise `UsageError` unless there are times, and they are finite, >= 0 and increasing."""
    require(isinstance(times, tuple | list), "times", "a tuple of numbers, such as (0.5, 1.0)", times)
    increasing = all(s < t for s, t in zip((-1e-300, *times), times, strict=False))
    require(increasing and len(times) > 0 and math.isfinite(times[-1]), "times", "increasing finite numbers >= 0", times)
