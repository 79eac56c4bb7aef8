"""How large an explicit step may be."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from pdesurr.checks import require

LIMIT = 2.0  # ETDRK4 is unstable from about 2.8


def stable_step(symbol: Any, rate: Float[np.ndarray, "..."], largest: float) -> float:
    """The largest dt <= `largest` with rate |dt phi_1(symbol dt)| <= 2 at every wavenumber.

    `rate` bounds the explicit part's rate at each wavenumber: |u| |k| for advection. phi_1(z) = (e^z - 1) / z is the weight that an
    exponential scheme gives that part: with `symbol` = 0 this is the CFL condition |u| k dt <= 2; where a viscosity damps the mode
    within a step, or a dispersion turns it, larger steps are stable. Linear stability at real sizes of N, not a proof. Raises
    `UsageError` where `largest` or a rate is not finite: no step would do.
    """
    require(math.isfinite(largest) and largest > 0, "largest", "a finite time > 0", largest)
    require(bool(np.all(np.isfinite(rate))), "rate", "finite rates", "NaN or infinity")
    symbol, dt = np.asarray(symbol, np.complex128), largest
    while True:
        z = symbol * dt
        small = np.abs(z) < 1e-6
        weight = np.where(small, 1.0, np.expm1(np.where(small, 1.0, z)) / np.where(small, 1.0, z))
        if np.max(rate * dt * np.abs(weight)) <= LIMIT:
            return dt
        dt *= 0.95
