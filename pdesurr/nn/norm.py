"""Normalisation over channels, which no resolution enters."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Norm(eqx.Module):
    """At each point, values over channels to mean 0 and variance 1, then a gain and a bias per channel: any resolution."""

    gain: Float[Array, " c"]
    bias: Float[Array, " c"]

    def __call__(self, u: Float[Array, "*points c"]) -> Float[Array, "*points c"]:
        flat = u.reshape(-1, u.shape[-1])
        centred = flat - jnp.mean(flat, axis=1, keepdims=True)
        scaled = centred / jnp.sqrt(jnp.mean(centred**2, axis=1, keepdims=True) + 1e-5)
        return (scaled * self.gain.astype(u.dtype)[None] + self.bias.astype(u.dtype)[None]).reshape(u.shape)
