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
    coefficients = etdrk_coefficients(equation.symbol, dt, order)
    return lambda u: etdrk_step(equation.nonlinear, coefficients, u, order)


def etdrk_coefficients(symbol: Any, dt: float | Array, order: int) -> tuple[Any, ...]:
    """What the scheme multiplies states and right sides with, a number for each mode: the part that costs."""
    z = symbol * dt if isinstance(symbol, jax.Array) or isinstance(dt, jax.Array) else np.asarray(symbol, np.complex128) * dt
    return SCHEMES[order][0](z, dt)


def etdrk_step(nonlinear: Step, coefficients: tuple[Any, ...], u: Complex[Array, "..."], order: int) -> Complex[Array, "..."]:
    """One step with coefficients that are known."""
    return SCHEMES[order][1](nonlinear, u, *(jnp.asarray(c).astype(u.dtype) for c in coefficients))


def _coefficients1(z: Any, dt: float | Array) -> tuple[Any, ...]:
    return _exp(z), dt * phi(z, 1)[0]


def _step1(n: Step, u: Array, e: Array, w: Array) -> Array:
    return e * u + w * n(u)


def _coefficients2(z: Any, dt: float | Array) -> tuple[Any, ...]:
    p1, p2 = phi(z, 2)
    return _exp(z), dt * p1, dt * p2


def _step2(n: Step, u: Array, e: Array, w1: Array, w2: Array) -> Array:
    n_u = n(u)
    a = e * u + w1 * n_u
    return a + w2 * (n(a) - n_u)


def _coefficients3(z: Any, dt: float | Array) -> tuple[Any, ...]:
    p1, p2, p3 = phi(z, 3)
    half = dt / 2 * phi(z / 2, 1)[0]
    return _exp(z), _exp(z / 2), half, dt * p1, dt * (p1 - 3 * p2 + 4 * p3), dt * (4 * p2 - 8 * p3), dt * (4 * p3 - p2)


def _step3(n: Step, u: Array, e: Array, e_half: Array, h: Array, w1: Array, f1: Array, f2: Array, f3: Array) -> Array:
    n_u = n(u)
    n_a = n(e_half * u + h * n_u)
    n_b = n(e * u + w1 * (2 * n_a - n_u))
    return e * u + f1 * n_u + f2 * n_a + f3 * n_b


def _coefficients4(z: Any, dt: float | Array) -> tuple[Any, ...]:
    p1, p2, p3 = phi(z, 3)
    half = dt / 2 * phi(z / 2, 1)[0]
    return _exp(z), _exp(z / 2), half, dt * (p1 - 3 * p2 + 4 * p3), dt * (2 * p2 - 4 * p3), dt * (4 * p3 - p2)


def _step4(n: Step, u: Array, e: Array, e_half: Array, h: Array, f1: Array, f2: Array, f3: Array) -> Array:
    n_u = n(u)
    a = e_half * u + h * n_u
    n_a = n(a)
    n_b = n(e_half * u + h * n_a)
    n_c = n(e_half * a + h * (2 * n_b - n_u))
    return e * u + f1 * n_u + f2 * (n_a + n_b) + f3 * n_c


def _exp(z: Any) -> Any:
    return jnp.exp(z) if isinstance(z, jax.Array) else np.exp(z)


SCHEMES = {1: (_coefficients1, _step1), 2: (_coefficients2, _step2), 3: (_coefficients3, _step3), 4: (_coefficients4, _step4)}
