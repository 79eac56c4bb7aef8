"""Newton's method with a dense Jacobian, for a few thousand unknowns."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require


def newton(equation: Callable[[Array], Array], start: Float[Array, "..."], iterations: int) -> tuple[Float[Array, "..."], Float[Array, ""]]:
    """(u, max |equation(u)|) with equation(u) = 0 after a fixed number of iterations from `start`, so that batches stay in step.

    The Jacobian comes by forward mode, column by column, and is factorised anew each time: O(m^3) for m unknowns. It converges
    quadratically from near a solution and may diverge from afar: check the residual. Differentiable in whatever `equation` closes over: by
    the implicit function theorem, one more linear solve, and not through the iterations. `start` gets no gradient.
    """
    require(isinstance(iterations, int) and iterations >= 1, "iterations", "a whole number >= 1", iterations)
    shape = start.shape
    flat = lambda v: jnp.ravel(equation(v.reshape(shape)))  # noqa: E731

    def solve(f: Callable[[Array], Array], u: Array) -> Array:
        return lax.scan(lambda v, _: (v - jnp.linalg.solve(jax.jacfwd(f)(v), f(v)), None), u, None, length=iterations)[0]

    def tangent(linear: Callable[[Array], Array], y: Array) -> Array:
        return jnp.linalg.solve(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    u = lax.custom_root(flat, jnp.ravel(lax.stop_gradient(start)), solve, tangent)
    return u.reshape(shape), jnp.max(jnp.abs(flat(u)))
