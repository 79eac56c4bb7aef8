"""Fields made of Gaussians: linear in their weights, or a few such channels and a small perceptron (PIG)."""

import math
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Index, Jet, closure
from pdesurr.fields.regions import Numbers
from pdesurr.models.coordinate import AbstractCoordinateModel
from pdesurr.models.features import AbstractFeatureModel
from pdesurr.nn.dense import Dense
from pdesurr.nn.gaussians import Covariance, Gaussians, lattice
from pdesurr.nn.smooth import tanh
from pdesurr.types import Key


class GaussianField(AbstractFeatureModel):
    """u_c(x) = sum_i head_ic g_i(x) with the Gaussians of `nn.gaussians.Gaussians`; means, scales and head trained.

    `spread` is sigma at first, `covariance` "diagonal" or "full". Means start uniform in the box, or on a lattice that fills it a little
    beyond the walls (`lattice`), which linear solves like. Overlap matters more than number: a wide spread with a linear solve beats
    many narrow Gaussians. The published model, `PIG`, sums Gaussians into a few channels of a small perceptron; this is its linear part.
    Source: Kang, Oh, Hong and Park, ICLR 2025.
    """

    head: Float[Array, "gaussians out"]
    gaussians: Gaussians
    spread: float = eqx.field(static=True)
    lattice: bool = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, gaussians: int = 800, spread: float = 0.3, *,
                 lattice: bool = False, covariance: Covariance = "diagonal", key: Key):
        require(min(gaussians, out_channels) > 0, "gaussians, out_channels", "numbers > 0", (gaussians, out_channels))
        mean_key, head_key = jax.random.split(key)
        means = _means(mean_key, gaussians, len(lower), lattice)
        self.gaussians = Gaussians(lower, upper, means, spread, covariance)
        self.spread, self.lattice = spread, lattice
        self.head = 0.01 * jax.random.normal(head_key, (gaussians, out_channels))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {"lower": list(self.gaussians.lower), "upper": list(self.gaussians.upper), "out_channels": self.head.shape[-1],
                "gaussians": self.head.shape[-2], "spread": self.spread, "lattice": self.lattice, "covariance": self.gaussians.covariance}

    def features(self, x: Jet) -> Jet:
        return self.gaussians.table(x)

    def jet(self, x: Jet) -> Jet:
        return self.gaussians.sums(x, self.head)


class PIG(AbstractCoordinateModel):
    """u = perceptron(f_1, ..., f_k), f_c(x) = sum_i w_ci g_ci(x): physics-informed Gaussians. Each of the `channels` has its own Gaussians
    (see `nn.gaussians.Gaussians`); the perceptron has one hidden layer, tanh of `width` numbers. All of it is trained.

    Starts as published: means uniform in the box, sigma = `spread`, weights normal of deviation 0.01. Published: 4 channels, 800 to 4000
    Gaussians each, spread 0.1, diagonal covariance; full covariances were gained by going on from a trained diagonal one, and won on some
    problems only. Derivatives of the channels are closed forms, those of the perceptron carried. Scales stay positive, as published ones
    need not. Source: Kang, Oh, Hong and Park, ICLR 2025.
    """

    gaussians: Gaussians
    weights: Float[Array, "channels gaussians"]
    hidden: Dense
    last: Dense
    spread: float = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, channels: int = 4, gaussians: int = 800,
                 spread: float = 0.1, *, width: int = 16, covariance: Covariance = "diagonal", key: Key):
        sizes = (out_channels, channels, gaussians, width)
        require(min(sizes) > 0, "out_channels, channels, gaussians, width", "numbers > 0", sizes)
        mean_key, weight_key, hidden_key, last_key = jax.random.split(key, 4)
        means = jax.random.uniform(mean_key, (channels, gaussians, len(lower)), minval=-1, maxval=1)
        self.gaussians = Gaussians(lower, upper, means, spread, covariance)
        self.weights = 0.01 * jax.random.normal(weight_key, (channels, gaussians))
        self.hidden, self.last = Dense(channels, width, key=hidden_key), Dense(width, out_channels, key=last_key)
        self.spread = spread

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        channels, gaussians = self.weights.shape
        return {"lower": list(self.gaussians.lower), "upper": list(self.gaussians.upper), "out_channels": self.last.bias.shape[-1],
                "channels": channels, "gaussians": gaussians, "spread": self.spread, "width": self.hidden.bias.shape[-1],
                "covariance": self.gaussians.covariance}

    def channels(self, x: Jet) -> Jet:
        """f `(n, channels)` and derivatives."""
        parts = jax.vmap(lambda g, w: g.sums(x, w[:, None]).parts)(self.gaussians, self.weights)
        return Jet(tuple(p[..., 0].T for p in parts), x.indices)

    def jet(self, x: Jet) -> Jet:
        return self.last(self.hidden(self.channels(x)).map(tanh))


def culled(model: GaussianField | PIG, tolerance: float, indices: Iterable[Index] = ()) -> GaussianField | PIG:
    """The model without the Gaussians that matter least: on the host.

    What a Gaussian can contribute is at most its largest weight times its peak in the box (`Gaussians.peaks`). The least are left out as
    long as the contributions of all that are left out sum to no more than `tolerance`: then values in the box, and the derivatives
    `indices` and all smaller ones, change by no more than `tolerance` (and rounding). Of a `PIG` this holds of each channel before the
    perceptron, and each channel keeps as many as the channel that needs most.
    Raises `UsageError` for other models or a tolerance that is not positive.
    """
    require(isinstance(model, (GaussianField, PIG)), "model", "a GaussianField or a PIG", type(model).__name__)
    require(tolerance > 0 and math.isfinite(tolerance), "tolerance", "a number > 0", tolerance)
    gaussians = model.gaussians
    peaks = np.max([gaussians.peaks(index) for index in closure(indices, len(gaussians.lower))], axis=0)
    size = np.abs(np.asarray(model.weights)) if isinstance(model, PIG) else np.abs(np.asarray(model.head)).max(-1)
    share = peaks * size
    order = np.argsort(share, axis=-1)
    below = np.cumsum(np.take_along_axis(share, order, -1), axis=-1) <= tolerance
    kept = np.sort(order[..., min(int(below.sum(-1).min()), share.shape[-1] - 1) :], axis=-1)  # at least one stays
    take = jax.vmap(lambda a, i: a[i]) if isinstance(model, PIG) else lambda a, i: a[i]
    fewer = jax.tree.map(lambda a: take(a, jnp.asarray(kept)), gaussians)
    where = (lambda m: (m.gaussians, m.weights)) if isinstance(model, PIG) else lambda m: (m.gaussians, m.head)
    weights = model.weights if isinstance(model, PIG) else model.head
    return eqx.tree_at(where, model, (fewer, take(weights, jnp.asarray(kept))))


def _means(key: Key, count: int, dim: int, regular: bool) -> Float[Array, "count d"]:
    uniform = jax.random.uniform(key, (count, dim), minval=-1, maxval=1)
    return jnp.asarray(lattice(count, dim), uniform.dtype) if regular else uniform
