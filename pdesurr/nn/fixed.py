"""Numbers that belong to a model and that training must not change."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Int


class Fixed(eqx.Module):
    """float32 numbers (float64 if `double`) held as the bits of integers: gradients, optimisers and weight decay pass over integer arrays,
    while a bundle keeps every array. `value` gives the numbers back, exactly."""

    bits: Int[Array, "..."]

    def __init__(self, value: Float[Array | np.ndarray, "..."], double: bool = False):
        numbers = jnp.asarray(value, jnp.float64 if double else jnp.float32)
        self.bits = lax.bitcast_convert_type(numbers, jnp.int64 if double else jnp.int32)

    @property
    def value(self) -> Float[Array, "..."]:
        return lax.bitcast_convert_type(self.bits, jnp.float64 if self.bits.dtype == jnp.int64 else jnp.float32)

    @property
    def missing(self) -> bool:
        """Whether all of them are NaN; False where they are traced, so that nobody can see. A constant of a traced program is seen."""
        if isinstance(self.bits, Tracer):
            return False
        return bool(np.isnan(np.asarray(self.bits).view(np.float64 if self.bits.dtype == np.int64 else np.float32)).all())


class Frozen(eqx.Module):
    """A whole model none of whose numbers is trained; `model` gives it back."""

    numbers: tuple[Fixed, ...]
    rest: Any
    structure: Any = eqx.field(static=True)

    def __init__(self, model: Any):
        params, self.rest = eqx.partition(model, eqx.is_inexact_array)
        leaves, self.structure = jax.tree.flatten(params)
        self.numbers = tuple(Fixed(v, v.dtype == jnp.float64) for v in leaves)

    @property
    def model(self) -> Any:
        return eqx.combine(jax.tree.unflatten(self.structure, [n.value for n in self.numbers]), self.rest)
