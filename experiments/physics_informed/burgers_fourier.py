"""Burgers' equation at nu = 0.01 / pi by windows of Fourier features, stretched where the state is steep, and Gauss-Newton steps."""

import math

import jax.numpy as jnp
import numpy as np
from _layers import in_layers
from _study import Preset, Row, main

from pdesurr.fields.regions import box, faces
from pdesurr.objectives.physics import Equation
from pdesurr.pdes import Burgers
from pdesurr.train.stages import LeastSquares

PDE, BOX = Burgers(nu=0.01 / math.pi), box((0, 1), (-1, 1))


def start(x):
    return -jnp.sin(jnp.pi * x)


def terms(part, regions, points):
    return {"equation": Equation(PDE.residual, regions, points), "walls": Equation(lambda u: u, faces(part, (1,)), 40, 1e3)}


def exact(t, x, nodes=200):
    """Cole and Hopf's, by Gauss-Hermite quadrature on the host: exp(-cos(pi y) / (2 pi nu)) averaged about x, variance 2 nu t."""
    t, x = np.maximum(np.asarray(t), 1e-12), np.asarray(x)
    z, w = np.polynomial.hermite.hermgauss(nodes)
    y = x[:, None] - np.sqrt(4 * PDE.nu * t)[:, None] * z
    phi = np.exp(-(1 + np.cos(np.pi * y)) / (2 * np.pi * PDE.nu)) * w
    return jnp.asarray(-np.sum(np.sin(np.pi * y) * phi, 1) / np.sum(phi, 1))


ROW = Row("Burgers, Fourier features by windows", in_layers(BOX, start, terms), BOX, exact, {
    "smoke": Preset(240, {"windows": 2, "features": 60, "scale": (1.0, 10.0)}, (LeastSquares(2),), (0,)),
    "cpu": Preset(2500, {"windows": 40, "features": 1000, "scale": (1.0, 40.0)}, (LeastSquares(6),)),
}, published=5e-9, must=1e-6, aim=5e-9, source="vRBA with self-scaled Broyden", rougher=lambda t, x: exact(t, x, 150))

if __name__ == "__main__":
    main(ROW)
