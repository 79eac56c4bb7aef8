"""Fields that are linear in their weights: features of the point, known in closed form with all derivatives, times a head."""

import abc
import functools
import math
import operator
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Numbers, check_box
from pdesurr.models.coordinate import AbstractCoordinateModel
from pdesurr.nn.embedding import to_unit
from pdesurr.nn.fixed import Fixed
from pdesurr.types import Key

Law = Literal["normal", "ball"]


class AbstractFeatureModel(AbstractCoordinateModel):
    """u_c(x) = sum_i head_ic phi_i(x). `features` is what a linear solve needs; `jet` may sum them in another order, to rounding."""

    head: eqx.AbstractVar[Float[Array, "features out"]]

    @abc.abstractmethod
    def features(self, x: Jet) -> Jet:
        """phi `(n, features)` and derivatives at the coordinates `x` (a jet of coordinates, not of functions of them)."""


class RandomFourierField(AbstractFeatureModel):
    """u_c(x) = sum_i head_ic sin(w_i . s + b_i), s in (-1, 1)^d the point in its box; w and b drawn once, only the head is trained.

    `scale`: per axis the size of w. `law` "normal": its standard deviation (smooth solutions, whose spectrum falls off); "ball": w uniform
    in the ellipsoid with these semi-axes (oscillating ones: the highest wavenumber there is, times half the box). The field holds
    wavenumbers up to about those, if there are enough features. `harmonics` > 0 on an
    axis: periodic there, with whole multiples of pi from none to that many, as many features of each, in place of the law's.
    Source: Rahimi and Recht, NIPS 2007; for equations Sulc, arXiv 2602.10541.
    """

    head: Float[Array, "features out"]
    frequencies: Fixed
    phases: Fixed
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)
    scale: Numbers = eqx.field(static=True)
    law: Law = eqx.field(static=True)
    harmonics: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, features: int = 800, scale: Numbers | float = 5.0, *,
                 law: Law = "normal", harmonics: tuple[int, ...] | None = None, key: Key):
        check_box(lower, upper)
        dim = len(lower)
        scale = (float(scale),) * dim if isinstance(scale, (int, float)) else tuple(float(s) for s in scale)
        require(len(scale) == dim and all(s > 0 and math.isfinite(s) for s in scale), "scale", f"{dim} numbers > 0", scale)
        require(law in ("normal", "ball"), "law", "'normal' or 'ball'", law)
        require(min(features, out_channels) > 0, "features, out_channels", "numbers > 0", (features, out_channels))
        harmonics = (0,) * dim if harmonics is None else tuple(harmonics)
        require(len(harmonics) == dim and min(harmonics) >= 0, "harmonics", f"{dim} whole numbers >= 0", harmonics)
        self.lower, self.upper, self.scale, self.law, self.harmonics = tuple(lower), tuple(upper), scale, law, harmonics
        w_key, r_key, b_key, h_key = jax.random.split(key, 4)
        w = jax.random.normal(w_key, (features, dim))
        if law == "ball":
            w = w / jnp.linalg.norm(w, axis=1, keepdims=True) * jax.random.uniform(r_key, (features, 1)) ** (1 / dim)
        turns = zip(jax.random.split(h_key, dim), harmonics, strict=True)
        whole = jnp.stack([jax.random.permutation(k, jnp.arange(features) % (most + 1)) for k, most in turns], axis=1).astype(w.dtype)
        w = jnp.where(jnp.asarray([k > 0 for k in harmonics])[None], whole, w * jnp.asarray(scale, w.dtype)[None])
        self.frequencies = Fixed(w)
        self.phases = Fixed(jax.random.uniform(b_key, (features,), maxval=2 * math.pi))
        self.head = jnp.zeros((features, out_channels))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {"lower": list(self.lower), "upper": list(self.upper), "out_channels": self.head.shape[-1], "features": self.head.shape[-2],
                "scale": list(self.scale), "law": self.law, "harmonics": list(self.harmonics)}

    def features(self, x: Jet) -> Jet:
        s = to_unit(x, self.lower, self.upper)
        dtype = s.dtype
        pi = jnp.asarray([math.pi if k else 1.0 for k in self.harmonics], dtype)  # whole multiples of pi, in full precision
        w, b = self.frequencies.value.astype(dtype) * pi[None], self.phases.value.astype(dtype)
        z = jnp.matmul(s.value, w.T, precision="highest") + b[None]
        sin, cos = jnp.sin(z), jnp.cos(z)
        turned = (sin, cos, -sin, -cos)
        along = w * (2 / (jnp.asarray(self.upper, dtype) - jnp.asarray(self.lower, dtype)))[None]
        parts = [turned[sum(i) % 4] * _monomial(along, i)[None] if any(i) else sin for i in s.indices]
        return Jet(tuple(parts), s.indices)

    def jet(self, x: Jet) -> Jet:
        return self.features(x) @ self.head.astype(x.dtype)


def _monomial(v: Float[Array, "n d"], powers: tuple[int, ...]) -> Float[Array, " n"]:
    return functools.reduce(operator.mul, (v[:, k] ** p for k, p in enumerate(powers) if p))
