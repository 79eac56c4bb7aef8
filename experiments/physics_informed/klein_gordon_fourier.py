"""Klein-Gordon in 2 + 1 dimensions, to t = 10, by random Fourier features and Gauss-Newton steps, with u_t(0), without which there are many
solutions (the published losses leave it out)."""

from _study import Preset, Row, main, whole

from pdesurr.fields import d, known
from pdesurr.fields.regions import box, faces
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import KleinGordon
from pdesurr.train.physics import LeastSquares

PDE, BOX = KleinGordon(), box((0, 10), (-1, 1), (-1, 1))


def problem(points: int) -> Problem:
    value = lambda u: u - known(u, PDE.exact, "t", "x", "y")  # noqa: E731
    speed = lambda u: d(u, "t") - known(u, PDE.exact_velocity, "t", "x", "y")  # noqa: E731
    start = (BOX.at(0, 0.0),)
    return Problem({"equation": Equation(PDE.residual, (BOX,), points), "start": Equation(value, start, points // 8, 100.0),
                    "speed": Equation(speed, start, points // 8, 100.0), "walls": Equation(value, faces(BOX, (1, 2)), points // 3, 100.0)},
                   ("t", "x", "y"))


def network(key, features=1000):
    return RandomFourierField(BOX.lower, BOX.upper, 1, features, (10.0, 1.0, 1.0), key=key)


ROW = Row("Klein-Gordon, Fourier features", whole(problem, network), BOX, PDE.exact, {
    "smoke": Preset(400, {"features": 60}, (LeastSquares(2),), (0,)),
    "cpu": Preset(4000, {}, (LeastSquares(12),)),
}, published=3.68e-4, must=1e-5, aim=5e-7, source="PIG, separable")

if __name__ == "__main__":
    main(ROW)
