"""Cubic spline interpolation as a matrix."""

import numpy as np
from jaxtyping import Float

from pdesurr.checks import require


def spline_matrix(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m n"]:
    """M with M f = the not-a-knot cubic spline through (x_i, f_i), at `y`; beyond the ends the outermost cubics go on. n >= 4.

    Source: de Boor, A Practical Guide to Splines (1978), chapter IV: the slopes solve a tridiagonal system, closed by equal third
    derivatives across the second and the last but one node.
    """
    n, h = len(x), np.diff(x)
    require(n >= 4, "x", "at least 4 nodes", n)
    left, right = np.zeros((n, n)), np.zeros((n, n))  # left @ slopes = right @ f
    for i in range(1, n - 1):
        left[i, i - 1 : i + 2] = h[i], 2 * (h[i - 1] + h[i]), h[i - 1]
        right[i, i - 1 : i + 2] = 3 * np.array([-h[i] / h[i - 1], h[i] / h[i - 1] - h[i - 1] / h[i], h[i - 1] / h[i]])
    for row, (i, j, sign) in ((0, (0, 1, 1)), (n - 1, (n - 3, n - 2, 1))):
        # third derivative on interval k: (6 (s_k + s_{k+1}) - 12 (f_{k+1} - f_k) / h_k) / h_k^2, equal on intervals i and j
        for k, factor in ((i, sign), (j, -sign)):
            left[row, k : k + 2] += factor / h[k] ** 2
            right[row, k : k + 2] += factor * 2 * np.array([-1.0, 1.0]) / h[k] ** 3
    slopes = np.linalg.solve(left, right)
    k = np.clip(np.searchsorted(x, y, side="right") - 1, 0, n - 2)
    t = ((y - x[k]) / h[k])[:, None]
    f, df = np.eye(n), slopes * 1.0
    step = h[k][:, None]
    return ((1 + 2 * t) * (1 - t) ** 2 * f[k] + t * (1 - t) ** 2 * step * df[k] + t**2 * (3 - 2 * t) * f[k + 1]
            - t**2 * (1 - t) * step * df[k + 1])
