"""Normalisers that travel with the model: per channel, so that they mean the same at every resolution."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.types import Key, Model, Samples, apply


class ChannelScaler(eqx.Module):
    """x -> (x - mean) / std for each channel, one number each for all nodes. The numbers are static: training leaves them alone."""

    mean: tuple[float, ...] = eqx.field(static=True)
    std: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self):
        require(len(self.mean) == len(self.std), "std", f"{len(self.mean)} numbers, one per channel", self.std)
        require(all(s > 0 for s in self.std), "std", "numbers > 0", self.std)

    def encode(self, x: Float[Array, "*rest c"]) -> Float[Array, "*rest c"]:
        return (x - self._row(self.mean, x)) / self._row(self.std, x)

    def decode(self, y: Float[Array, "*rest c"]) -> Float[Array, "*rest c"]:
        return y * self._row(self.std, y) + self._row(self.mean, y)

    @staticmethod
    def _row(numbers: tuple[float, ...], like: Array) -> Array:
        return jnp.asarray(numbers, like.dtype).reshape((1,) * (like.ndim - 1) + (-1,))


def fit_scaler(values: Float[np.ndarray, "*rest c"], centre: bool = True) -> ChannelScaler:
    """Mean and standard deviation of each channel over samples and nodes; a constant channel keeps its scale.

    `centre=False` scales about zero, which keeps a symmetry u -> -u.
    """
    flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    mean = flat.mean(0) if centre else np.zeros(flat.shape[1])
    std = np.sqrt(((flat - mean) ** 2).mean(0))
    return ChannelScaler(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


class Scaled(eqx.Module):
    """A model between two normalisers: decode(model(encode(a))). It is itself a model, in physical units."""

    model: Model
    input: ChannelScaler
    output: ChannelScaler

    def __call__(self, a: Samples, x=None, *, key: Key | None = None) -> Array:
        encoded = Samples(a.points, self.input.encode(a.values), a.params)
        return self.output.decode(self.model(encoded, x, key=key))

    def batched(self, a: Samples, x=None, *, key: Key | None = None) -> Array:
        encoded = Samples(a.points, self.input.encode(a.values), a.params)
        return self.output.decode(apply(self.model, encoded, x, key=key))
