"""Coordinate networks: a function of the point, made of layers that carry its derivatives along. What PINNs train."""

import abc
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.fields.jets import Index, Jet, closure, concatenate
from pdesurr.fields.regions import Numbers
from pdesurr.nn.dense import Dense
from pdesurr.nn.embedding import Embedding
from pdesurr.nn.points import Points, nodes, unflat
from pdesurr.nn.smooth import SmoothName, smooth
from pdesurr.types import Key, Samples


class AbstractCoordinateModel(eqx.Module):
    """u(x): one function, not a map of functions; the input `a` is not read. A subclass makes a jet of values of a jet of points."""

    @abc.abstractmethod
    def jet(self, x: Jet) -> Jet:
        """Values and derivatives `(n, out)` from the coordinates `(n, d)` and theirs."""

    def __call__(self, a: Samples | None, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """Values at `x` (the points of `a` if None)."""
        del key
        x = a.points if x is None and a is not None else x
        require(x is not None, "x", "a Grid or points (n, d)", x)
        dtype = a.values.dtype if a is not None else jnp.result_type(float)
        u = on_grid(self, x, (), dtype) if isinstance(x, Grid) else self.jet(Jet.coordinates(nodes(x, dtype)))  # pyright: ignore
        return unflat(u.value, x)  # pyright: ignore[reportArgumentType]


def derivatives(model: Any, points: Float[Array, "n d"], indices: Iterable[Index]) -> Jet:
    """Values and all derivatives up to `indices` of a coordinate model at points, by the model's own `jet`, else by nested forward mode."""
    if hasattr(model, "jet"):
        return model.jet(Jet.coordinates(points, indices))
    return nested_jet(lambda x: model(None, x), points, indices)


def on_grid(model: Any, grid: Grid, indices: Iterable[Index] = (), dtype: Any = None) -> Jet:
    """The same at the nodes of a grid, in the order of its flattened arrays, by the model's own `on_grid(axes, indices)` if it has one."""
    dtype = jnp.result_type(float) if dtype is None else dtype
    if hasattr(model, "on_grid"):
        return model.on_grid([jnp.asarray(b.nodes, dtype) for b in grid.bases], closure(indices, grid.ndim))
    return derivatives(model, nodes(grid, dtype), indices)


def nested_jet(function: Any, points: Float[Array, "n d"], indices: Iterable[Index]) -> Jet:
    """The same of any function of points `(n, d) -> (n, c)` that acts on each point alone, by nested forward mode."""
    found = closure(indices, points.shape[1])

    def along(f: Any, axis: int) -> Any:
        direction = jnp.zeros_like(points).at[:, axis].set(1)
        return lambda x: jax.jvp(f, (x,), (direction,))[1]

    parts = []
    for index in found:
        f = function
        for axis, k in enumerate(index):
            for _ in range(k):
                f = along(f, axis)
        parts.append(f(points))
    return Jet(tuple(parts), found)


class CoordinateMLP(AbstractCoordinateModel):
    """A multi-layer perceptron of the point. See `Embedding` for `harmonics`, `frequencies` and `scale`, `Dense` for `factorised`.

    `activation`: "tanh", "sin", "gelu", or one with trained coefficients: "rational", "hermite", "fourier".
    Good values: width 20-30 and depth 3 in float64 with a second-order optimiser, width 128-256 and depth 4-5 with Adam.
    """

    embedding: Embedding
    layers: tuple[Dense, ...]
    activations: tuple[Any, ...]
    head: Dense
    activation: SmoothName = eqx.field(static=True)
    factorised: bool = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, width: int = 64, depth: int = 4, *,
                 activation: SmoothName = "tanh", harmonics: tuple[int, ...] | None = None, frequencies: int = 0, scale: float = 1.0,
                 factorised: bool = False, key: Key):
        require(min(out_channels, width, depth) > 0, "out_channels, width, depth", "numbers > 0", (out_channels, width, depth))
        first, *keys = jax.random.split(key, depth + 2)
        self.embedding = Embedding(lower, upper, harmonics, frequencies, scale, key=first)
        sizes = (self.embedding.width, *(width,) * depth)
        self.layers = tuple(Dense(i, o, factorised, key=k) for i, o, k in zip(sizes[:-1], sizes[1:], keys[:-1], strict=True))
        self.activations = tuple(smooth(activation) for _ in self.layers)
        self.head = Dense(width, out_channels, factorised, key=keys[-1])
        self.activation, self.factorised = activation, factorised

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {**self.embedding.arguments, "out_channels": self.head.bias.shape[-1], "width": self.layers[0].bias.shape[-1],
                "depth": len(self.layers), "activation": self.activation, "factorised": self.factorised}

    def jet(self, x: Jet) -> Jet:
        h = self.embedding(x)
        for layer, activation in zip(self.layers, self.activations, strict=True):
            h = layer(h).map(activation)
        return self.head(h)


class ModifiedMLP(AbstractCoordinateModel):
    """A perceptron whose every layer mixes two encodings U and V of the point: h <- s U + (1 - s) V, s = act(h W + b).

    Arguments as of `CoordinateMLP`. Source: Wang, Teng and Perdikaris, SIAM J. Sci. Comput. 43 (2021).
    """

    plain: CoordinateMLP
    encoders: tuple[Dense, Dense]

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, width: int = 64, depth: int = 4, *, key: Key,
                 **settings: Any):
        plain_key, *keys = jax.random.split(key, 3)
        self.plain = CoordinateMLP(lower, upper, out_channels, width, depth, key=plain_key, **settings)
        first, second = (Dense(self.plain.embedding.width, width, self.plain.factorised, key=k) for k in keys)
        self.encoders = (first, second)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return self.plain.arguments

    def jet(self, x: Jet) -> Jet:
        h = self.plain.embedding(x)
        u, v = (encode(h).map(self.plain.activations[0]) for encode in self.encoders)
        for layer, activation in zip(self.plain.layers, self.plain.activations, strict=True):
            h = v + layer(h).map(activation) * (u - v)
        return self.plain.head(h)


class PirateNet(AbstractCoordinateModel):
    """Residual blocks that start as the identity, so that the network starts as its `head` applied to the embedding.

    A block: f = act(h W1), z = f U + (1 - f) V, g = act(z W2), z = g U + (1 - g) V, k = act(z W3), h <- alpha k + (1 - alpha) h, alpha = 0
    at first; U, V encode the embedding as in `ModifiedMLP`. The embedding must be as wide as the blocks: 2 `frequencies` = `width`.
    Source: Wang, Li, Chen and Perdikaris, JMLR 25 (2024). Good values: 3 blocks of 256, frequencies of scale 2.
    """

    embedding: Embedding
    encoders: tuple[Dense, Dense]
    blocks: tuple[tuple[Dense, Dense, Dense], ...]
    mix: Float[Array, " blocks"]
    head: Dense
    activation: SmoothName = eqx.field(static=True)
    factorised: bool = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, width: int = 64, blocks: int = 3, *,
                 activation: SmoothName = "tanh", harmonics: tuple[int, ...] | None = None, scale: float = 1.0, factorised: bool = True,
                 key: Key):
        require(min(out_channels, width, blocks) > 0 and width % 2 == 0, "out_channels, width, blocks", "numbers > 0, an even width",
                (out_channels, width, blocks))
        first, *keys = jax.random.split(key, 3 * blocks + 4)
        self.embedding = Embedding(lower, upper, harmonics, width // 2, scale, key=first)
        layers = [Dense(width, width, factorised, key=k) for k in keys[:-1]]
        self.encoders = (layers[0], layers[1])
        self.blocks = tuple((layers[i], layers[i + 1], layers[i + 2]) for i in range(2, 3 * blocks + 2, 3))
        self.mix = jnp.zeros((blocks,))
        self.head = Dense(width, out_channels, factorised, key=keys[-1])
        self.activation, self.factorised = activation, factorised
        require(activation in ("tanh", "sin", "gelu"), "activation", "'tanh', 'sin' or 'gelu'", activation)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        held = {k: v for k, v in self.embedding.arguments.items() if k != "frequencies"}
        return {**held, "out_channels": self.head.bias.shape[-1], "width": 2 * self.embedding.frequencies, "blocks": len(self.blocks),
                "activation": self.activation, "factorised": self.factorised}

    def jet(self, x: Jet) -> Jet:
        act = smooth(self.activation)
        h = self.embedding(x)
        u, v = (encode(h).map(act) for encode in self.encoders)
        for (first, second, third), mix in zip(self.blocks, self.mix.astype(x.dtype), strict=True):
            z = v + first(h).map(act) * (u - v)
            z = v + second(z).map(act) * (u - v)
            h = h + (third(z).map(act) - h).scale(mix)
        return self.head(h)


class Beside(AbstractCoordinateModel):
    """The channels of several coordinate models side by side: for unknown functions that want a network each, such as a solution and the
    coefficient that is to be found with it from measurements.

        text = lambda u, a: d(a * d(u, "x"), "x") + known(u, f, "x")
        problem = Problem({"equation": Equation(text, (interval,)), "data": Observations(x, u_measured)}, ("x",), channels=2)
        fit_problem(Beside((u, a)), problem, stages, key=key)

    `Observations` are of the first channels.
    """

    models: tuple[AbstractCoordinateModel, ...]

    def __check_init__(self):
        require(len(self.models) > 0, "models", "at least one", self.models)

    def jet(self, x: Jet) -> Jet:
        return concatenate([model.jet(x) for model in self.models])
