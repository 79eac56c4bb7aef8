"""What a training is at one moment: all of it, so that a resumed run is the same run."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from pdesurr.types import Key


class TrainState(eqx.Module):
    """`params` are the model's trainable arrays; `ema` their running mean, which is what is validated; `best` the `ema` with the
    lowest validation error so far. `step` is also the data's cursor. `bad_steps` counts updates dropped because the loss or
    the gradient was not finite, `first_bad` is the first one's number (-1: none)."""

    params: PyTree
    opt_state: PyTree
    ema: PyTree
    best: PyTree
    best_metric: Float[Array, ""]
    best_step: Int[Array, ""]
    step: Int[Array, ""]
    key: Key
    learning_rate: Float[Array, ""]
    bad_steps: Int[Array, ""]
    first_bad: Int[Array, ""]

    @staticmethod
    def create(params: PyTree, optimiser: optax.GradientTransformation, key: Key, learning_rate: float | Array) -> "TrainState":
        copy = lambda tree: jax.tree.map(jnp.copy, tree)  # noqa: E731 - donated buffers must not be shared
        zero = lambda: jnp.zeros((), jnp.int32)  # noqa: E731
        return TrainState(copy(params), optimiser.init(params), copy(params), copy(params), jnp.asarray(jnp.inf, jnp.float32),
                          zero(), zero(), key, jnp.asarray(learning_rate, jnp.float32), zero(), zero() - 1)


def select(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """`new` where the condition holds, else `old`, for whole pytrees, keys included."""
    return jax.tree.map(lambda n, o: jax.lax.select(condition, n, o) if jnp.ndim(n) == 0 else jnp.where(condition, n, o), new, old)
