"""Is the gradient the function's? The one test that finds every mistake in it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.checks import require
from pdesurr.types import Key, flattened


def taylor_test(function: Callable[[Any], Any], x: Any, *, key: Key, step: float = 0.01, halvings: int = 4) -> tuple[float, float, float]:
    """The rates at which J(x + h d), and what is left of it after its first and second derivative along d are taken off, fall with
    h = `step`, `step` / 2, ...: 1, 2 and 3 for a smooth J whose derivatives are right (more where one vanishes), each the least of the
    rates between neighbouring h. d: random, of x's size (of norm 1 where x = 0).

    Rates of what is below rounding are left out; not a number where none is above it: take 64 bits, or a larger step.
    """
    require(step > 0 and halvings >= 1, "step, halvings", "a number > 0 and a whole number >= 1", (step, halvings))
    start, back = flattened(jax.tree.map(jnp.asarray, x))
    require(start.size > 0 and bool(jnp.all(jnp.isfinite(start))), "x", "finite numbers, floats", x)
    d = jax.random.normal(key, start.shape, start.dtype)
    size = jnp.linalg.norm(start)
    d = d / jnp.linalg.norm(d) * jnp.where(size > 0, size, 1.0)
    along = lambda h: function(back(start + h * d))  # noqa: E731
    slope = jax.grad(along)
    zero = jnp.zeros((), start.dtype)
    first, value = jax.jit(slope)(zero), jax.jit(along)(zero)
    second = jax.jit(lambda h: jax.jvp(slope, (h,), (jnp.ones_like(h),))[1])(zero)
    h = step / 2 ** jnp.arange(halvings + 1, dtype=start.dtype)
    values = jax.jit(jax.vmap(along))(h) - value
    left = (values, values - h * first, values - h * first - h**2 / 2 * second)
    rounding = 100 * float(jnp.finfo(start.dtype).eps) * max(abs(float(value)), float(jnp.max(jnp.abs(values))))

    def rate(e: Any) -> float:
        sizes = np.abs(np.asarray(e))
        seen = np.flatnonzero(sizes[1:] > rounding)
        return float(np.min(np.log2(sizes[:-1][seen] / sizes[1:][seen]))) if len(seen) else float("nan")

    zeroth, one, two = map(rate, left)
    return zeroth, one, two
