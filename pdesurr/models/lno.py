"""The low-rank neural operator, on grids and on scattered points, in any number of dimensions."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require, require_counts, require_list_of_counts
from pdesurr.nn import coordinates
from pdesurr.nn.activation import ACTIVATIONS, Activation
from pdesurr.nn.cloud import known_at
from pdesurr.nn.coordinates import Period
from pdesurr.nn.mlp import MLP, rows
from pdesurr.nn.points import Points, elsewhere, flat, measure, unflat
from pdesurr.types import Key, Samples


class LowRankLayer(eqx.Module):
    """(v_o)(x) = sum_{r, i} phi_roi(z(x)) c_roi + (W v)_o(x) + b_o, with c_roi = mean over y of psi_roi(z(y)) v_i(y).

    The integral `c` is taken first and expanded second: O(n) in the number of points, though the kernel
    sum_r phi_roi(z(x)) psi_roi(z(y)) couples all of them. phi and psi end in a linear layer, which therefore acts on the integral of
    their last hidden layers, not at every point: rank * width times fewer products.
    """

    phi: MLP
    psi: MLP
    skip: eqx.nn.Linear
    rank: int = eqx.field(static=True)

    def __init__(self, features: int, width: int, rank: int, hidden: tuple[int, ...], activation: Activation, *, key: Key):
        keys = jax.random.split(key, 3)
        sizes = (features, *hidden, width * width * rank)
        self.phi, self.psi = MLP(sizes, activation, key=keys[0]), MLP(sizes, activation, key=keys[1])
        self.skip = eqx.nn.Linear(width, width, key=keys[2])
        self.rank = rank

    def integrate(self, z: Float[Array, "n f"], v: Float[Array, "n w"], weights: Float[Array, " n"]) -> Float[Array, "r w w"]:
        """The numbers c_roi."""
        h, last = self._parted(self.psi, z)
        return jnp.einsum("hroi,hi->roi", last, h.T @ (v * weights[:, None]))

    def expand(self, z: Float[Array, "m f"], v: Float[Array, "m w"], c: Float[Array, "r w w"]) -> Float[Array, "m w"]:
        """The layer's values where `z` and `v` are known."""
        h, last = self._parted(self.phi, z)
        return h @ jnp.einsum("hroi,roi->ho", last, c) + rows(self.skip, v)

    def _parted(self, perceptron: MLP, z: Float[Array, "n f"]) -> tuple[Float[Array, "n h"], Float[Array, "h r w w"]]:
        """Its last hidden layer with a one for the bias, and its last layer."""
        h, last, width = perceptron.features(z), perceptron.layers[-1], self.skip.weight.shape[-1]
        assert last.bias is not None
        matrix = jnp.concatenate([last.weight.T, last.bias[None]]).astype(z.dtype)
        return jnp.concatenate([h, jnp.ones_like(h[:, :1])], 1), matrix.reshape(-1, self.rank, width, width)


class LNO(eqx.Module):
    """u = Q (L_depth o ... o L_1) P(z), z = (x, a(x)): lifting P and head Q act at each point, and each layer has a kernel of
    low rank,

        v -> gelu(K v + W v + b),    (K v)(x) = sum_{r < rank} phi_r(z(x)) <psi_r(z), v>,    <,> the mean over the domain

    (no activation in the last layer). phi and psi are perceptrons with width^2 * rank outputs: one number per pair of channels.
    The mean is by the grid's quadrature weights; on scattered points all count alike.

    Shapes: values `(*grid, in_channels)` or `(n, in_channels)`, to values `(..., out_channels)` at `x`. Reads no `a.params`.
    Good values: width 32, rank 4 in one dimension and 1 in two, depth 4, kernel (64, 128, 256).
    `period`: per axis the period of x, or None: such an axis enters by cosine and sine. Boxes of size about 1 suit the others.
    `x`: the input's points (also None), or any others. The layers need a(x) there: on a grid whose bases have a transform it is
    the expansion's value; on other grids and on scattered points it is interpolated from the 2^d nearest points of the
    input (inverse square of the distance), exact on them.

    Any resolution may be used: values converge like the quadrature. Raises `UsageError` for a wrong channel count or dimension.
    Source: Kovachki et al., JMLR 24(89), section 4.2; perceptron sizes as in its released code, without batch normalisation.
    """

    lifting: eqx.nn.Linear
    layers: tuple[LowRankLayer, ...]
    head: MLP
    in_channels: int = eqx.field(static=True)
    period: Period = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, dimension: int, width: int, rank: int, depth: int = 4, *,
                 kernel: tuple[int, ...] = (64, 128, 256), head_width: int = 128, period: Period | None = None,
                 activation: Activation = "gelu", key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, dimension=dimension, width=width, rank=rank, depth=depth,
                       head_width=head_width)
        require_list_of_counts(kernel=kernel)
        self.in_channels, self.period = in_channels, coordinates.check_period(period, dimension)
        size = coordinates.width(self.period) + in_channels
        keys = jax.random.split(key, depth + 2)
        self.lifting = eqx.nn.Linear(size, width, key=keys[0])
        self.layers = tuple(LowRankLayer(size, width, rank, tuple(kernel), activation, key=k) for k in keys[2:])
        self.head = MLP((width, head_width, out_channels), activation, key=keys[1])

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        first = self.layers[0]
        return {"in_channels": self.in_channels, "out_channels": self.head.layers[-1].weight.shape[-2], "dimension": len(self.period),
                "width": self.lifting.weight.shape[-2], "rank": first.rank, "depth": len(self.layers), "kernel": first.phi.hidden,
                "head_width": self.head.hidden[0], "period": list(self.period), "activation": self.head.activation}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        del key
        require(a.values.shape[-1] == self.in_channels, "a.values", f"{self.in_channels} channels", a.values.shape)
        coordinates.check_axes(a.points, self.period)
        y, values = flat(a)
        weights = measure(a.points, values.dtype)
        z = jnp.concatenate([coordinates.features(y, self.period), values], axis=1)
        z_x = known_at(a, x, self.period) if x is not None and elsewhere(a, x) else None
        v, v_x = rows(self.lifting, z), None if z_x is None else rows(self.lifting, z_x)
        activation = ACTIVATIONS[self.head.activation]
        for i, layer in enumerate(self.layers):
            act = activation if i < len(self.layers) - 1 else lambda v: v
            c = layer.integrate(z, v, weights)
            v_x = None if z_x is None or v_x is None else act(layer.expand(z_x, v_x, c))
            v = act(layer.expand(z, v, c))
        return unflat(self.head(v if v_x is None else v_x), a.points if x is None else x)
