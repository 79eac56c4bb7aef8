"""u'' + u^2 = f between given ends, with the answer of the regression row: the largest error of two networks, the second on the residual of
the first."""

import jax
from _multistage import BOX, exact, stacked
from _study import Preset, Row, largest, main

from pdesurr.fields import d, known
from pdesurr.fields.regions import faces
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.train.physics import LeastSquares

CURVATURE = jax.grad(jax.grad(exact))


def source(x):
    return jax.vmap(CURVATURE)(x) + exact(x) ** 2


def problem(points: int) -> Problem:
    return Problem({"equation": Equation(lambda u: d(u, "x", 2) + u**2 - known(u, source, "x"), (BOX,), points),
                    "ends": Equation(lambda u: u - known(u, exact, "x"), faces(BOX, (0,)), 2, 1e6)}, ("x",))


ROW = Row("Multi-stage PINN, largest error", stacked(problem), BOX, exact, {
    "smoke": Preset(100, {"networks": 2, "features": 20}, (LeastSquares(2),), (0,)),
    "cpu": Preset(900, {"networks": 2}, (LeastSquares(8),)),
}, published=None, must=1e-10, aim=1e-13, error=largest)

if __name__ == "__main__":
    main(ROW)
