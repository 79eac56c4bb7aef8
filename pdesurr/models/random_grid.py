"""Random grid neural processes: a field of random values given an equation's numbers, and those numbers given values of the field."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import is_whole, require, require_counts
from pdesurr.fields.jets import Jet, concatenate, nested
from pdesurr.fields.regions import Numbers, check_box
from pdesurr.nn.activation import gelu
from pdesurr.nn.dense import Dense
from pdesurr.nn.embedding import to_unit, waves
from pdesurr.nn.fixed import Fixed
from pdesurr.nn.gaussian import LowRankGaussian
from pdesurr.nn.mlp import MLP
from pdesurr.nn.points import Points, nodes, unflat
from pdesurr.nn.smooth import smooth
from pdesurr.types import Key, Samples

ACTIVATION = smooth("gelu")  # there: swish
LEAST = 1e-5  # of the variance


class FieldProcess(eqx.Module):
    """alpha(u | p, x): given numbers p `(given,)`, z and w of a `RandomGridProcess`, the values of u at any points are Gaussian, with a
    mean, a variance at each point and `rank` factors that all of them share: a Gaussian process whose kernel is a network.

    A perceptron of p and of cos and sin(2 pi f x_k), `frequencies` many f, geometric from `lowest` to `highest`. The variance lies in
    (1e-5, 1), so u should be of order one. Raises `UsageError` for numbers that are none, and points of another dimension. Published: width
    300 and depth 7 on one axis. Source: Vadeboncoeur, Kazlauskaite, Papandreou, Cirak, Girolami and Akyildiz, ICML 2023 (arXiv 2301.11040).
    """

    frequencies: Fixed
    layers: tuple[Dense, ...]
    head: Dense
    given: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    rank: int = eqx.field(static=True)

    def __init__(self, dimension: int, given: int, out_channels: int = 1, width: int = 300, depth: int = 7, *, rank: int = 2,
                 frequencies: int = 100, lowest: float = 1e-3, highest: float = 2.0, key: Key):
        require_counts(dimension=dimension, given=given, out_channels=out_channels, width=width, depth=depth, frequencies=frequencies)
        require(is_whole(rank) and rank >= 0, "rank", "a whole number >= 0", rank)
        require(0 < lowest <= highest < math.inf, "lowest, highest", "rising numbers > 0", (lowest, highest))
        keys = jax.random.split(key, depth + 1)
        one = 2 * np.pi * np.geomspace(lowest, highest, frequencies)
        self.frequencies = Fixed(np.kron(np.eye(dimension), one[None]))
        widths = (2 * dimension * frequencies + given, *(width,) * depth)
        self.layers = tuple(Dense(i, o, key=k) for i, o, k in zip(widths[:-1], widths[1:], keys[:-1], strict=True))
        self.head = Dense(width, out_channels * (2 + rank), key=keys[-1])
        self.given, self.out_channels, self.rank = given, out_channels, rank

    def jets(self, x: Jet, p: Float[Array, " given"]) -> tuple[Jet, Jet, Jet]:
        """(mean, deviation, factors) at the coordinates x, factors `(n, channels rank)`, with their derivatives."""
        axes = len(self.frequencies.value)
        require(x.channels == axes, "points", f"an array (n, {axes})", x.value.shape)
        require(p.shape == (self.given,), "z and w", f"{self.given} numbers together, of one sample", p.shape, "for a batch use jax.vmap")
        h = waves(x @ self.frequencies.value.astype(x.dtype))
        numbers = jnp.broadcast_to(p.astype(x.dtype)[None], (len(x.value), self.given))
        h = concatenate([h, Jet((numbers, *(jnp.zeros_like(numbers) for _ in x.parts[1:])), x.indices)])
        for layer in self.layers:
            h = layer(h).map(ACTIVATION)
        c, out = self.out_channels, self.head(h)
        pick = lambda a, b: out.linear(lambda part: part[:, a:b])  # noqa: E731
        return pick(0, c), pick(c, 2 * c).map(nested(_deviation)), pick(2 * c, out.channels)


def _deviation(raw: Array) -> Array:
    return jnp.sqrt(LEAST + (1 - LEAST) * jax.nn.sigmoid(raw))


class NumberProcess(eqx.Module):
    """beta(z | u, x, w): numbers z `(found,)`, independent Gaussians given values of u `(n, in_channels)` at any points x `(n, d)` of the
    box from `lower` to `upper`, and numbers w `(known,)`, none if `known` is 0: GICNet.

    Each value is lifted to `channels`, brought to a fixed grid of `nodes` an axis by the mean of its neighbours under a kernel,
    exp(-|x - y|^2 / (2 l^2)) with a trained length l for each channel, and read by `convolutions` of `kernel` nodes without padding and
    a perceptron of `width` and `depth`. Any number of points; their order does not matter. Raises `UsageError` for numbers that are none,
    and for arguments of other shapes. Source: as of `FieldProcess`.
    """

    lift: MLP
    log_lengths: Float[Array, " channels"]
    convolutions: tuple[eqx.nn.Conv, ...]
    flat: MLP
    known: MLP | None
    head: MLP
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)
    nodes: int = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, found: int, known: int, in_channels: int = 1, channels: int = 20, *,
                 nodes: int = 20, convolutions: int = 4, kernel: int = 3, width: int = 300, depth: int = 4, key: Key):
        check_box(lower, upper)
        require_counts(found=found, in_channels=in_channels, channels=channels, nodes=nodes, convolutions=convolutions, kernel=kernel,
                       width=width, depth=depth)
        require(is_whole(known) and known >= 0, "known", "a whole number >= 0", known)
        left = nodes - convolutions * (kernel - 1)
        require(left >= 1, "nodes, convolutions, kernel", "at least convolutions (kernel - 1) + 1 nodes",
                (nodes, convolutions, kernel))
        dim, (k_lift, k_conv, k_flat, k_known, k_head) = len(lower), jax.random.split(key, 5)
        self.lift = loud(MLP((in_channels, channels, channels, channels), key=k_lift))
        self.log_lengths = jnp.log(jnp.asarray(np.geomspace(1e-2, 1.0, channels), jnp.result_type(float)))
        self.convolutions = loud(tuple(eqx.nn.Conv(dim, channels + (dim if i == 0 else 0), channels, kernel, key=k)
                                       for i, k in enumerate(jax.random.split(k_conv, convolutions))))
        self.flat = loud(MLP((channels * left**dim, width, width // 3 + 1), key=k_flat))
        self.known = loud(MLP((known, width // 3 + 1, width // 3 + 1), key=k_known)) if known else None
        self.head = loud(MLP(((2 if known else 1) * (width // 3 + 1), *(width,) * depth, 2 * found), key=k_head))
        self.lower, self.upper, self.nodes = tuple(lower), tuple(upper), nodes

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many numbers z, numbers w, and channels of u."""
        z, w = self.head.layers[-1].weight.shape[-2] // 2, 0 if self.known is None else self.known.layers[0].weight.shape[-1]
        return z, w, self.lift.layers[0].weight.shape[-1]

    def __call__(self, u: Float[Array, "n channels"], x: Float[Array, "n d"], w: Float[Array, " known"]) -> LowRankGaussian:
        """The Gaussian of z, without factors."""
        _, known, channels = self.sizes
        require(u.shape == (len(x), channels), "u", f"values ({len(x)}, {channels}), a row for each point of x", u.shape)
        require(w.shape == (known,), "w", f"{known} known numbers, ({known},)", w.shape)
        s = to_unit(Jet.coordinates(x), self.lower, self.upper).value
        axes = [jnp.linspace(-1, 1, self.nodes, dtype=s.dtype)] * s.shape[1]
        grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, s.shape[1])
        square = jnp.sum((grid[:, None] - s[None]) ** 2, axis=-1)  # (nodes, n)
        lengths = jnp.exp(self.log_lengths.astype(s.dtype))
        near = jax.nn.softmax(-square[None] / (2 * lengths**2)[:, None, None], axis=-1)
        v = jnp.einsum("cgn,nc->cg", near, self.lift(u.astype(s.dtype)), precision="highest")
        shape = (self.nodes,) * s.shape[1]
        v = jnp.concatenate([v, grid.T]).reshape(-1, *shape)
        for convolution in self.convolutions:
            v = gelu(convolution(v))
        h = gelu(self.flat(v.reshape(1, -1)))
        if self.known is not None:
            h = jnp.concatenate([h, gelu(self.known(w.astype(s.dtype)[None]))], axis=-1)
        mean, log_deviation = jnp.split(self.head(h)[0], 2)
        return LowRankGaussian(mean, jnp.exp(log_deviation), jnp.zeros((mean.size, 0), mean.dtype))


def loud(layers: Any) -> Any:
    """The layers with weights of variance 2 / inputs (He et al., ICCV 2015) instead of a sixth of it, through which, one after the other,
    next to nothing of u would reach the numbers."""
    known = lambda part: isinstance(part, eqx.nn.Linear | eqx.nn.Conv)  # noqa: E731
    louder = lambda part: eqx.tree_at(lambda p: p.weight, part, part.weight * 6**0.5) if known(part) else part  # noqa: E731
    return jax.tree.map(louder, layers, is_leaf=known)


class RandomGridProcess(eqx.Module):
    """Both directions of a parametric problem: `forward`, from numbers to the field, and `inverse`, from the field to the unknown ones.

    `constraint(x, v, w)`: what holds by construction, from jets of the coordinates x and of free values v, linear in v:
    `lambda x, v, w: WALL(x) * v` with `WALL = models.constrained.given(lambda x: x * (1 - x))` for u = 0 on walls, say, or a start that
    the known numbers w describe. z are the unknown ones. Raises `UsageError` for two that do not fit each other. Trained by
    `objectives.evidence.Evidence`, and so is `log_noise`, where it is given: the logarithm of the deviation that the equation's residual is
    allowed.
    """

    forward: FieldProcess
    inverse: NumberProcess
    constraint: Any = eqx.field(static=True)
    log_noise: Float[Array, ""] | None = None

    def __check_init__(self):
        kinds = isinstance(self.forward, FieldProcess) and isinstance(self.inverse, NumberProcess)
        require(kinds, "forward, inverse", "a FieldProcess and a NumberProcess", (type(self.forward).__name__, type(self.inverse).__name__))
        (z, w, channels), axes = self.inverse.sizes, len(self.inverse.lower)
        one, other = (len(self.forward.frequencies.value), self.forward.given, self.forward.out_channels), (axes, z + w, channels)
        require(one == other, "forward", f"dimension, given, out_channels {other}, which fit the inverse", one)
        require(callable(self.constraint), "constraint", "a function of x, v and w", self.constraint)

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """The mean of u at `x` (the points of `a` if None), for the `params` z and w of `a`."""
        del key
        x = a.points if x is None else x
        require({"z", "w"} <= set(a.params), "params", "z and w, numbers of the input", tuple(a.params))
        mean = self.field(a.params["z"], a.params["w"], nodes(x, a.params["z"].dtype)).mean
        return unflat(mean.reshape(-1, self.forward.out_channels), x)

    def field(self, z: Float[Array, " found"], w: Float[Array, " known"], x: Float[Array, "n d"]) -> LowRankGaussian:
        """The Gaussian of u at the points, channel after channel at each: `n channels` numbers."""
        require(z.ndim == w.ndim == 1 and x.ndim == 2, "z, w, x", "numbers (found,) and (known,), points (n, d), of one sample",
                (z.shape, w.shape, x.shape), "for a batch use jax.vmap")
        at = Jet.coordinates(x)
        mean, deviation, factors = (j.value for j in self.forward.jets(at, jnp.concatenate([z, w])))
        bound = lambda v: self.constraint(at, Jet((v,), at.indices), w).value  # noqa: E731
        lift = bound(jnp.zeros_like(mean))
        scaled = bound(deviation) - lift
        factors = factors.reshape(*mean.shape, self.forward.rank)
        factors = jax.vmap(lambda v: bound(v) - lift, in_axes=-1, out_axes=-1)(factors) if self.forward.rank else factors
        return LowRankGaussian(bound(mean).ravel(), jnp.abs(scaled).ravel(), factors.reshape(mean.size, -1))
