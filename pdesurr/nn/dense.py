"""A linear layer on jets."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields.jets import Jet
from pdesurr.types import Key


class Dense(eqx.Module):
    """x W + b, Glorot-normal W, b = 0 at first.

    `factorised`: W = V diag(exp g) with trained V and g, g normal with mean 1 and deviation 0.1 at first and the product as without it:
    random weight factorisation (Wang, Wang, Seidman and Perdikaris, arXiv 2210.01274)."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"]
    log_scale: Float[Array, " o"] | None

    def __init__(self, inputs: int, outputs: int, factorised: bool = False, *, key: Key):
        w_key, g_key = jax.random.split(key)
        self.weight = jax.random.normal(w_key, (inputs, outputs)) * (2 / (inputs + outputs)) ** 0.5
        self.bias = jnp.zeros((outputs,))
        self.log_scale = 1.0 + 0.1 * jax.random.normal(g_key, (outputs,)) if factorised else None
        if self.log_scale is not None:
            self.weight = self.weight / jnp.exp(self.log_scale)[None]

    def __call__(self, x: Jet) -> Jet:
        dtype = x.dtype
        weight = self.weight if self.log_scale is None else self.weight * jnp.exp(self.log_scale)[None]
        return (x @ weight.astype(dtype)).shift(self.bias.astype(dtype)[None])
