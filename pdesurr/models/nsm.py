"""Neural spectral method: coefficients to coefficients, evaluated anywhere."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid
from pdesurr.nn.activation import gelu
from pdesurr.nn.mode_mixing import ModeMixing
from pdesurr.nn.pointwise import Pointwise
from pdesurr.types import Key, Samples

Activation = Literal["relu", "tanh", "gelu"]
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": gelu}


class NSM(eqx.Module):
    """u = Q (B_depth o ... o B_1) P (a, coordinates) on the collocation grid of `modes` nodes an axis, then its expansion anywhere.

    Each block is B v = s(K v + W v + b), K a matrix for each mode of the grid's own bases (`ModeMixing`), W a matrix for all points, s
    the activation at the collocation nodes. P is dense to 4 width, s, dense to width, s; Q is dense, s, dense to 4 width, s, dense. The
    answer is `scale` times that, as a function with `modes` coefficients an axis: values `(*x, out)` on any grid or at points `(n, d)`,
    at a cost that does not grow with their number but for the last expansion.

    The bases are those of the input's grid (Fourier, Chebyshev, sine or cosine on each axis, on any box). With `time` the answer is a
    function of space and time: a last axis "t" of that many Chebyshev nodes from 0 to `horizon`, the input being constant along it. `x`
    with an axis "t" (or with d + 1 coordinates) is a place in space and time; without, or None, it is space at the horizon.
    The activation on as many nodes as modes has aliasing, which is part of the function that is learned.

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
        require(len(modes) > 0 and all(isinstance(m, int) and m >= 2 for m in modes), "modes", "whole numbers >= 2, one per axis", modes)
        require(len(periodic) == len(modes), "periodic", f"{len(modes)} answers, one per axis", periodic)
        require(min(in_channels, out_channels, width, depth) >= 1, "in_channels, out_channels, width, depth", "whole numbers >= 1",
                (in_channels, out_channels, width, depth))
        require(time == 0 or time >= 2, "time", "0 (a steady problem) or at least 2 nodes", time)
        require(horizon > 0 and scale > 0, "horizon, scale", "numbers > 0", (horizon, scale))
        require(activation in ACTIVATIONS, "activation", f"one of {tuple(ACTIVATIONS)}", activation)
        self.modes, self.time, self.horizon, self.periodic = tuple(modes), time, float(horizon), periodic
        self.activation, self.scale = activation, float(scale)
        keys = iter(jax.random.split(key, 2 * depth + 5))
        inputs = in_channels + self._coordinates
        every = (*self.modes, time) if time else self.modes
        self.lift = (Pointwise(inputs, 4 * width, key=next(keys)), Pointwise(4 * width, width, key=next(keys)))
        self.mixings = tuple(ModeMixing(width, width, every, key=next(keys)) for _ in range(depth))
        self.bypasses = tuple(Pointwise(width, width, key=next(keys)) for _ in range(depth))
        self.head = (Pointwise(width, width, key=next(keys)), Pointwise(width, 4 * width, key=next(keys)),
                     Pointwise(4 * width, out_channels, key=next(keys)))

    @property
    def _coordinates(self) -> int:
        """How many channels say where a node is."""
        return sum(2 if p else 1 for p in self.periodic) + (self.time > 0)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"in_channels": self.lift[0].weight.shape[1] - self._coordinates, "out_channels": self.head[2].weight.shape[0],
                "modes": self.modes, "width": self.head[0].weight.shape[0], "depth": len(self.mixings), "time": self.time,
                "horizon": self.horizon, "periodic": self.periodic, "activation": self.activation, "scale": self.scale}

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "..."]:
        """One sample."""
        del key
        return self.batched(Samples(a.points, a.values[None], a.params), x)[0]

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "batch ..."]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        del key
        grid, hats = self.expansion(a)
        return jax.vmap(lambda hat: self._at(hat, grid, a.points if x is None else x))(hats)

    def expansion(self, a: Samples) -> tuple[Grid, Array]:
        """The answers of a batch as coefficients `(batch, *grid_hat, out)`, and the collocation grid whose they are."""
        space = self._checked(a)
        coarse = space.with_shape(*self.modes)
        values = jax.vmap(lambda v: coarse.inverse(space.resample_hat(space.transform(v), *self.modes)))(a.values)
        grid = Grid([*coarse.bases, ChebyshevBasis(self.time, 0.0, self.horizon)], (*space.names, "t")) if self.time else coarse
        if self.time:
            values = jnp.broadcast_to(values[..., None, :], (*values.shape[:-1], self.time, values.shape[-1]))
        u = self._network(self._with_coordinates(values, grid), grid)
        return grid, jax.vmap(grid.transform)(jnp.moveaxis(u, 0, -1))

    def _checked(self, a: Samples) -> Grid:
        if not isinstance(a.points, Grid) or not a.points.spectral:
            raise expected("a.points", "a Grid of spectral bases, whose coefficients the input has", a.points,
                           "interpolate the samples to pde.grid(n) first")
        require(a.points.ndim == len(self.modes), "a.points", f"a grid of {len(self.modes)} axes, as the model was made for", a.points)
        found = tuple(isinstance(b, FourierBasis) for b in a.points.bases)
        require(found == self.periodic, "a.points", f"a grid whose axes are periodic as the model was made for, {self.periodic}", found)
        return a.points

    @staticmethod
    def _with_coordinates(values: Float[Array, "batch *grid c"], grid: Grid) -> Float[Array, "channel batch *grid"]:
        """Channel first, coordinates behind: cos and sin on Fourier axes, the place between the ends on others."""
        extra = []
        for i, b in enumerate(grid.bases):
            s = ((b.nodes - b.lower) / b.length).reshape([-1 if j == i else 1 for j in range(grid.ndim)])
            extra += [np.cos(2 * np.pi * s), np.sin(2 * np.pi * s)] if isinstance(b, FourierBasis) else [s]
        shape = (values.shape[0], *grid.shape)
        places = [jnp.broadcast_to(jnp.asarray(e, values.dtype)[None], shape)[None] for e in extra]
        return jnp.concatenate([jnp.moveaxis(values, -1, 0), *places])

    def _network(self, v: Float[Array, "channel batch *grid"], grid: Grid) -> Float[Array, "out batch *grid"]:
        shape, active = v.shape[1:], ACTIVATIONS[self.activation]
        v = v.reshape(v.shape[0], -1)
        for dense in self.lift:
            v = active(dense(v))
        for mixing, bypass in zip(self.mixings, self.bypasses, strict=True):
            v = active(mixing(v.reshape(-1, *shape), grid).reshape(v.shape) + bypass(v))
        for dense in self.head[:2]:
            v = active(dense(v))
        return self.scale * self.head[2](v).reshape(-1, *shape)

    def _at(self, hat: Array, grid: Grid, x: Any) -> Array:
        """The expansion `(*grid_hat, out)` at `x`."""
        if isinstance(x, Grid):
            if self.time and "t" not in x.names:  # at the horizon every T_k is 1
                return Grid(grid.bases[:-1], grid.names[:-1]).interpolate(jnp.sum(hat, axis=-2), x)
            return grid.interpolate(hat, x)
        if self.time and x.shape[1] == grid.ndim - 1:
            x = jnp.concatenate([x, jnp.full_like(x[:, :1], self.horizon)], axis=1)
        return grid.evaluate(hat, x)
