"""Nonlinearities by name, the GELU's derivative written for speed."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


@jax.checkpoint
def gelu(v: Float[Array, "..."]) -> Float[Array, "..."]:
    """v Phi(v), Phi the normal distribution function: the exact GELU, not the tanh fit. For the backward pass only `v` is
    kept: its derivative costs less to compute again than to write and read."""
    return 0.5 * v * (1.0 + _erf(v * 0.5**0.5))


# The derivative by hand: jax 0.12's own for `erf` raises inside `shard_map` ("polynomial requires varying manual axes to match").
_erf = jax.custom_jvp(lambda v: lax.erf(v))


@_erf.defjvp
def _erf_jvp(primals, tangents):
    (v,), (dv,) = primals, tangents
    return _erf(v), dv * (jnp.exp(-v * v) * (2 * math.pi**-0.5))


Activation = Literal["gelu", "relu", "tanh"]
ACTIVATIONS = {"gelu": gelu, "relu": jax.nn.relu, "tanh": jnp.tanh}
