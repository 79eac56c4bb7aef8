"""The lambda of Lap u + lambda u = f on (-1, 1)^2 from noisy values of u: the error is that of lambda, which is 9 and starts at 1.

lambda = k^2 is the unknown: k itself enters squared, and its gradient vanishes at 0. 1000 values with noise of 1 % of u's deviation, and
u = sin(pi x) sin(pi y), so that lambda is known from them to about 1e-3 at best."""

import jax
import jax.numpy as jnp
from _study import Preset, Row, main, whole

from pdesurr.fields import known, laplacian
from pdesurr.fields.regions import box, faces
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Observations, Problem, WithUnknowns
from pdesurr.pdes import Helmholtz
from pdesurr.train.physics import LeastSquares

PDE, SQUARE, VALUES = Helmholtz(k=3.0), box((-1, 1), (-1, 1)), 1000


def problem(points: int) -> Problem:
    text = lambda u, square: laplacian(u, "x", "y") + square * u - known(u, lambda x, y: PDE.source(x, y, 1, 1), "x", "y")  # noqa: E731
    at = SQUARE.draw(jax.random.key(7), VALUES)
    u = PDE.exact(at[:, 0], at[:, 1], 1, 1)
    noisy = u + 0.01 * jnp.std(u) * jax.random.normal(jax.random.key(8), u.shape)
    return Problem({"equation": Equation(text, (SQUARE,), points), "data": Observations(at, noisy[:, None]),
                    "walls": Equation(lambda u, square: u, faces(SQUARE, (0, 1)), points // 5, 1e4)}, ("x", "y"))


def network(key, features=150):
    return WithUnknowns(RandomFourierField(SQUARE.lower, SQUARE.upper, 1, features, 6.0, law="ball", key=key), {"square": jnp.asarray(1.0)})


ROW = Row("Inverse Helmholtz, 1 % noise", whole(problem, network), SQUARE, lambda x, y: jnp.full_like(x, PDE.k**2), {
    "smoke": Preset(300, {"features": 60}, (LeastSquares(6, "all", 1e-6),), (0,)),
    "cpu": Preset(800, {}, (LeastSquares(20, "all", 1e-6, tolerance=1e-6),)),
}, published=None, must=1e-2, quantity=lambda model, points: jnp.full((len(points), 1), model.unknowns["square"]))

if __name__ == "__main__":
    main(ROW)
