"""Neural spectral method: coefficients to coefficients, evaluated anywhere."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from pdesurr.fields import Grid
from pdesurr.models._coefficients import AbstractCoefficientOperator, check_sizes
from pdesurr.nn.activation import ACTIVATIONS, Activation
from pdesurr.nn.mode_mixing import ModeMixing
from pdesurr.nn.pointwise import Pointwise
from pdesurr.types import Key


class NSM(AbstractCoefficientOperator):
    """u = Q (B_depth o ... o B_1) P (a, coordinates) on the collocation grid of `modes` nodes an axis, then its expansion anywhere.

    Each block is B v = s(K v + W v + b), K a matrix for each mode of the grid's own bases (`ModeMixing`), W a matrix for all points, s
    the activation at the collocation nodes. P is dense to 4 width, s, dense to width, s; Q is dense, s, dense to 4 width, s, dense. The
    answer is `scale` times that. `modes`, `time`, `horizon`, `periodic` and where it can be asked: see `AbstractCoefficientOperator`. The
    activation on as many nodes as modes has aliasing, which is part of the function that is learned.

    Good values: width 64, depth 4, 31 modes an axis for smooth steady problems, 64 x 32 in time, `scale` 1e-3 where training minimises a
    residual with second derivatives: those of a random function of many modes are large. Raises `UsageError` for numbers out of range and
    an input that is not on a spectral grid of as many axes. Source: Du, Chalapathi and Krishnapriyan (ICLR 2024, arXiv 2312.05225).
    """

    lift: tuple[Pointwise, Pointwise]
    mixings: tuple[ModeMixing, ...]
    bypasses: tuple[Pointwise, ...]
    head: tuple[Pointwise, Pointwise, Pointwise]
    modes: tuple[int, ...] = eqx.field(static=True)
    time: int = eqx.field(static=True)
    horizon: float = eqx.field(static=True)
    periodic: tuple[bool, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], width: int = 64, depth: int = 4, *, time: int = 0,
                 horizon: float = 1.0, periodic: tuple[bool, ...] | None = None, activation: Activation = "relu",
                 scale: float = 1.0, key: Key):
        periodic = tuple(periodic) if periodic is not None else (True,) * len(modes)
        check_sizes(modes, time, horizon, periodic, activation, scale, (in_channels, out_channels, width, depth))
        self.modes, self.time, self.horizon, self.periodic = tuple(modes), time, float(horizon), periodic
        self.activation, self.scale = activation, float(scale)
        keys = iter(jax.random.split(key, 2 * depth + 5))
        inputs = in_channels + self.coordinates
        every = (*self.modes, time) if time else self.modes
        self.lift = (Pointwise(inputs, 4 * width, key=next(keys)), Pointwise(4 * width, width, key=next(keys)))
        self.mixings = tuple(ModeMixing(width, width, every, key=next(keys)) for _ in range(depth))
        self.bypasses = tuple(Pointwise(width, width, key=next(keys)) for _ in range(depth))
        self.head = (Pointwise(width, width, key=next(keys)), Pointwise(width, 4 * width, key=next(keys)),
                     Pointwise(4 * width, out_channels, key=next(keys)))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"in_channels": self.lift[0].weight.shape[1] - self.coordinates, "out_channels": self.head[2].weight.shape[0],
                "modes": self.modes, "width": self.head[0].weight.shape[0], "depth": len(self.mixings), "time": self.time,
                "horizon": self.horizon, "periodic": self.periodic, "activation": self.activation, "scale": self.scale}

    def network(self, v: Float[Array, "channel batch *grid"], grid: Grid) -> Float[Array, "out batch *grid"]:
        shape, active = v.shape[1:], ACTIVATIONS[self.activation]
        v = v.reshape(v.shape[0], -1)
        for dense in self.lift:
            v = active(dense(v))
        for mixing, bypass in zip(self.mixings, self.bypasses, strict=True):
            v = active(mixing(v.reshape(-1, *shape), grid).reshape(v.shape) + bypass(v))
        for dense in self.head[:2]:
            v = active(dense(v))
        return self.scale * self.head[2](v).reshape(-1, *shape)
