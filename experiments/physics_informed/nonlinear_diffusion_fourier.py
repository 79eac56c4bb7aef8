"""Nonlinear diffusion of three bumps in 2 + 1 dimensions by random Fourier features and Gauss-Newton steps. The reference is the finite
volume solver's on 201 cells an axis, whose own error is about 1e-4."""

import functools

from _reference import cells_in_time
from _study import Preset, Row, main

from pdesurr.fields import known
from pdesurr.fields.regions import box, faces
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import NonlinearDiffusion
from pdesurr.train.stages import LeastSquares

PDE, BOX = NonlinearDiffusion(intervals=40), box((0, 1), (-1, 1), (-1, 1))


def problem(points: int) -> Problem:
    start = lambda u: u - known(u, PDE.benchmark, "x", "y")  # noqa: E731
    return Problem({"equation": Equation(PDE.residual, (BOX,), points), "start": Equation(start, (BOX.at(0, 0.0),), points // 4, 100.0),
                    "walls": Equation(lambda u: u, faces(BOX, (1, 2)), points // 4, 10.0)}, ("t", "x", "y"))


def network(key, features=1500):
    return RandomFourierField(BOX.lower, BOX.upper, 1, features, (1.0, 5.0, 5.0), key=key)


@functools.cache
def reference():
    return cells_in_time(PDE, PDE.benchmark, 201)


ROW = Row("Nonlinear diffusion, Fourier features", problem, network, BOX, lambda t, x, y: reference()(t, x, y), {
    "smoke": Preset(300, {"features": 60}, (LeastSquares(2),), (0,)),
    "cpu": Preset(4500, {}, (LeastSquares(10),)),
}, published=1.44e-3, must=1e-3, aim=1e-4, source="PIG")

if __name__ == "__main__":
    main(ROW)
