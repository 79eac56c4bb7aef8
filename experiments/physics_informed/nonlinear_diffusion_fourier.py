"""Nonlinear diffusion of three bumps in 2 + 1 dimensions by windows of random Fourier features and Gauss-Newton steps. The reference
is the finite volume solver's on 201 cells an axis, whose own error is about 1e-4."""

import functools

from _layers import march, none
from _reference import cells_in_time
from _study import Preset, Row, main

from pdesurr.fields.regions import box, faces
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation
from pdesurr.pdes import NonlinearDiffusion
from pdesurr.train.stages import LeastSquares

PDE, BOX = NonlinearDiffusion(intervals=40), box((0, 1), (-1, 1), (-1, 1))


def terms(part, before, points):
    walls = Equation(lambda u: u, faces(part, (1, 2)), points // 4, 10.0)
    return (part,), {"equation": Equation(PDE.residual, (part,), points), "walls": walls}


def network(part, before, features, scale, key):
    return RandomFourierField(part.lower, part.upper, 1, features, (1.0, scale, scale), key=key)


@functools.cache
def reference():
    return cells_in_time(PDE, PDE.benchmark, 201)


ROW = Row("Nonlinear diffusion, Fourier features by windows", none, network, BOX, lambda t, x, y: reference()(t, x, y), {
    "smoke": Preset(300, {"windows": 2, "features": 60, "scale": 4.0}, (LeastSquares(2),), (0,)),
    "cpu": Preset(3600, {"windows": 4, "features": 1200, "scale": 7.0}, (LeastSquares(6),)),
}, published=1.44e-3, must=1e-3, aim=1e-4, source="PIG", fit=march(PDE.benchmark, network, terms))

if __name__ == "__main__":
    main(ROW)
