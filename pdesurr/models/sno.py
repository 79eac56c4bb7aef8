"""Spectral neural operator: layers that act on coefficients alone."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import Grid
from pdesurr.fields._basis import matrix_along
from pdesurr.models._coefficients import AbstractCoefficientOperator, check_sizes
from pdesurr.nn.activation import ACTIVATIONS, Activation
from pdesurr.nn.mode_mixing import real_matrices
from pdesurr.nn.pointwise import Pointwise
from pdesurr.types import Key


class SNO(AbstractCoefficientOperator):
    """u_hat = Q (B_depth o ... o B_1) P a_hat, a_hat the real coefficients of the input and of coordinates (cosines and sines on a Fourier
    axis), each block B c = s(A_1 ... A_d W c + b): A_i a dense matrix over all modes of axis i, W one over channels, s the activation,
    which acts on coefficients. P and Q are dense in the channels. The answer is `scale` times that function. No node is ever looked at,
    so there is no aliasing; a product of functions is far for such layers.

    `modes`, `time`, `horizon`, `periodic` and where it can be asked: see `AbstractCoefficientOperator`. Raises `UsageError` for numbers out
    of range and an input that is not on a spectral grid of as many axes.
    Source: Fanaskov and Oseledets (arXiv 2205.10573), section 3; here A_i begin as the identity with a random part.
    """

    lift: Pointwise
    axes: tuple[tuple[Float[Array, "m m"], ...], ...]
    channels: tuple[Pointwise, ...]
    head: Pointwise
    modes: tuple[int, ...] = eqx.field(static=True)
    time: int = eqx.field(static=True)
    horizon: float = eqx.field(static=True)
    periodic: tuple[bool, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], width: int = 64, depth: int = 4, *, time: int = 0,
                 horizon: float = 1.0, periodic: tuple[bool, ...] | None = None, activation: Activation = "gelu", scale: float = 1.0,
                 key: Key):
        periodic = tuple(periodic) if periodic is not None else (True,) * len(modes)
        check_sizes(modes, time, horizon, periodic, activation, scale, (in_channels, out_channels, width, depth))
        self.modes, self.time, self.horizon, self.periodic = tuple(modes), time, float(horizon), periodic
        self.activation, self.scale = activation, float(scale)
        every = (*self.modes, time) if time else self.modes
        keys = iter(jax.random.split(key, 2 + depth * (1 + len(every))))
        self.lift = Pointwise(in_channels + self.coordinates, width, key=next(keys))
        self.axes = tuple(tuple(jnp.eye(m) + 0.1 * m**-0.5 * jax.random.normal(next(keys), (m, m)) for m in every) for _ in range(depth))
        self.channels = tuple(Pointwise(width, width, key=next(keys)) for _ in range(depth))
        self.head = Pointwise(width, out_channels, key=next(keys))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"in_channels": self.lift.weight.shape[1] - self.coordinates, "out_channels": self.head.weight.shape[0],
                "modes": self.modes, "width": self.lift.weight.shape[0], "depth": len(self.axes), "time": self.time,
                "horizon": self.horizon, "periodic": self.periodic, "activation": self.activation, "scale": self.scale}

    def network(self, v: Float[Array, "channel batch *grid"], grid: Grid) -> Float[Array, "out batch *grid"]:
        pairs = [real_matrices(grid.spectral_basis(i)) for i in range(grid.ndim)]
        for i, (analysis, _) in enumerate(pairs):
            v = matrix_along(analysis, v, i + 2)
        c = _dense(self.lift, v)
        for axes, channels in zip(self.axes, self.channels, strict=True):
            for i, matrix in enumerate(axes):
                c = matrix_along(matrix, c, i + 2)
            c = ACTIVATIONS[self.activation](_dense(channels, c))
        u = self.scale * _dense(self.head, c)
        for i, (_, synthesis) in enumerate(pairs):
            u = matrix_along(synthesis, u, i + 2)
        return u


def _dense(layer: Pointwise, c: Float[Array, "in batch *modes"]) -> Float[Array, "out batch *modes"]:
    return layer(c.reshape(c.shape[0], -1)).reshape(-1, *c.shape[1:])
