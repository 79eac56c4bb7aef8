"""L-BFGS with a strong Wolfe line search, both Optax's, as one compiled run."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def lbfgs(function: Callable[[Array], Array], x: Float[Array, " n"], steps: int, memory: int = 20,
          search_steps: int = 25) -> tuple[Float[Array, " n"], Float[Array, " s"]]:
    """`steps` steps that minimise `function`. Compile me. Returns x, and the values before the first step and after each.

    A step along which the value cannot fall is not taken. Memory: 2 n `memory`.
    Source: Liu and Nocedal, Math. Program. 45 (1989); line search: Nocedal and Wright, algorithms 3.5 and 3.6."""
    search = optax.scale_by_zoom_linesearch(search_steps, initial_guess_strategy="one")
    optimiser = optax.lbfgs(memory_size=memory, linesearch=search)
    before, slope = jax.value_and_grad(function)(x)

    def step(carry: Any, _: None) -> tuple[Any, Array]:
        x, value, gradient, state = carry
        with jax.numpy_dtype_promotion("standard"):
            move, state = optimiser.update(gradient, state, x, value=value, grad=gradient, value_fn=function)
        found: Any = state[-1]  # pyright: ignore[reportIndexIssue]
        fell = jnp.isfinite(found.value) & jnp.all(jnp.isfinite(found.grad)) & (found.value < value)
        keep = lambda new, old: jnp.where(fell, new.astype(old.dtype), old)  # noqa: E731
        new = (keep(x + jnp.asarray(move, x.dtype), x), keep(found.value, value), keep(found.grad, gradient))
        return (*new, state), new[1]

    (x, *_), values = jax.lax.scan(step, (x, before, slope, optimiser.init(x)), None, length=steps)
    return x, jnp.concatenate([before[None], values])
