"""A multi-layer perceptron over rows."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.nn.activation import ACTIVATIONS, Activation
from pdesurr.types import Key


def rows(linear: eqx.nn.Linear, v: Float[Array, "n in"]) -> Float[Array, "n out"]:
    """A linear layer at every row, in the rows' precision."""
    u = v @ linear.weight.T.astype(v.dtype)
    return u if linear.bias is None else u + linear.bias.astype(v.dtype)[None]


def at_points(linear: eqx.nn.Linear, v: Float[Array, "*points i"]) -> Float[Array, "*points o"]:
    """A linear layer at every point."""
    return rows(linear, v.reshape(-1, v.shape[-1])).reshape(*v.shape[:-1], -1)


class MLP(eqx.Module):
    """Linear layers of the given `sizes` (input, hidden ..., output) with an activation between them, none after the last.
    Uniform(+-1/sqrt(in)) at first. Raises `UsageError` for an unknown activation or fewer than two sizes."""

    layers: tuple[eqx.nn.Linear, ...]
    activation: Activation = eqx.field(static=True)

    def __init__(self, sizes: Sequence[int], activation: Activation = "gelu", *, key: Key):
        require(activation in ACTIVATIONS, "activation", f"one of {', '.join(ACTIVATIONS)}", activation)
        require(len(sizes) > 1 and min(sizes) > 0, "sizes", "two numbers > 0 or more", tuple(sizes))
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(eqx.nn.Linear(i, o, key=k) for i, o, k in zip(sizes[:-1], sizes[1:], keys, strict=True))
        self.activation = activation

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers."""
        return [layer.weight.shape[-2] for layer in self.layers[:-1]]

    def features(self, v: Float[Array, "n in"]) -> Float[Array, "n hidden"]:
        """What the last layer is given."""
        for layer in self.layers[:-1]:
            v = ACTIVATIONS[self.activation](rows(layer, v))
        return v

    def __call__(self, v: Float[Array, "n in"]) -> Float[Array, "n out"]:
        return rows(self.layers[-1], self.features(v))
