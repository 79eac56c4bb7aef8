"""Fields that are linear in their weights: features of the point, known in closed form with all derivatives, times a head."""

import abc
import functools
import itertools
import math
import operator
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Index, Jet
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
    axis: periodic there, with whole multiples of pi up to that many in place of the law's.
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
        whole = jax.random.randint(h_key, (features, dim), 0, jnp.asarray([k + 1 for k in harmonics])[None]).astype(w.dtype)
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


class GaussianField(AbstractFeatureModel):
    """u_c(x) = sum_i head_ic exp(-|(s - mu_i) / sigma_i|^2 / 2), s in (-1, 1)^d the point in its box; means, scales and head trained.

    `spread` is sigma at first; it is kept positive (its logarithm is trained). Means start uniform in the box, or on a lattice that fills
    it a little beyond the walls (`lattice`), which linear solves like. Overlap matters more than number: a wide spread with a linear
    solve beats many narrow Gaussians. The published model sums Gaussians into a few channels of a small perceptron; this is its linear
    part.

    Derivatives are closed forms: Gaussians times polynomials of the point whose coefficients depend on the Gaussian alone, so that all
    derivatives are one matrix product over the Gaussians. That sum cancels: relative to explicit differences it costs (box / sigma)^2
    roundings, 2e-4 of the largest at most in float32 for sigma = 0.3 in the tests, and nothing that matters in float64.
    Source: Kang, Oh, Hong and Park, ICLR 2025 (PIG), diagonal covariance.
    """

    head: Float[Array, "gaussians out"]
    means: Float[Array, "gaussians d"]
    log_scales: Float[Array, "gaussians d"]
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)
    spread: float = eqx.field(static=True)
    lattice: bool = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, out_channels: int = 1, gaussians: int = 800, spread: float = 0.3, *,
                 lattice: bool = False, key: Key):
        check_box(lower, upper)
        require(min(gaussians, out_channels) > 0, "gaussians, out_channels", "numbers > 0", (gaussians, out_channels))
        require(spread > 0 and math.isfinite(spread), "spread", "a number > 0, a fraction of half the box", spread)
        dim = len(lower)
        self.lower, self.upper, self.spread, self.lattice = tuple(lower), tuple(upper), spread, lattice
        mean_key, head_key = jax.random.split(key)
        uniform = jax.random.uniform(mean_key, (gaussians, dim), minval=-1, maxval=1)
        self.means = jnp.asarray(_lattice(gaussians, dim), uniform.dtype) if lattice else uniform
        self.log_scales = jnp.full((gaussians, dim), math.log(spread))
        self.head = 0.01 * jax.random.normal(head_key, (gaussians, out_channels))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        return {"lower": list(self.lower), "upper": list(self.upper), "out_channels": self.head.shape[-1], "gaussians": self.head.shape[-2],
                "spread": self.spread, "lattice": self.lattice}

    def features(self, x: Jet) -> Jet:
        s = to_unit(x, self.lower, self.upper)
        dtype = s.dtype
        mu, sigma = self.means.astype(dtype), jnp.exp(self.log_scales.astype(dtype))
        z = [(s.value[:, k, None] - mu[None, :, k]) / sigma[None, :, k] for k in range(len(self.lower))]
        g = jnp.exp(-0.5 * sum(v * v for v in z))
        half = [(b - a) / 2 for a, b in zip(self.lower, self.upper, strict=True)]

        def part(index: Index) -> Array:
            value = g
            for k, order in enumerate(index):
                if order:
                    value = value * _hermite(order, z[k]) * (-1 / (half[k] * sigma[None, :, k])) ** order
            return value

        return Jet(tuple(part(i) for i in s.indices), s.indices)

    def jet(self, x: Jet) -> Jet:
        return gaussian_sums(x, self.lower, self.upper, self.means, self.log_scales, self.head)


def gaussian_sums(x: Jet, lower: Numbers, upper: Numbers, means: Array, log_scales: Array, head: Float[Array, "gaussians c"]) -> Jet:
    """sum_i head_ic exp(-|(s - mu_i) / sigma_i|^2 / 2) and its derivatives by one product with the matrix of Gaussians."""
    s = to_unit(x, lower, upper)
    dtype = s.dtype
    half = [(b - a) / 2 for a, b in zip(lower, upper, strict=True)]
    mu, inverse = means.astype(dtype), jnp.exp(-log_scales.astype(dtype))
    squares = jnp.concatenate([s.value**2, s.value, jnp.ones_like(s.value)], axis=1)
    form = jnp.concatenate([-0.5 * inverse**2, mu * inverse**2, -0.5 * (mu * inverse) ** 2], axis=1)
    g = jnp.exp(jnp.matmul(squares, form.T, precision="highest"))
    factors = [[_polynomial(order, mu[:, k], inverse[:, k], half[k]) for order in range(1 + max(i[k] for i in s.indices))]
               for k in range(len(half))]
    columns, places = [], []
    for row, index in enumerate(s.indices):
        for powers in itertools.product(*(range(order + 1) for order in index)):
            factor = functools.reduce(operator.mul, (factors[k][index[k]][p] for k, p in enumerate(powers)))
            columns.append(head.astype(dtype) * factor[:, None] if any(index) else head.astype(dtype))
            places.append((row, powers))
    sums = jnp.matmul(g, jnp.concatenate(columns, axis=1), precision="highest").reshape(len(g), len(columns), -1)
    rows: list[Any] = [0.0] * len(s.indices)
    for j, (row, powers) in enumerate(places):
        rows[row] = rows[row] + sums[:, j] * (_monomial(s.value, powers)[:, None] if any(powers) else 1.0)
    return Jet(tuple(rows), s.indices)


def _polynomial(order: int, mu: Array, inverse: Array, half: float) -> list[Array]:
    """Coefficients of s^0 ... s^order in a Gaussian's derivative over the Gaussian: (-1 / sigma)^k He_k((s - mu) / sigma)."""
    he = np.polynomial.hermite_e.herme2poly([0.0] * order + [1.0])
    total: list[Any] = [jnp.zeros_like(mu) for _ in range(order + 1)]
    for j, c in enumerate(he):
        for p in range(j + 1):
            total[p] = total[p] + float(c) * math.comb(j, p) * (-mu) ** (j - p) * inverse**j
    return [(-inverse / half) ** order * t if order else jnp.ones_like(mu) for t in total]


def _hermite(order: int, z: Array) -> Array:
    """The probabilists' Hermite polynomial He_order."""
    coefficients = np.polynomial.hermite_e.herme2poly([0.0] * order + [1.0])
    value = jnp.zeros_like(z)
    for c in coefficients[::-1]:
        value = value * z + float(c)
    return value


def _monomial(v: Float[Array, "n d"], powers: tuple[int, ...]) -> Float[Array, " n"]:
    return functools.reduce(operator.mul, (v[:, k] ** p for k, p in enumerate(powers) if p))


def _lattice(count: int, dim: int, beyond: float = 1.1) -> np.ndarray:
    """The first `count` points of a regular lattice of side ceil(count^(1/d)) on (-beyond, beyond)^d, in an order that fills evenly."""
    side = math.ceil(count ** (1 / dim) - 1e-9)
    axis = np.linspace(-beyond, beyond, side)
    points = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1).reshape(-1, dim)
    order = np.argsort(np.arange(len(points)) * 0.6180339887498949 % 1.0)
    return points[np.sort(order[:count])]
