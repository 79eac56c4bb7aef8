"""Regression to rounding: the largest error of two networks of random features, the second on what the first leaves."""

from _multistage import BOX, exact, stacked
from _study import Preset, Row, largest, main

from pdesurr.fields import known
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.train.physics import LeastSquares


def problem(points: int) -> Problem:
    return Problem({"equation": Equation(lambda u: u - known(u, exact, "x"), (BOX,), points)}, ("x",))


ROW = Row("Multi-stage regression, largest error", stacked(problem), BOX, exact, {
    "smoke": Preset(100, {"networks": 2, "features": 20}, (LeastSquares(2),), (0,)),
    "cpu": Preset(900, {"networks": 2}, (LeastSquares(8),)),
}, published=1e-16, must=1e-13, aim=1e-15, source="Wang and Lai, claimed", error=largest)

if __name__ == "__main__":
    main(ROW)
