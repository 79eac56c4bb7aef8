"""Nonlinear diffusion of three bumps in 2 + 1 dimensions by windows of random Fourier features and Gauss-Newton steps. The reference
is the finite volume solver's on 201 cells an axis, whose own error is about 1e-4, by cubic splines through its records."""

import functools

import jax.numpy as jnp
import numpy as np
from _study import Preset, Row, main
from scipy.interpolate import RegularGridInterpolator

from pdesurr.fields import known
from pdesurr.fields.regions import box, faces
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import NonlinearDiffusion
from pdesurr.train.stages import LeastSquares
from pdesurr.train.windows import fit_windows, handed_over, windows

PDE, BOX, CELLS = NonlinearDiffusion(intervals=40), box((0, 1), (-1, 1), (-1, 1)), 201


def problem(points, part, before, key):
    first = part.at(0, part.lower[0])
    given = Equation(lambda u: u - known(u, PDE.benchmark, "x", "y"), (first,), points // 4, 1e3)
    start = given if before is None else handed_over(before, (first,), points // 4, 1e3, key=key)
    return Problem({"equation": Equation(PDE.residual, (part,), points), "start": start,
                    "walls": Equation(lambda u: u, faces(part, (1, 2)), points // 4, 10.0)}, ("t", "x", "y"))


def network(part, key, features=1200, scale=7.0):
    return RandomFourierField(part.lower, part.upper, 1, features, (1.0, scale, scale), key=key)


def fit(preset, key):
    size = dict(preset.size)
    return fit_windows(windows(BOX, size.pop("windows")), lambda part, before, own: network(part, own, **size),
                       lambda part, before: problem(preset.points, part, before, key), preset.stages, key=key)


@functools.cache
def reference():
    grid = PDE.grid(CELLS)
    u = jnp.asarray(PDE.benchmark(*np.moveaxis(np.asarray(grid.nodes), -1, 0)))[..., None]
    records = np.moveaxis(np.concatenate([u, PDE.solve(u, grid)], axis=-1), -1, 0)
    axis = np.concatenate([[-1.0], np.asarray(grid.bases[0].nodes), [1.0]])  # zero on the walls
    return RegularGridInterpolator((PDE.record_times, axis, axis), np.pad(records, ((0, 0), (1, 1), (1, 1))), method="cubic")


ROW = Row("Nonlinear diffusion, Fourier features by windows", fit, BOX, lambda *x: jnp.asarray(reference()(np.stack(x, -1))), {
    "smoke": Preset(300, {"windows": 2, "features": 60, "scale": 4.0}, (LeastSquares(2),), (0,)),
    "cpu": Preset(3600, {"windows": 4}, (LeastSquares(6),)),
}, published=1.44e-3, must=1e-3, aim=1e-4, source="PIG")

if __name__ == "__main__":
    main(ROW)
