"""How other people's optimisers call an objective: with flat NumPy vectors in float64."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from pdesurr.checks import DivergedError, expected, require
from pdesurr.types import flattened

Objective = Callable[[Any], Float[Array, ""]]
Vector = np.ndarray


class Flat:
    """An objective of a pytree as one of a vector: compiled once, evaluations counted, the best kept. With `has_aux` it answers (number,
    anything), and `found` lists what came beside the numbers.

    Raises `UsageError` for a start without numbers or with NaN, and for an objective that is not a scalar."""

    def __init__(self, objective: Callable[[Any], Any], start: PyTree, has_aux: bool = False, name: str = "objective"):
        try:
            start = jax.tree.map(jnp.asarray, start)
        except TypeError:
            raise expected("start", "an array or a pytree of arrays, of floats", type(start).__name__) from None
        kinds = [v.dtype.name for v in jax.tree.leaves(start) if v.size]
        fine = any("float" in k for k in kinds) and not any("complex" in k for k in kinds)
        require(fine, "start", "an array or a pytree of arrays, of floats", kinds or "nothing")
        x, self.back = flattened(start)
        require(bool(jnp.all(jnp.isfinite(x))), "start", "finite numbers", "NaN or infinity")
        require(callable(objective), name, "a function", type(objective).__name__)
        check_scalar(lambda x: _number(objective(self.back(x)), has_aux, name), x, name)
        self.start, self.dtype, self.calls = np.asarray(x, np.float64), x.dtype, 0
        self.of_vector = lambda x: objective(self.back(x))
        self._both, self.has_aux = jax.jit(jax.value_and_grad(self.of_vector, has_aux=has_aux)), has_aux
        self.found: list[Any] = []
        self.best, self.lowest = self.start, math.inf

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """(value, gradient)."""
        self.calls += 1
        value, gradient = self._both(jnp.asarray(x, self.dtype))
        if self.has_aux:
            value, found = value
            self.found.append(found)
        if float(value) == -math.inf:
            raise DivergedError("the objective is not bounded below: it came to minus infinity; set bounds, or add a penalty")
        if float(value) < self.lowest:
            self.best, self.lowest = np.array(x, np.float64), float(value)
        return float(value), np.asarray(gradient, np.float64)

    def pytree(self, x: Vector) -> PyTree:
        return self.back(jnp.asarray(x, self.dtype))


def check_scalar(function: Callable[[Any], Any], like: Any, name: str) -> None:
    """Raise `UsageError` unless jax can trace `function` on `like`, to one number."""
    require(callable(function), name, "a function", type(function).__name__)
    try:
        found = jax.eval_shape(function, like)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        raise expected(name, "a function that jax can trace: jax.numpy, and no NumPy, float() or `if` on what depends on x",
                       type(error).__name__, "a solver that is no jax function is called by jax.pure_callback") from error
    if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.floating):
        said = f"{found.dtype}{list(found.shape)}" if hasattr(found, "dtype") else type(found).__name__
        fix = "for a pair (number, anything) pass has_aux=True, where there is one" if isinstance(found, tuple) else ""
        raise expected(name, "a function to one number, of shape () and floating point", said, fix)


def _number(answer: Any, has_aux: bool, name: str) -> Any:
    if not has_aux:
        return answer
    if not (isinstance(answer, tuple) and len(answer) == 2):
        said = "one number" if getattr(answer, "shape", None) == () else type(answer).__name__
        raise expected(name, "with has_aux, a function to a pair (number, anything)", said)
    if not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(answer)) or getattr(answer[0], "shape", None) != ():
        said = [getattr(part, "shape", type(part).__name__) for part in answer]
        raise expected(name, "with has_aux, a pair of one number, first, and arrays", said)
    return answer[0]


def scipy_functions(objective: Objective, start: PyTree) -> tuple[Callable[[Vector], float], Callable[[Vector], Vector], Vector]:
    """(fun, jac, x0) for `scipy.optimize.minimize(fun, x0, jac=jac)` and whatever else takes such functions: of flat float64 vectors, value
    and gradient from one compiled call that is shared where both are asked at the same x. The numbers stand in the order of
    `jax.flatten_util.ravel_pytree(start)`. Raises as `Flat`."""
    flat = Flat(objective, start)
    last: dict[bytes, tuple[float, Vector]] = {}

    def both(x: Vector) -> tuple[float, Vector]:
        at = np.asarray(x, np.float64).tobytes()
        if at not in last:
            last.clear()
            last[at] = flat(x)
        return last[at]

    return lambda x: both(x)[0], lambda x: both(x)[1], flat.start


def box_of(bounds: tuple[Any, Any] | None, flat: Flat) -> tuple[Vector, Vector]:
    """(lower, upper) as vectors; infinite without bounds. Raises `UsageError` for bounds of another structure or that cross."""
    if bounds is None:
        return np.full(flat.start.shape, -np.inf), np.full(flat.start.shape, np.inf)
    pair = "a pair (lower, upper), each a number or like the start (None or -inf: none)"
    require(isinstance(bounds, tuple) and len(bounds) == 2, "bounds", pair, bounds, "for SciPy's list of pairs pass (lowers, uppers)")
    like = flat.pytree(flat.start)

    def vector(bound: Any, none: float) -> Vector:
        bound = none if bound is None else bound
        require(not isinstance(bound, str), "bounds", pair, bounds)
        if np.ndim(bound) == 0 and not isinstance(bound, dict):
            return np.full(flat.start.shape, float(bound))
        try:
            full = jax.tree.map(lambda b, v: jnp.broadcast_to(jnp.asarray(b, v.dtype), v.shape), bound, like)
        except (ValueError, TypeError):
            what = f"a {type(bound).__name__} that is not"
            raise expected("bounds", "numbers, or arrays of the start's structure and shapes", what) from None
        return np.asarray(flattened(full)[0], np.float64)

    lower, upper = vector(bounds[0], -math.inf), vector(bounds[1], math.inf)
    require(bool(np.all(lower <= upper)), "bounds", "lower <= upper", bounds)
    inside = bool(np.all((flat.start >= lower) & (flat.start <= upper)))
    require(inside, "start", "numbers within the bounds", "some outside them", "clip it: jnp.clip(start, lower, upper)")
    return lower, upper
