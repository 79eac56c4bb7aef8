"""Normalisers that travel with the model: per channel, so that they mean the same at every resolution."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.data.dataset import Dataset
from pdesurr.types import Key, Model, Samples, apply


class ChannelScaler(eqx.Module):
    """x -> (x - mean) / std for each channel, one number each for all nodes. The numbers are static: training leaves them alone.
    Raises `UsageError` for values of another number of channels."""

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
        require(like.shape[-1] == len(numbers), "values", f"{len(numbers)} channels, one for each number of the normaliser", like.shape)
        return jnp.asarray(numbers, like.dtype).reshape((1,) * (like.ndim - 1) + (-1,))


def fit_scaler(values: Float[np.ndarray, "*rest c"], centre: bool = True) -> ChannelScaler:
    """Mean and standard deviation of each channel over samples and nodes; a constant channel keeps its scale.

    `centre=False` scales about zero, which keeps a symmetry u -> -u.
    """
    flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    mean = flat.mean(0) if centre else np.zeros(flat.shape[1])
    std = np.sqrt(((flat - mean) ** 2).mean(0))
    return ChannelScaler(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def pooled_scalers(inputs: Float[np.ndarray, "n *grid c_in"], outputs: Float[np.ndarray, "n *grid c_out"], components: int = 1,
                   centre: bool = True, steps: int | None = None) -> tuple[ChannelScaler, ChannelScaler]:
    """Scalers of an evolution: each component has one mean and standard deviation for all its records, inputs and outputs together.

    What a model then answers, scaled, may be its next input, as in a `RollOut`. Channels are record after record, the components of each
    side by side. `steps`: records that the model answers, if not all of `outputs`: 1 for a one-step model. `centre` as in
    `fit_scaler`. Raises `UsageError` for channels that are not whole records.
    """
    widths = tuple(v.shape[-1] for v in (inputs, outputs))
    whole = components >= 1 and all(w % components == 0 for w in widths)
    require(whole, "inputs, outputs", f"whole records of {components} channels", widths)
    means, stds = [], []
    for i in range(components):
        records = [v[..., k] for v, w in zip((inputs, outputs), widths, strict=True) for k in range(i, w, components)]
        count = sum(r.size for r in records)
        mean = sum(float(np.sum(r, dtype=np.float64)) for r in records) / count if centre else 0.0
        square = sum(float(np.sum((r.astype(np.float64) - mean) ** 2)) for r in records) / count
        means.append(mean)
        stds.append(square**0.5 if square > 0 else 1.0)
    records_out = widths[1] // components if steps is None else steps
    scaler = lambda records: ChannelScaler(tuple(means) * records, tuple(stds) * records)  # noqa: E731
    return scaler(widths[0] // components), scaler(records_out)


def encoded(data: Dataset, scalers: tuple[ChannelScaler, ChannelScaler]) -> Dataset:
    """Data as a model between these normalisers of input and output sees them."""
    inputs, outputs = (np.asarray(s.encode(jnp.asarray(v))) for s, v in zip(scalers, (data.inputs, data.outputs), strict=True))
    return dataclasses.replace(data, inputs=inputs, outputs=outputs)


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
