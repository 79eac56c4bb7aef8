"""Nonlinear least squares: damped Gauss-Newton steps for residuals whose Jacobian fits in memory."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MOST = 1e3  # damping beyond which no step is worth trying


def damped_solution(jacobian: Float[Array, "rows columns"], r: Float[Array, " rows"], damping: Array | float,
                    floor: Array | float = 0.0) -> Float[Array, " columns"]:
    """The x that minimises |J x - r|^2 + damping^2 |D x|^2, D the norms of J's columns, each at least the fraction `floor` of the largest;
    `damping` is at least machine precision.

    By a QR factorisation of the stacked matrix with r as its last column (no normal equations: their condition number is the square), or,
    if J has fewer rows than columns, by its rows' products (Woodbury), which are as many as the rows."""
    norms = jnp.linalg.norm(jacobian, axis=0)
    norms = jnp.maximum(norms, jnp.maximum(floor * jnp.max(norms), jnp.finfo(jacobian.dtype).tiny ** 0.5))
    scaled = jacobian / norms[None]
    rows, columns = jacobian.shape
    damping = jnp.maximum(jnp.asarray(damping, r.dtype), jnp.finfo(r.dtype).eps)
    if rows < columns:
        kernel = jnp.matmul(scaled, scaled.T, precision="highest") + damping**2 * jnp.eye(rows, dtype=r.dtype)
        return scaled.T @ jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(kernel), r) / norms
    ridge = jnp.concatenate([damping * jnp.eye(columns, dtype=r.dtype), jnp.zeros((columns, 1), r.dtype)], axis=1)
    upper = jnp.linalg.qr(jnp.concatenate([jnp.concatenate([scaled, r[:, None]], axis=1), ridge]), mode="r")
    return jax.scipy.linalg.solve_triangular(upper[:columns, :columns], upper[:columns, columns]) / norms


def marquardt_step(jacobian: Float[Array, "rows columns"], r: Float[Array, " rows"], squares: Callable[[Array], Array],
                   damping: float, least: float, floor: float = 0.0,
                   x: Float[Array, " columns"] | None = None) -> tuple[Float[Array, " columns"], float, float] | None:
    """A step of a Gauss-Newton method with Marquardt's damping, on the host: (change of x, the sum of squares there, the next damping).

    `squares(change)` is the sum of squares after a change. The damping falls by 5 if the step lowers it, else grows by 4 until one does;
    None where none does. `floor`: see `damped_solution`; for numbers of like size, of which some hardly matter.

    With `x` given, the numbers themselves, the step tried first is to the least x that minimises the linearised residuals: it damps
    x + change, not the change. A Jacobian that hardly sees some directions (features that are nearly dependent) would else leave there what
    former steps put, large numbers that cancel and whose rounding ends the convergence.
    Source: Levenberg 1944, Marquardt 1963; for networks Mueller and Zeinhofer, ICML 2023; damping of x itself: Bakushinskii, Comput. Math.
    Math. Phys. 32 (1992)."""
    now = float(jnp.sum(r**2))
    if x is not None:
        change = SOLVE(jacobian, jacobian @ x - r, damping, floor) - x
        value = float(squares(change))
        if math.isfinite(value) and value < now:
            return change, value, max(damping / 5, least)
    while damping <= MOST:
        change = -SOLVE(jacobian, r, damping, floor)
        value = float(squares(change))
        if math.isfinite(value) and value < now:
            return change, value, max(damping / 5, least)
        damping = max(damping * 4, 1e-13)
    return None


SOLVE = jax.jit(damped_solution)
