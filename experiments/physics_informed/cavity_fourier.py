"""The lid-driven cavity at Re = 100 with the regularised lid, by the stream function in random Fourier features and Gauss-Newton steps. The
error is that of the velocity, against the reference solver."""

import jax.numpy as jnp
from _study import Preset, Row, main, whole

from pdesurr.fields import d, known
from pdesurr.fields.regions import box, faces
from pdesurr.models.coordinate import derivatives
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import Cavity
from pdesurr.train.physics import LeastSquares

PDE, BOX, NODES = Cavity(), box((0, 1), (0, 1)), 32


def problem(points: int) -> Problem:
    """u = psi_y and v = -psi_x: no slip but at the lid."""
    lid = lambda psi: d(psi, "y") - known(psi, PDE.profile, "x")  # noqa: E731
    share = points // 12
    return Problem({
        "equation": Equation(PDE.residual, (BOX,), points), "walls": Equation(lambda psi: psi, faces(BOX, (0, 1)), 2 * share, 1e5),
        "sides": Equation(lambda psi: d(psi, "x"), faces(BOX, (0,)), share, 1e3),
        "floor": Equation(lambda psi: d(psi, "y"), (BOX.at(1, 0.0),), share // 2, 1e3),
        "lid": Equation(lid, (BOX.at(1, 1.0),), share, 1e3)}, ("x", "y"))


def network(key, features=500):
    return RandomFourierField(BOX.lower, BOX.upper, 1, features, 8.0, key=key)


def velocity(model, points):
    psi = derivatives(model, points, ((1, 0), (0, 1)))
    return jnp.concatenate([psi.part((0, 1)), -psi.part((1, 0))], axis=1)


def reference(x, y, nodes=NODES):
    """The solver's velocity, at any points."""
    grid = PDE.grid(nodes)
    lid = PDE.profile(jnp.asarray(grid.bases[0].nodes))
    answer = PDE.solve(jnp.broadcast_to(lid[:, None, None], (nodes, nodes, 1)), grid)
    return grid.evaluate(grid.transform(answer[..., 1:]), jnp.stack([x, y], axis=-1))


ROW = Row("Cavity, Re 100, Fourier features", whole(problem, network), BOX, reference, {
    "smoke": Preset(400, {"features": 60}, (LeastSquares(2),), (0,)),
    "cpu": Preset(2500, {}, (LeastSquares(6),)),
}, published=None, must=1e-2, aim=4e-4, quantity=velocity, rougher=lambda x, y: reference(x, y, NODES - 4))

if __name__ == "__main__":
    main(ROW)
