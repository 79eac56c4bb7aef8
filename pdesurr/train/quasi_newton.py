"""Self-scaled quasi-Newton methods that hold the whole inverse Hessian: for networks of some thousand numbers in float64."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from pdesurr.checks import require

Update = Literal["ssbroyden", "ssbfgs", "bfgs"]


class QuasiNewtonState(NamedTuple):
    """`inverse_hessian` is the method's own idea of it; `fresh`: not updated yet; `stuck` counts steps that lowered nothing."""

    inverse_hessian: Float[Array, "n n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    fresh: Bool[Array, ""]
    stuck: Int[Array, ""]


def start(x: Float[Array, " n"]) -> QuasiNewtonState:
    """The state before the first step; the value and gradient are found by `restart`."""
    return QuasiNewtonState(jnp.eye(x.size, dtype=x.dtype), jnp.asarray(jnp.inf, x.dtype), jnp.zeros_like(x), jnp.asarray(True),
                            jnp.zeros((), jnp.int32))


def restart(function: Callable[[Array], Array], x: Float[Array, " n"], state: QuasiNewtonState) -> QuasiNewtonState:
    """The state for another function nearby (fresh points, other weights): what is known of its curvature stays."""
    value, gradient = jax.value_and_grad(function)(x)
    return state._replace(value=value, gradient=gradient)


def quasi_newton(function: Callable[[Array], Array], x: Float[Array, " n"], state: QuasiNewtonState, steps: int,
                 update: Update = "ssbroyden", search_steps: int = 25) -> tuple[Float[Array, " n"], QuasiNewtonState, Float[Array, " s"]]:
    """`steps` steps of the Broyden class that minimise `function`, each with a strong Wolfe line search (Optax's). Compile me.

    Returns x, the state, and the value after each step. Memory: n^2. A step along which the value cannot fall is not taken, and the
    inverse Hessian starts again from the identity.
    Source: Al-Baali, Comput. Optim. Appl. 9 (1998), self-scaled Broyden; for PINNs Urban, Stefanou and Pons, J. Comput. Phys. 523 (2025).
    """
    require(update in UPDATES, "update", f"one of {', '.join(UPDATES)}", update)
    search = optax.scale_by_zoom_linesearch(search_steps, initial_guess_strategy="one")

    def step(carry: tuple[Array, QuasiNewtonState], _: Any) -> tuple[tuple[Array, QuasiNewtonState], Array]:
        x, s = carry
        downhill = -(s.inverse_hessian @ s.gradient)
        good = jnp.dot(downhill, s.gradient) < 0
        direction = jnp.where(good, downhill, -s.gradient)
        with jax.numpy_dtype_promotion("standard"):
            move, found = search.update(direction, search.init(x), x, value=s.value, grad=s.gradient, value_fn=function)
            move = jnp.asarray(move, x.dtype)
        value, gradient = found.value, found.grad  # pyright: ignore[reportAttributeAccessIssue]
        fell = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient)) & (value < s.value)
        changed = gradient - s.gradient
        curved = fell & (jnp.dot(changed, move) > 0)
        base = jnp.where(good, s.inverse_hessian, jnp.eye(x.size, dtype=x.dtype))
        updated = UPDATES[update](base, move, changed, s.gradient, direction, s.fresh | ~good)
        inverse = jnp.where(curved, updated, jnp.where(fell, base, jnp.eye(x.size, dtype=x.dtype)))
        new = QuasiNewtonState(inverse, jnp.where(fell, value, s.value), jnp.where(fell, gradient, s.gradient), s.fresh & ~curved | ~fell,
                               s.stuck + (~fell).astype(jnp.int32))
        return (jnp.where(fell, x + move, x), new), new.value

    (x, state), values = jax.lax.scan(step, (x, state), None, length=steps)
    return x, state, values


def _ssbroyden(h_inv: Array, s: Array, y: Array, g: Array, p: Array, fresh: Array) -> Array:
    n = s.size
    hy = h_inv @ y
    ys, yhy = jnp.dot(y, s), jnp.dot(y, hy)
    rho = 1 / ys
    alpha = jnp.dot(s, p) / jnp.dot(p, p)
    h, b = yhy * rho, -alpha * rho * jnp.dot(s, g)
    a = jnp.maximum(h * b - 1, jnp.finfo(s.dtype).eps)
    lowest = jnp.minimum(1.0, h * (1 - jnp.sqrt(a / (1 + a))))
    theta = jnp.maximum((lowest - 1) / a, jnp.minimum(1 / lowest, (1 - b) / b))
    sigma = 1 + theta * a
    scaled, rate = jnp.abs(sigma) ** (1 / (1 - n)), jnp.minimum(1.0, 1 / b)
    tau = jnp.where(theta <= 0, jnp.minimum(rate * scaled, sigma), rate * jnp.minimum(scaled, 1 / jnp.where(theta > 0, theta, 1.0)))
    tau = jnp.where(fresh, h / sigma, tau)
    phi = (1 - theta) / sigma
    v = rho * s - hy / yhy
    return (h_inv - jnp.outer(hy, hy) / yhy + phi * yhy * jnp.outer(v, v)) / tau + rho * jnp.outer(s, s)


def _bfgs(h_inv: Array, s: Array, y: Array, tau: Array) -> Array:
    hy = h_inv @ y
    ys, yhy = jnp.dot(y, s), jnp.dot(y, hy)
    v = s / ys - hy / yhy
    return (h_inv - jnp.outer(hy, hy) / yhy + yhy * jnp.outer(v, v)) / tau + jnp.outer(s, s) / ys


def _self_scaled_bfgs(h_inv: Array, s: Array, y: Array, g: Array, p: Array, fresh: Array) -> Array:
    alpha = jnp.dot(s, p) / jnp.dot(p, p)
    b = -alpha * jnp.dot(s, g) / jnp.dot(y, s)
    first = jnp.dot(y, h_inv @ y) / jnp.dot(y, s)
    return _bfgs(h_inv, s, y, jnp.where(fresh, first, jnp.minimum(1.0, 1 / b)))


def _plain_bfgs(h_inv: Array, s: Array, y: Array, g: Array, p: Array, fresh: Array) -> Array:
    del g, p
    return _bfgs(h_inv, s, y, jnp.where(fresh, jnp.dot(y, h_inv @ y) / jnp.dot(y, s), 1.0))


UPDATES: dict[str, Callable[..., Array]] = {"ssbroyden": _ssbroyden, "ssbfgs": _self_scaled_bfgs, "bfgs": _plain_bfgs}
