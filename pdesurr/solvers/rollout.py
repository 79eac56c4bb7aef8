"""Steps into trajectories: loops are written here, once."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax

from pdesurr.checks import require

T = TypeVar("T")


def repeated(step: Callable[[T], T], n: int) -> Callable[[T], T]:
    """`n` steps as one. Reverse-mode differentiable: `n` is static."""
    require(isinstance(n, int) and n >= 0, "n", "a whole number >= 0", n)

    def steps(u: T) -> T:
        return jax.lax.scan(lambda v, _: (step(v), None), u, None, length=n)[0]

    return steps


def checkpointed(step: Callable[[T], T], n: int) -> Callable[[T], T]:
    """`repeated(step, n)` whose gradient holds some 2 sqrt(n) states and one step's insides, where that of `repeated` holds the insides
    of all n steps: blocks of sqrt(n) steps are run again when the gradient comes to them, and each step once more. Source: Griewank, Optim.
    Methods Softw. 1 (1992), with two levels."""
    require(isinstance(n, int) and n >= 0, "n", "a whole number >= 0", n)
    size = max(1, math.isqrt(n))
    block = jax.checkpoint(repeated(jax.checkpoint(step), size))
    whole, rest = repeated(block, n // size), jax.checkpoint(repeated(jax.checkpoint(step), n % size))
    return lambda u: rest(whole(u))


def trajectory(step: Callable[[T], T], n: int, include_start: bool = False) -> Callable[[T], T]:
    """`u -> (u_1 ... u_n)` stacked on a new leading axis, or `(u_0, u_1 ... u_n)` with `include_start`."""
    require(isinstance(n, int) and n >= 1, "n", "a whole number >= 1", n)

    def roll(u: T) -> T:
        def body(v, _):
            w = step(v)
            return w, (v if include_start else w)

        last, states = jax.lax.scan(body, u, None, length=n)
        if not include_start:
            return states
        return jax.tree.map(lambda s, e: jax.numpy.concatenate([s, e[None]]), states, last)

    return roll


def with_filter(step: Callable[[T], T], keep: Callable[[T], T]) -> Callable[[T], T]:
    """Each step followed by `keep`: masks, projections, hyper-viscous filters."""
    return lambda u: keep(step(u))
