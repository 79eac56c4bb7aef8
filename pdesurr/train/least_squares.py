"""Nonlinear least squares: damped Gauss-Newton steps for residuals whose Jacobian fits in memory."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import DivergedError, require

System = Callable[[Any], tuple[Float[Array, "rows columns"], Float[Array, " rows"]]]


def damped_solution(jacobian: Float[Array, "rows columns"], r: Float[Array, " rows"], damping: Array | float) -> Float[Array, " columns"]:
    """The x that minimises |J x - r|^2 + damping^2 |D x|^2, D the norms of J's columns.

    By a QR factorisation of the stacked matrix with r as its last column (no normal equations: their condition number is the square), or,
    if J has fewer rows than columns, by its rows' products (Woodbury), which are as many as the rows."""
    norms = jnp.maximum(jnp.linalg.norm(jacobian, axis=0), jnp.finfo(jacobian.dtype).tiny ** 0.5)
    scaled = jacobian / norms[None]
    rows, columns = jacobian.shape
    damping = jnp.maximum(jnp.asarray(damping, r.dtype), jnp.finfo(r.dtype).eps)
    if rows < columns:
        kernel = scaled @ scaled.T + damping**2 * jnp.eye(rows, dtype=r.dtype)
        return scaled.T @ jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(kernel), r) / norms
    stacked = jnp.concatenate([jnp.concatenate([scaled, r[:, None]], axis=1),
                               jnp.concatenate([damping * jnp.eye(columns, dtype=r.dtype), jnp.zeros((columns, 1), r.dtype)], axis=1)])
    upper = jnp.linalg.qr(stacked, mode="r")
    return jax.scipy.linalg.solve_triangular(upper[:columns, :columns], upper[:columns, columns]) / norms


def levenberg_marquardt(system: System, residual: Callable[[Any], Float[Array, " rows"]], x: Float[Array, " n"], steps: int, *,
                        damping: float = 1e-3, least: float = 1e-14, tolerance: float = 0.0,
                        report: Callable[[int, float, float], None] | None = None) -> tuple[Float[Array, " n"], list[float], float]:
    """Minimise |residual(x)|^2: a step is accepted if it lowers the sum of squares, the damping then falls, else it grows.

    `system(x)` is the Jacobian and the residual. Ends after `steps` accepted steps, or where no step of any damping helps, or the relative
    fall of the sum of squares stays under `tolerance`. Returns x, the sum of squares after each step, and the last damping. A linear
    problem is solved by one step with `damping` = `least`. Raises `DivergedError` if the start is not finite.
    Source: Levenberg 1944, Marquardt 1963; for networks "energy natural gradient", Mueller and Zeinhofer, ICML 2023.
    """
    require(steps >= 1, "steps", "a whole number >= 1", steps)
    solve, squares = jax.jit(damped_solution), jax.jit(lambda x: jnp.sum(residual(x) ** 2))
    system = jax.jit(system)
    now = float(squares(x))
    if not math.isfinite(now):
        raise DivergedError("least squares: the residual of the first guess is not finite")
    history = []
    for step in range(steps):
        jacobian, r = system(x)
        moved = False
        while not moved:
            trial = x - solve(jacobian, r, damping)
            value = float(squares(trial))
            moved = math.isfinite(value) and value < now
            if not moved and damping > 1e3:
                return x, history, damping
            damping = max(damping / 5, least) if moved else max(damping * 4, 1e-13)
        fell, x, now = (now - value) / now, trial, value
        history.append(now)
        if report is not None:
            report(step + 1, now, damping)
        if fell < tolerance:
            break
    return x, history, damping
