"""Narrow peaks exp(-1000 |x - c|^2) on (-1, 1)^2: solutions whose residual a uniform sample hardly meets. What their comparisons share."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from pdesurr.fields import AbstractField, d, known, laplacian
from pdesurr.fields.regions import box, faces
from pdesurr.objectives.physics import Equation, Problem

SQUARE = box((-1, 1), (-1, 1))
SHARPNESS = 1000.0


def peaks(*centres: tuple[float, float]) -> Callable[..., Array]:
    """The sum of a peak at each."""
    return lambda x, y: sum((jnp.exp(-SHARPNESS * ((x - a) ** 2 + (y - b) ** 2)) for a, b in centres), jnp.zeros_like(x))


def poisson(u: AbstractField) -> AbstractField:
    """-Lap u."""
    return -laplacian(u, "x", "y")


def drift(u: AbstractField) -> AbstractField:
    """-div(u grad |x|^2) + Lap u, with grad |x|^2 = 2 (x, y)."""
    along = lambda name: d(known(u, lambda v: 2.0 * v, name) * u, name)  # noqa: E731
    return laplacian(u, "x", "y") - along("x") - along("y")


def problem(operator: Callable[[AbstractField], AbstractField], exact: Callable[..., Array], points: int, weight: float) -> Problem:
    """operator(u) = operator(exact), u = exact on the walls: operators that are linear, of the difference."""
    gone = lambda u: u - known(u, exact, "x", "y")  # noqa: E731
    return Problem({"equation": Equation(lambda u: operator(gone(u)), (SQUARE,), points),
                    "walls": Equation(gone, faces(SQUARE, (0, 1)), max(4, points // 5), weight)}, ("x", "y"))


ONE, TWO = peaks((0.5, 0.5)), peaks((0.5, 0.5), (-0.5, -0.5))
PROBLEMS = {"one peak": (poisson, ONE), "two peaks": (drift, TWO)}  # by name: operator, solution
