"""Sums of products of functions of one coordinate each: on a tensor grid they cost a network evaluation for each node of each axis."""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Numbers
from pdesurr.models.coordinate import AbstractCoordinateModel, CoordinateMLP
from pdesurr.models.gaussians import GaussianField
from pdesurr.nn.smooth import SmoothName
from pdesurr.types import Key


class AbstractSeparable(AbstractCoordinateModel):
    """u_c(x) = sum_r prod_k f_k,rc(x_k): `factors[k]` is a coordinate model of axis k alone, of `rank` x out outputs.

    A derivative of a product of functions of one coordinate each is the product of theirs, so that only derivatives in one dimension are
    ever carried. At n scattered points all d factors are evaluated n times; on a tensor grid `on_grid` evaluates factor k at the n_k nodes
    of its axis, n_1 + ... + n_d evaluations, and sums products: rank n_1 ... n_d operations for each output and derivative.
    """

    factors: eqx.AbstractVar[tuple[AbstractCoordinateModel, ...]]
    rank: eqx.AbstractVar[int]

    def jet(self, x: Jet) -> Jet:
        """`x` is a jet of coordinates, not of functions of them."""
        require(x.channels == len(self.factors), "points", f"shape (n, {len(self.factors)}), one coordinate a factor", x.value.shape)
        along = self._along([x.value[:, k] for k in range(x.channels)], x.indices)
        products = [functools.reduce(operator.mul, (f.part((k,)) for f, k in zip(along, index, strict=True))) for index in x.indices]
        return Jet(tuple(self._ranks(p).sum(axis=1) for p in products), x.indices)

    def on_grid(self, axes: Sequence[Float[Array, " _"]], indices: Sequence[tuple[int, ...]]) -> Jet:
        """Values and derivatives `(n_1 ... n_d, out)` on the product of nodes, the last axis the quickest."""
        along = self._along(axes, indices)
        parts = []
        for index in indices:
            total = self._ranks(along[0].part((index[0],)))
            for f, k in zip(along[1:-1], index[1:-1], strict=True):
                total = (total[:, None] * self._ranks(f.part((k,)))[None]).reshape(-1, *total.shape[1:])
            if len(along) > 1:
                total = jnp.einsum("aro,bro->abo", total, self._ranks(along[-1].part((index[-1],))), precision="highest")
                total = total.reshape(-1, 1, total.shape[-1])
            parts.append(total.sum(axis=1))
        return Jet(tuple(parts), tuple(indices))

    def _along(self, axes: Sequence[Float[Array, " _"]], indices: Sequence[tuple[int, ...]]) -> list[Jet]:
        """Each factor and its derivatives at the nodes of its axis."""
        most = [max(index[k] for index in indices) for k in range(len(axes))]
        return [f.jet(Jet.coordinates(nodes[:, None], ((m,),))) for f, nodes, m in zip(self.factors, axes, most, strict=True)]

    def _ranks(self, part: Float[Array, "n f"]) -> Float[Array, "n rank out"]:
        return part.reshape(len(part), self.rank, -1)


class SeparableMLP(AbstractSeparable):
    """A perceptron for each axis, the products of their outputs summed. Arguments as of `CoordinateMLP`, `harmonics` by axis.

    Source: Cho, Nam, Yang, Yun, Hong and Park, NeurIPS 2023 (SPINN). Good values: rank 32 to 128, width 64, depth 4."""

    factors: tuple[AbstractCoordinateModel, ...]
    rank: int = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, rank: int = 32, width: int = 64, depth: int = 4, *,
                 activation: SmoothName = "tanh", harmonics: tuple[int, ...] | None = None, key: Key):
        require(min(rank, out_channels) > 0 and len(lower) > 0, "rank, out_channels", "numbers > 0", (rank, out_channels))
        harmonics = (0,) * len(lower) if harmonics is None else tuple(harmonics)
        require(len(harmonics) == len(lower), "harmonics", f"{len(lower)} whole numbers >= 0", harmonics)
        keys = jax.random.split(key, len(lower))
        self.factors = tuple(CoordinateMLP((a,), (b,), rank * out_channels, width, depth, activation=activation, harmonics=(h,), key=k)
                             for a, b, h, k in zip(lower, upper, harmonics, keys, strict=True))
        self.rank = rank

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        each = [cast(CoordinateMLP, f).arguments for f in self.factors]
        return {"lower": [e["lower"][0] for e in each], "upper": [e["upper"][0] for e in each], "rank": self.rank,
                "out_channels": each[0]["out_channels"] // self.rank, "width": each[0]["width"], "depth": each[0]["depth"],
                "activation": each[0]["activation"], "harmonics": [e["harmonics"][0] for e in each]}


class SeparablePIG(AbstractSeparable):
    """Sums of Gaussians of one coordinate for each axis, their products summed: u_c = sum_r prod_k sum_i w_kirc g_ki(x_k).

    Means start evenly spread, weights normal of variance rank^(-1/d) over the number of Gaussians that overlap, so that u starts of about
    size 1. Source: the separable variant of Kang, Oh, Hong and Park, ICLR 2025."""

    factors: tuple[AbstractCoordinateModel, ...]
    rank: int = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, rank: int = 32, gaussians: int = 32, spread: float = 0.1,
                 *, key: Key):
        require(min(rank, out_channels) > 0 and len(lower) > 0, "rank, out_channels", "numbers > 0", (rank, out_channels))
        keys = jax.random.split(key, len(lower))
        fields = [GaussianField((a,), (b,), rank * out_channels, gaussians, spread, lattice=True, key=k)
                  for a, b, k in zip(lower, upper, keys, strict=True)]
        overlap = max(1.0, math.pi**0.5 * spread * gaussians / 2.2)
        size = 100 * rank ** (-0.5 / len(lower)) * overlap**-0.5  # a field's weights start of deviation 0.01
        self.factors = tuple(eqx.tree_at(lambda m: m.head, f, size * f.head) for f in fields)
        self.rank = rank

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        each = [cast(GaussianField, f).arguments for f in self.factors]
        return {"lower": [e["lower"][0] for e in each], "upper": [e["upper"][0] for e in each], "rank": self.rank,
                "out_channels": each[0]["out_channels"] // self.rank, "gaussians": each[0]["gaussians"], "spread": each[0]["spread"]}
