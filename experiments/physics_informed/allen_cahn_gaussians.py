"""The Allen-Cahn equation of the physics-informed benchmark, from x^2 cos(pi x), by windows of Gaussians placed where the state before is
steep, and Gauss-Newton steps. The start is even, so no flux at x = -1 and 1 stands for the period. The reference is the solver's on 8192
nodes: the start's kink at the seam costs it about 4e-8."""

import functools

import jax.numpy as jnp
from _layers import fit_layers, none
from _reference import periodic_line
from _study import Preset, Row, main

from pdesurr.fields import d
from pdesurr.fields.regions import box, faces
from pdesurr.models.gaussians import GaussianField
from pdesurr.objectives.physics import Equation
from pdesurr.pdes import AllenCahn
from pdesurr.train.stages import LeastSquares

PDE, BOX = AllenCahn(), box((0, 1), (-1, 1))


def start(x):
    return x**2 * jnp.cos(jnp.pi * x)


def terms(part, regions, points):
    return {"equation": Equation(PDE.residual, regions, points), "walls": Equation(lambda u: d(u, "x"), faces(part, (1,)), 40)}


@functools.cache
def reference():
    return periodic_line(PDE, start, 8192, 400, -1.0)


ROW = Row("Allen-Cahn, Gaussians by windows", none, GaussianField, BOX, lambda t, x: reference()(t, x), {
    "smoke": Preset(240, {"windows": 2, "gaussians": 60, "overlap": 2.0}, (LeastSquares(2),), (0,)),
    "cpu": Preset(3000, {"windows": 10, "gaussians": 900, "overlap": 4.0}, (LeastSquares(8),)),
}, published=1.88e-6, must=1e-4, aim=1.9e-6, source="vRBA with self-scaled Broyden", fit=fit_layers(start, terms))

if __name__ == "__main__":
    main(ROW)
