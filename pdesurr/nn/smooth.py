"""Activations together with their derivatives: `activation(z, order)` is the list of values and derivatives 1 ... order.

They are applied at each point and channel, and what a `Jet` asks of a function.
"""

import functools
from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import nested
from pdesurr.nn.activation import gelu

SmoothName = Literal["tanh", "sin", "gelu", "rational", "hermite", "fourier"]
Derivatives = list[Array]


@functools.lru_cache(maxsize=16)
def _tanh_polynomials(order: int) -> tuple[tuple[float, ...], ...]:
    """Coefficients of y^0, y^1, ... in d^k tanh / dz^k, k = 1 ... order, as polynomials of y = tanh z: P_{k+1} = P_k' (1 - y^2)."""
    p, found = np.polynomial.Polynomial([1.0, 0.0, -1.0]), []
    for _ in range(order):
        found.append(tuple(float(c) for c in p.coef))
        p = p.deriv() * np.polynomial.Polynomial([1.0, 0.0, -1.0])
    return tuple(found)


def tanh(z: Array, order: int) -> Derivatives:
    y = jnp.tanh(z)
    return [y, *(_polynomial(c, y) for c in _tanh_polynomials(order))]


def sin(z: Array, order: int) -> Derivatives:
    s, c = jnp.sin(z), jnp.cos(z) if order else jnp.zeros_like(z)
    return [(s, c, -s, -c)[k % 4] for k in range(order + 1)]


PLAIN: dict[str, Callable[[Array, int], Derivatives]] = {"tanh": tanh, "sin": sin, "gelu": nested(gelu)}


class Plain(eqx.Module):
    """An activation without weights."""

    name: str = eqx.field(static=True)

    def __call__(self, z: Float[Array, "..."], order: int) -> Derivatives:
        return PLAIN[self.name](z, order)


class Rational(eqx.Module):
    """P(z) / (1 + Q(z)^2), polynomials of degree 3 and 2 with trained coefficients: no pole on the real line, all derivatives.

    Starts as the least squares fit of tanh on (-3, 3), 0.004 off at most. Source: Molina, Schramowski and Kersting, ICLR 2020 (Pade
    activation units), whose denominator 1 + |Q| has a kink.
    """

    p: Float[Array, " 4"]
    q: Float[Array, " 2"]

    def __init__(self):
        p, q = _tanh_fit()
        self.p, self.q = jnp.asarray(p), jnp.asarray(q)

    def __call__(self, z: Float[Array, "..."], order: int) -> Derivatives:
        p, q = list(self.p.astype(z.dtype)), [0.0, *self.q.astype(z.dtype)]
        return nested(lambda v: _polynomial(p, v) / (1.0 + _polynomial(q, v) ** 2))(z, order)


class HermiteSeries(eqx.Module):
    """sum_{k <= 3} c_k He_k(z) / sqrt(k!), trained c. Of a normal z its variance is sum_{k >= 1} c_k^2, 1 at first (c = (0, 1, 1/2, 1/4)
    before scaling), which keeps the signal's size from layer to layer."""

    c: Float[Array, " 4"]

    def __init__(self):
        c = np.array([0.0, 1.0, 0.5, 0.25])
        self.c = jnp.asarray(c / np.linalg.norm(c[1:]))

    def __call__(self, z: Float[Array, "..."], order: int) -> Derivatives:
        c = self.c.astype(z.dtype)
        rows = [np.polynomial.hermite_e.herme2poly(row) for row in np.eye(4) / np.sqrt([1.0, 1.0, 2.0, 6.0])]
        powers = [sum(float(row[j]) * c[k] for k, row in enumerate(rows) if j < len(row)) for j in range(4)]
        return nested(lambda v: _polynomial(powers, v))(z, order)


class FourierSeries(eqx.Module):
    """sum_{k <= 3} a_k sin(k z) + b_k cos(k z), trained a and b, at first of variance 1 for a normal z, with a_k as 1 / k! and b = 0."""

    a: Float[Array, " 3"]
    b: Float[Array, " 3"]

    def __init__(self):
        k = np.arange(1, 4)
        a = 1 / np.array([1.0, 2.0, 6.0])
        covariance = (np.exp(-((k[:, None] - k) ** 2) / 2) - np.exp(-((k[:, None] + k) ** 2) / 2)) / 2
        self.a, self.b = jnp.asarray(a / np.sqrt(a @ covariance @ a)), jnp.zeros(3)

    def __call__(self, z: Float[Array, "..."], order: int) -> Derivatives:
        waves = [sin(k * z, order + 1) for k in (1, 2, 3)]
        a, b = self.a.astype(z.dtype), self.b.astype(z.dtype)
        part = lambda i, m: float((i + 1) ** m) * (a[i] * waves[i][m] + b[i] * waves[i][m + 1])  # noqa: E731
        return [part(0, m) + part(1, m) + part(2, m) for m in range(order + 1)]


TRAINED = {"rational": Rational, "hermite": HermiteSeries, "fourier": FourierSeries}


def smooth(name: SmoothName) -> Plain | Rational | HermiteSeries | FourierSeries:
    """An activation by name; those with weights are new ones each time. Raises `UsageError` for an unknown name."""
    require(name in (*PLAIN, *TRAINED), "activation", f"one of {', '.join((*PLAIN, *TRAINED))}", name)
    return TRAINED[name]() if name in TRAINED else Plain(name)


def _polynomial(coefficients, y: Array) -> Array:
    """Horner's scheme; coefficients of y^0, y^1, ..."""
    value = jnp.zeros_like(y) + coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * y + c
    return value


@functools.lru_cache(maxsize=1)
def _tanh_fit() -> tuple[np.ndarray, np.ndarray]:
    """Odd P of degree 3 and Q = q z with P / (1 + Q^2) near tanh on (-3, 3): linear least squares of P - tanh q^2 z^2 = tanh."""
    z = np.linspace(-3, 3, 121)
    t = np.tanh(z)
    (p1, p3, s), *_ = np.linalg.lstsq(np.stack([z, z**3, -t * z**2], 1), t, rcond=None)
    return np.array([0.0, p1, 0.0, p3]), np.array([np.sqrt(max(s, 0.0)), 0.0])
