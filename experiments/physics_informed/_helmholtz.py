"""Lap u + u = f on (-1, 1)^2, u = 0 on the walls, u = sin(a1 pi x) sin(a2 pi y): what its rows share."""

from pdesurr.fields import known
from pdesurr.fields.regions import box, faces
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import Helmholtz

PDE, SQUARE = Helmholtz(), box((-1, 1), (-1, 1))
ENDS = (SQUARE.lower, SQUARE.upper)


def problem(points: int, a1: int, a2: int, weight: float = 1e6) -> Problem:
    """`weight`: of the walls; f is some hundred times u, and u on the walls should be as exact as f inside."""
    text = lambda u: PDE.residual(u, known(u, lambda x, y: PDE.source(x, y, a1, a2), "x", "y"))  # noqa: E731
    walls = Equation(lambda u: u, faces(SQUARE, (0, 1)), points // 10, weight)
    return Problem({"equation": Equation(text, (SQUARE,), points), "walls": walls}, ("x", "y"))


def exact(a1: int, a2: int):
    return lambda x, y: PDE.exact(x, y, a1, a2)
