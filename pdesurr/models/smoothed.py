"""A model that sees, beside a field, Gaussian averages of it."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, is_number, require
from pdesurr.fields import AbstractBasis, Grid
from pdesurr.nn.points import Points
from pdesurr.types import Key, Model, Samples, apply, batch_of_one, describe


class Smoothed(eqx.Module):
    """u = model(a, G_1 a, ..., G_k a), with (G_i a)(x) = integral of exp(-|x - y|^2 / (2 l_i^2)) a(y) dy, divided by that of the kernel:
    averages over a distance of `lengths` l_i, in the units of x.

    For models that read a field at few points, such as a graph of them: what lies between these is heard all the same. The `model` is made
    for (1 + k) times the channels of a, all of a first, then all of G_1 a, and so on. Averages commute with a normaliser of one mean and
    scale a channel, which goes around it. Where training asks for a few points of the input (`objectives.SampledL2`), the bare model is
    trained on inputs that have their averages already (`with_averages`, in this file), and wrapped afterwards:

        seen = with_averages(jnp.asarray(data.inputs), data.grid, lengths)                  # (samples, *grid, (1 + k) c)
        i, o = scalers(data)                                                                # pdesurr.workflow
        wide = ChannelScaler(i.mean * (1 + k), i.std * (1 + k))
        result = fit(Scaled(graph, wide, o), ArraySource(seen, data.outputs, data.grid), SampledL2(300), config)
        result.model = Scaled(Smoothed(result.model.model, lengths), i, o)                  # reads a alone; a surrogate as any other

    Values `(*grid, c)` on any grid, by its quadrature weights (n^2 numbers for an axis of n nodes), and at `x` whatever `model` answers.
    Between walls the average is over the box alone; on a periodic axis over the whole line.
    Raises `UsageError` for lengths that are not numbers > 0, and for scattered points in `a`.
    Source: Li et al. (arXiv 2003.03485), whose nodes know a smoothed coefficient.
    """

    model: Model
    lengths: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, model: Model, lengths: tuple[float, ...]):
        require(callable(model), "model", "a model, called as model(a, x)", model)
        self.model, self.lengths = model, check_lengths(lengths)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "lengths": list(self.lengths)}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "batch *points out"]:
        """A batch of samples on one grid: values `(batch, *grid, c)`."""
        if not isinstance(a.points, Grid):
            raise expected("a.points", "a Grid, as averages need the values in between", f"points {a.points.shape}",
                           "an objective of few points trains the bare model on `with_averages` of its inputs, which is wrapped afterwards")
        return apply(self.model, Samples(a.points, with_averages(a.values, a.points, self.lengths), a.params), x, key=key)


def check_lengths(lengths: object) -> tuple[float, ...]:
    """Raise `UsageError` unless they are one number > 0 or more."""
    fits = isinstance(lengths, tuple | list) and len(lengths) > 0 and all(is_number(v) and 0 < v < np.inf for v in lengths)
    require(fits, "lengths", "numbers > 0, as in (0.03, 0.1)", lengths)
    return tuple(float(v) for v in lengths)  # pyright: ignore[reportGeneralTypeIssues]


def with_averages(values: Float[Array, "batch *grid c"], grid: Grid, lengths: tuple[float, ...]) -> Float[Array, "batch *grid more"]:
    """The values and their averages over each length, as further channels. Raises `UsageError` as `Smoothed` does."""
    lengths = check_lengths(lengths)
    require(values.shape[1:-1] == grid.shape, "a.values", f"shape {grid.shape} and channels per sample", values.shape[1:])
    parts = [values]
    for length in lengths:
        v = values
        for axis, basis in enumerate(grid.bases, start=1):
            matrix = jnp.asarray(average(basis, length), values.dtype)
            v = jnp.moveaxis(jnp.tensordot(matrix, v, axes=(1, axis), precision="highest"), 0, axis)
        parts.append(v)
    return jnp.concatenate(parts, axis=-1)


def average(basis: AbstractBasis, length: float) -> Float[np.ndarray, "n n"]:
    """The matrix of Gaussian averages over the nodes of one axis; its rows sum to one. On a periodic axis a wave k keeps its share
    exp(-(k length)^2 / 2), which is what the whole line's average leaves of it."""
    n = len(basis.nodes)
    if basis.periodic:
        share = np.exp(-0.5 * (2 * np.pi / basis.length * np.fft.fftfreq(n, 1 / n) * length) ** 2)
        return np.fft.ifft(share).real[(np.arange(n)[:, None] - np.arange(n)) % n]
    kernel = np.exp(-0.5 * ((basis.nodes[:, None] - basis.nodes) / length) ** 2) * basis.weights
    return kernel / kernel.sum(axis=1, keepdims=True)
