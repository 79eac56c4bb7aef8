"""The Allen-Cahn equation from x^2 cos(pi x) on (-1, 1), periodic, by windows of Fourier features, stretched where the state is
steep, and Gauss-Newton steps. The solution is even, so that on (0, 1), where it is found, u_x = 0 at both ends."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from _layers import in_layers
from _study import Preset, Row, main
from scipy.interpolate import RectBivariateSpline

from pdesurr.fields import d
from pdesurr.fields.regions import box, faces
from pdesurr.objectives.physics import Equation
from pdesurr.pdes import AllenCahn
from pdesurr.train.stages import LeastSquares

PDE, BOX = AllenCahn(), box((0, 1), (0, 1))


def start(x):
    return x**2 * jnp.cos(jnp.pi * x)


def terms(part, regions, points):
    return {"equation": Equation(PDE.residual, regions, points), "walls": Equation(lambda u: d(u, "x"), faces(part, (1,)), 40, 1.0)}


@functools.cache
def spline(nodes):
    """The solver's on so many nodes, whose start has its kink at x = 1; between records by cubic splines."""
    grid, times = PDE.grid(nodes), tuple(i / 400 for i in range(1, 401))
    x = np.asarray(grid.bases[0].nodes)  # the period is (0, 2)
    u0 = jax.vmap(start)(jnp.asarray((x + 1) % 2 - 1))[:, None]
    u = np.concatenate([u0[None], PDE.solve(u0, grid, times)])[..., 0]
    half = slice(0, len(x) // 2 + 4)
    return RectBivariateSpline((0.0, *times), x[half], u[:, half])


def at(nodes):
    return lambda t, x: jnp.asarray(spline(nodes).ev(t, x))


def kink(part):
    """The start's periodic continuation has a kink at x = 1, which diffusion rounds off: as wide as at the window's middle, while it is
    a layer."""
    width = math.sqrt(float(PDE.epsilon) * (part.lower[0] + part.upper[0]) / 2)
    return ((1.0,), (width,)) if width < THIN else ((), ())


# Short windows at first, where the kink rounds off, and at last, where the layer at x = 1/2 is thinnest.
THIN = 0.008
TIMES = (1e-5, 3e-5, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.78, 0.84, 0.88, 0.92, 0.96)

ROW = Row("Allen-Cahn, Fourier features by windows", in_layers(BOX, start, terms, kink), BOX, at(16384), {
    "smoke": Preset(240, {"windows": 2, "features": 60, "scale": (1.0, 10.0)}, (LeastSquares(2),), (0,)),
    "cpu": Preset(2000, {"windows": TIMES, "features": 800, "scale": (1.0, 30.0)}, (LeastSquares(6),)),
}, published=1.88e-6, must=1e-4, aim=1.9e-6, source="vRBA with self-scaled Broyden", rougher=at(8192))

if __name__ == "__main__":
    main(ROW)
