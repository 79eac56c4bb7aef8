"""Operator splitting: two flows that are each known exactly, in turn."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Flow = Callable[[T, float], T]


def strang(first: Flow[T], second: Flow[T], dt: float) -> Callable[[T], T]:
    """One step of size `dt` of u_t = A u + B u: half of A's flow, B's, half of A's; second order (Strang, SIAM J. Numer. Anal.
    5, 1968). `first(u, t)` and `second(u, t)` advance `u` by a time `t`."""
    return lambda u: first(second(first(u, dt / 2), dt), dt / 2)
