"""Numbers that belong to a model and that training must not change."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


class Fixed(eqx.Module):
    """float32 numbers held as the bits of integers: gradients, optimisers and weight decay pass over integer arrays, while a
    bundle keeps every array. `value` gives the numbers back, exactly."""

    bits: Int[Array, "..."]

    def __init__(self, value: Float[Array | np.ndarray, "..."]):
        self.bits = lax.bitcast_convert_type(jnp.asarray(value, jnp.float32), jnp.int32)

    @property
    def value(self) -> Float[Array, "..."]:
        return lax.bitcast_convert_type(self.bits, jnp.float32)
