"""The viscosity of Burgers' equation, u(0, x) = -sin(pi x), from noisy values of u about its front: the error is that of nu, which is
0.01 / pi and starts six times as large.

2000 values on |x| < 0.05, 0.4 < t < 1, with noise of 1 % of u's deviation: elsewhere nu leaves no trace. No condition is asked on the
window's sides, where the values themselves hold u. They are the reference solver's on 4096 nodes."""

import functools
import math

import jax
import jax.numpy as jnp
from _study import Preset, Row, main, whole

from pdesurr.fields import d
from pdesurr.fields.regions import box
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Observations, Problem, WithUnknowns
from pdesurr.pdes import Burgers
from pdesurr.train.physics import LeastSquares

NU = 0.01 / math.pi
PDE, BOX, VALUES, NODES = Burgers(nu=NU, length=2.0), box((0.4, 1), (-0.05, 0.05)), 2000, 4096


@functools.cache
def values():
    """Points of the window and u there with noise."""
    grid, times = PDE.grid(NODES), tuple(0.4 + 0.6 * i / 60 for i in range(61))
    x = jnp.asarray(grid.bases[0].nodes) - 1  # (0, 2) is the period
    u = PDE.solve(-jnp.sin(jnp.pi * x)[:, None], grid, times)[..., 0]
    near = jnp.flatnonzero(jnp.abs(x) < 0.05)
    t, i = (jax.random.randint(jax.random.key(k), (VALUES,), 0, n) for k, n in ((7, len(times)), (8, len(near))))
    u = u[t, near[i]]
    return jnp.stack([jnp.asarray(times)[t], x[near[i]]], axis=1), u + 0.01 * jnp.std(u) * jax.random.normal(jax.random.key(9), u.shape)


def problem(points: int) -> Problem:
    text = lambda u, nu: d(u, "t") + u * d(u, "x") - nu * d(u, "x", 2)  # noqa: E731
    at, u = values()
    return Problem({"equation": Equation(text, (BOX,), points, 1e-2), "data": Observations(at, u[:, None], 10.0)}, ("t", "x"))


def network(key, features=250):
    field = RandomFourierField(BOX.lower, BOX.upper, 1, features, (3.0, 50.0), law="ball", key=key)
    return WithUnknowns(field, {"nu": jnp.asarray(0.02)})


ROW = Row("Inverse Burgers, 1 % noise", whole(problem, network), BOX, lambda t, x: jnp.full_like(x, NU), {
    "smoke": Preset(300, {"features": 100}, (LeastSquares(4, "all", 1e-6),), (0,)),
    "cpu": Preset(1200, {}, (LeastSquares(30, "all", 1e-6, tolerance=1e-5),)),
}, published=None, must=1e-2, quantity=lambda model, points: jnp.full((len(points), 1), model.unknowns["nu"]))

if __name__ == "__main__":
    main(ROW)
