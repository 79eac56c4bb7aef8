"""A minimum by someone else's method: SciPy's, Optax's or Optimistix's, behind one call."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from pdesurr.checks import DivergedError, expected, require
from pdesurr.optimise.doors import Flat, Objective, Vector, box_of, check_scalar
from pdesurr.optimise.optimum import Optimum

SCIPY = ("L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP", "trust-constr")
BOUNDED = ("L-BFGS-B", "TNC", "SLSQP", "trust-constr")


def minimise(objective: Objective, start: PyTree, *, method: Any = "L-BFGS-B", bounds: tuple[Any, Any] | None = None, steps: int = 200,
             tolerance: float | None = None, truth: Objective | None = None) -> Optimum:
    """A local minimum of `objective(x)`, a scalar that jax traces and differentiates, over x of `start`'s structure.

    `method`: a name of SciPy's, an Optax transformation (`optax.adam(1e-2)`; iterates are projected onto the bounds) or an Optimistix
    minimiser (no bounds). `bounds`: a pair of numbers or of pytrees like `start`. `steps`: at most that many. `tolerance`: SciPy's,
    for an objective in units of its size; ten roundings if None. What is returned is the best point seen. `truth(x)`: the same objective
    through the true solver, evaluated once, at the end: without it nobody knows what the claim is worth; `trust_region` asks it on the
    way.

    Works in the start's dtype: enable 64 bits for tolerances below 1e-6. Raises `UsageError` for bad arguments, and `DivergedError` where
    the objective or the truth is not finite at the start or at the end.
    """
    require(type(steps) is int and steps >= 1, "steps", "a whole number >= 1", steps)
    sound = tolerance is None or (isinstance(tolerance, (int, float)) and 0 <= tolerance < math.inf)
    require(sound, "tolerance", "None or a number >= 0", tolerance)
    flat = Flat(objective, start)
    if truth is not None:
        check_scalar(truth, flat.pytree(flat.start), "truth")
    lower, upper = box_of(bounds, flat)
    if not math.isfinite(flat(flat.start)[0]):
        raise DivergedError("the objective is not finite at the start; begin elsewhere")
    if isinstance(method, str):
        require(method in SCIPY, "method", f"one of {', '.join(SCIPY)}, an Optax transformation or an Optimistix minimiser", method)
        require(bounds is None or method in BOUNDED, "method", f"with bounds, one of {', '.join(BOUNDED)}", method)
        history, message, converged = by_scipy(flat, method, lower, upper, steps, tolerance)
    else:
        require(tolerance is None, "tolerance", "None: the method has its own", tolerance)
        if isinstance(method, optax.GradientTransformation):
            history, message, converged = _by_optax(flat, method, lower, upper, steps)
        else:
            history, message, converged = _by_optimistix(flat, method, bounds, steps)
    x = flat.pytree(flat.best)
    verified = None if truth is None else float(jax.jit(truth)(x))
    if verified is not None and not math.isfinite(verified):
        raise DivergedError(f"the true objective is not finite at the optimum, of which the surrogate claims {flat.lowest:.4g}; set bounds")
    return Optimum(x, flat.lowest, verified, flat.calls, int(truth is not None), history, message, converged)


Ended = tuple[list[dict[str, float]], str, bool]


def by_scipy(flat: Any, method: str, lower: Vector, upper: Vector, steps: int, tolerance: float | None) -> Ended:
    """From `flat.start`, with the objective in units of its value there: SciPy's tolerances have a scale. Where it has fallen below a tenth
    of the unit, and the tolerance is more than a millionth of what it has come to, the search goes on in units of that. `flat` keeps the
    best point and counts evaluations."""
    from scipy.optimize import Bounds, minimize

    history: list[dict[str, float]] = []
    tolerance = float(10 * np.finfo(flat.dtype).eps) if tolerance is None else tolerance
    bounded = np.isfinite(lower).any() or np.isfinite(upper).any()
    box: Any = Bounds(lower, upper) if bounded else None  # pyright: ignore[reportArgumentType]
    at, unit = flat.start, abs(flat(flat.start)[0]) or 1.0
    while True:

        def scaled(x: Vector, unit: float = unit) -> tuple[float, Vector]:
            value, gradient = flat(x)
            return value / unit, gradient / unit

        found = minimize(scaled, at, jac=True, method=method, tol=tolerance, bounds=box,
                         callback=lambda *_: history.append({"claimed": flat.lowest, "calls": flat.calls}), options={"maxiter": steps})
        steps -= int(getattr(found, "nit", steps))  # SciPy leaves it out where the bounds leave nothing to search
        coarse = 0 < abs(flat.lowest) < 0.1 * unit and tolerance * unit > 1e-6 * abs(flat.lowest)
        if steps < 1 or not found.success or not coarse:
            return history, str(found.message), bool(found.success)
        at, unit = flat.best, abs(flat.lowest)


def _by_optax(flat: Flat, method: optax.GradientTransformation, lower: Vector, upper: Vector, steps: int) -> Ended:
    optimiser = optax.with_extra_args_support(method)
    low, high = jnp.asarray(lower, flat.dtype), jnp.asarray(upper, flat.dtype)

    @jax.jit
    def update(x: Any, state: Any, value: Any, gradient: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            change, state = optimiser.update(gradient, state, x, value=value, grad=gradient, value_fn=flat.of_vector)
            return jnp.clip(x + change, low, high), state

    x = jnp.asarray(flat.start, flat.dtype)
    state, history = optimiser.init(x), []
    for _ in range(steps):
        value, gradient = flat(np.asarray(x))
        if not math.isfinite(value):
            return history, f"stopped after {len(history)} steps: the objective is not finite; lower the learning rate", False
        history.append({"claimed": value})
        x, state = update(x, state, jnp.asarray(value, flat.dtype), jnp.asarray(gradient, flat.dtype))
    flat(np.asarray(x))
    return history, f"all {steps} steps taken", True


def _by_optimistix(flat: Flat, method: Any, bounds: tuple[Any, Any] | None, steps: int) -> Ended:
    import optimistix

    if not isinstance(method, optimistix.AbstractMinimiser):
        raise expected("method", f"one of {', '.join(SCIPY)}, an Optax transformation or an Optimistix minimiser", method)
    require(bounds is None, "bounds", "None: Optimistix has none", bounds, "use L-BFGS-B or an Optax transformation")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        x = jnp.asarray(flat.start, flat.dtype)
        found = optimistix.minimise(lambda x, _: flat.of_vector(x), method, x, max_steps=steps, throw=False)
    flat.calls += int(found.stats["num_steps"])
    flat(np.asarray(found.value))
    ended = bool(found.result == optimistix.RESULTS.successful)
    return [], "converged" if ended else str(optimistix.RESULTS[found.result]), ended
