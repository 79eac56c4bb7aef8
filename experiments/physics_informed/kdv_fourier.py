"""The Korteweg-de Vries equation with delta = 0.022 from cos(pi x), by windows of random Fourier features that have the period, and
Gauss-Newton steps. The reference is the solver's on 1024 nodes."""

import functools

import jax.numpy as jnp
from _layers import march, none
from _reference import periodic_line
from _study import Preset, Row, main

from pdesurr.fields.regions import box
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation
from pdesurr.pdes import KortewegDeVries
from pdesurr.train.stages import LeastSquares

PDE, BOX = KortewegDeVries(), box((0, 1), (-1, 1))


def start(x):
    return jnp.cos(jnp.pi * x)


def network(part, before, features, harmonics, key):
    return RandomFourierField(part.lower, part.upper, 1, features, (2.5, 1.0), harmonics=(0, harmonics), key=key)


def terms(part, before, points):
    return (part,), {"equation": Equation(PDE.residual, (part,), points)}


@functools.cache
def reference():
    return periodic_line(PDE, start, 1024, 1000, -1.0)


ROW = Row("Korteweg-de Vries, Fourier features by windows", none, network, BOX, lambda t, x: reference()(t, x), {
    "smoke": Preset(300, {"windows": 2, "features": 60, "harmonics": 4}, (LeastSquares(2),), (0,)),
    "cpu": Preset(2400, {"windows": 40, "features": 700, "harmonics": 48}, (LeastSquares(5),)),
}, published=3.4e-4, must=2e-3, aim=3.4e-4, source="SOAP", fit=march(start, network, terms))

if __name__ == "__main__":
    main(ROW)
