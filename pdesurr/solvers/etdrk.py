"""Exponential time differencing Runge-Kutta (ETDRK) for semilinear equations u_t = L u + N(u) with L diagonal.

Source: Cox and Matthews, J. Comput. Phys. 176 (2002), equations 4, 22, 23-25, 26-29; the contour evaluation of the
coefficients: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 2.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from pdesurr.checks import require

Step = Callable[[Array], Array]
CONTOUR_POINTS = 32


class Semilinear(eqx.Module):
    """u_t = symbol * u + nonlinear(u) for coefficients u: what an exponential scheme needs to know of an equation.

    `symbol` is a host complex128 array, or a traced array where the equation's coefficients are differentiated.
    """

    symbol: Any
    nonlinear: Callable[[Array], Array]


def phi(z: Any, count: int) -> list[Any]:
    """phi_1 ... phi_count at z, where phi_j(z) = (exp(z) - sum_{m<j} z^m / m!) / z^j.

    Means over a circle of radius 1 around z: no cancellation near zero, right for complex z. On the host in complex128 unless
    z is traced; the result is complex, and keeping only its real part would drop dispersive equations to first order.
    """
    xp: Any = jnp if isinstance(z, jax.Array) else np
    circle = np.exp(2j * np.pi * (np.arange(CONTOUR_POINTS) + 0.5) / CONTOUR_POINTS)
    zs = xp.stack([z + complex(c) for c in circle])
    values, numerator, factorial = [], xp.exp(zs), 1.0
    for j in range(count):
        numerator = numerator - zs**j / factorial
        values.append(xp.mean(numerator / zs ** (j + 1), axis=0))
        factorial *= j + 1
    return values


def etdrk(equation: Semilinear, dt: float | Array, order: int = 4) -> Step:
    """One step of size `dt` of the scheme of that order: `scheme(equation, dt) -> step`, `step(u_hat) -> u_hat`.

    Coefficients are computed once, at host precision, and cast to the state's dtype inside the step; a traced `dt` has them computed on
    the device.
    """
    require(order in SCHEMES, "order", f"one of {sorted(SCHEMES)}", order)
    symbol = equation.symbol
    z = symbol * dt if isinstance(symbol, jax.Array) or isinstance(dt, jax.Array) else np.asarray(symbol, np.complex128) * dt
    return SCHEMES[order](z, dt, equation.nonlinear)


def _cast(u: Complex[Array, "..."], *coefficients: Any) -> list[Array]:
    return [jnp.asarray(c).astype(u.dtype) for c in coefficients]


def _etdrk1(z: Any, dt: float | Array, nonlinear: Step) -> Step:
    exp, weight = _exp(z), dt * phi(z, 1)[0]

    def step(u):
        e, w = _cast(u, exp, weight)
        return e * u + w * nonlinear(u)

    return step


def _etdrk2(z: Any, dt: float | Array, nonlinear: Step) -> Step:
    p1, p2 = phi(z, 2)
    coefficients = _exp(z), dt * p1, dt * p2

    def step(u):
        e, w1, w2 = _cast(u, *coefficients)
        n_u = nonlinear(u)
        a = e * u + w1 * n_u
        return a + w2 * (nonlinear(a) - n_u)

    return step


def _etdrk3(z: Any, dt: float | Array, nonlinear: Step) -> Step:
    p1, p2, p3 = phi(z, 3)
    half = dt / 2 * phi(z / 2, 1)[0]
    coefficients = _exp(z), _exp(z / 2), half, dt * p1, dt * (p1 - 3 * p2 + 4 * p3), dt * (4 * p2 - 8 * p3), dt * (4 * p3 - p2)

    def step(u):
        e, e_half, h, w1, f1, f2, f3 = _cast(u, *coefficients)
        n_u = nonlinear(u)
        n_a = nonlinear(e_half * u + h * n_u)
        n_b = nonlinear(e * u + w1 * (2 * n_a - n_u))
        return e * u + f1 * n_u + f2 * n_a + f3 * n_b

    return step


def _etdrk4(z: Any, dt: float | Array, nonlinear: Step) -> Step:
    p1, p2, p3 = phi(z, 3)
    half = dt / 2 * phi(z / 2, 1)[0]
    coefficients = _exp(z), _exp(z / 2), half, dt * (p1 - 3 * p2 + 4 * p3), dt * (2 * p2 - 4 * p3), dt * (4 * p3 - p2)

    def step(u):
        e, e_half, h, f1, f2, f3 = _cast(u, *coefficients)
        n_u = nonlinear(u)
        a = e_half * u + h * n_u
        n_a = nonlinear(a)
        n_b = nonlinear(e_half * u + h * n_a)
        n_c = nonlinear(e_half * a + h * (2 * n_b - n_u))
        return e * u + f1 * n_u + f2 * (n_a + n_b) + f3 * n_c

    return step


def _exp(z: Any) -> Any:
    return jnp.exp(z) if isinstance(z, jax.Array) else np.exp(z)


SCHEMES = {1: _etdrk1, 2: _etdrk2, 3: _etdrk3, 4: _etdrk4}
