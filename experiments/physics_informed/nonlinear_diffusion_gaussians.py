"""Nonlinear diffusion of three bumps in 2 + 1 dimensions by windows of Gaussians and Gauss-Newton steps. The reference is the finite volume
solver's on 201 cells an axis, by cubic splines through the squares of its records: the square is smooth at the walls.

The bumps reach the walls, where u = 0 is asked: u, which diffuses by its own size, leaves them as the root of the distance, in a layer as
thin as sqrt(alpha u t). Gaussians that are narrow across the wall hold it, and the equation is weighted down where the root's terms,
infinite each, cancel: near the walls, where the start is not zero. Elsewhere the bumps end in fronts; Gaussians are denser about them."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _study import Preset, Row, main
from scipy.interpolate import RegularGridInterpolator

from pdesurr.fields import known
from pdesurr.fields.regions import box, faces, kronecker
from pdesurr.models.coordinate import derivatives
from pdesurr.models.gaussians import GaussianField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import NonlinearDiffusion
from pdesurr.train.stages import LeastSquares
from pdesurr.train.windows import fit_windows, handed_over, windows

PDE, BOX, CELLS = NonlinearDiffusion(intervals=40), box((0, 1), (-1, 1), (-1, 1)), 201
WALLS = ((1, -1.0), (1, 1.0), (2, -1.0))  # axis and place of those that u reaches
LAYER, NEAR, DRY = 0.08, 0.015, 1e-6  # depth of denser points, of the equation's lower weight; a start that is next to nothing
SHARP, DENSEST = 2.0, 9.0  # curvature that doubles the density of the Gaussians; how many times more they may get


def near(x, y):
    """Small near the walls that the bumps reach, one elsewhere."""
    depth, u = (1 - jnp.abs(x)) * (1 - jnp.abs(y)), PDE.benchmark(x, y)
    return depth / (depth + NEAR * u / (u + DRY) + 1e-9)


def strips(part):
    """The region, and layers along the walls: three fifths of the points everywhere, the others there."""
    found = [part] * 9
    for axis, at in WALLS:
        for depth in (LAYER, LAYER / 4):
            found.append(part.within(axis, *sorted((at, at - depth * np.sign(at)))))
    return tuple(found)


def problem(points, part, before, key):
    starts = strips(part.at(0, part.lower[0]))
    given = Equation(lambda u: u - known(u, PDE.benchmark, "x", "y"), starts, points // 3, 1e3)
    start = given if before is None else handed_over(before, starts, points // 3, 1e3, key=key)
    weighted = lambda u: known(u, near, "x", "y") * PDE.residual(u)  # noqa: E731
    return Problem({"equation": Equation(weighted, strips(part), points), "start": start,
                    "walls": Equation(lambda u: u, faces(part, (1, 2)), points // 6, 1e3)}, ("t", "x", "y"))


def curvature(before, t):
    """(x, y) -> |Lap u| at the time t."""
    if before is None:
        hessian = jax.vmap(jax.hessian(lambda x: PDE.benchmark(x[0], x[1])))
        return lambda x: jnp.abs(jnp.trace(hessian(x), axis1=1, axis2=2))
    read = ((0, 2, 0), (0, 0, 2))

    def at(x):
        jet = derivatives(before, jnp.concatenate([jnp.full((len(x), 1), t), x], axis=1), read)
        return jnp.abs(jet.part(read[0]) + jet.part(read[1]))[:, 0]

    return at


def network(part, before, gaussians, layer, sigma=0.28, deep=2.0, across=(0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.04, 0.06)):
    """`gaussians` that fill the square, as wide as `sigma` and less, and as much denser, where u is curved; along each wall `layer` at each
    of the distances `across`."""
    even = kronecker(24 * gaussians, 3) * 2.2 - 1.1
    inside = jnp.clip(jnp.asarray(even[:, 1:]), -0.95, 0.95)
    dense = 1 + np.minimum(np.asarray(curvature(before, part.lower[0])(inside)) / SHARP, DENSEST)
    kept = np.flatnonzero(np.random.default_rng(1).random(len(even)) < dense / (1 + DENSEST))
    kept = np.random.default_rng(0).permutation(kept)[:gaussians]
    wide = sigma / np.sqrt(dense[kept])
    means, scales = [even[kept]], [np.stack([np.full(gaussians, deep), wide, wide], axis=1)]
    for axis, at in WALLS:
        for i, depth in enumerate(across):
            along = (kronecker(layer + i, 2) * 2.2 - 1.1)[:layer]
            mean, scale = np.empty((layer, 3)), np.empty((layer, 3))
            mean[:, 0], mean[:, axis], mean[:, 3 - axis] = along[:, 0], at - depth * np.sign(at), along[:, 1]
            scale[:, 0], scale[:, axis], scale[:, 3 - axis] = deep, 0.8 * depth, 0.25
            means, scales = [*means, mean], [*scales, scale]
    total = sum(map(len, means))
    field = GaussianField(part.lower, part.upper, 1, total, 0.3, key=jax.random.key(0))
    return eqx.tree_at(lambda m: (m.gaussians.means, m.gaussians.log_scales, m.head), field,
                       (jnp.asarray(np.concatenate(means)), jnp.log(jnp.asarray(np.concatenate(scales))), 0 * field.head))


def fit(preset, key):
    size = dict(preset.size)
    return fit_windows(windows(BOX, size.pop("windows")), lambda part, before, own: network(part, before, **size),
                       lambda part, before: problem(preset.points, part, before, key), preset.stages, key=key)


@functools.cache
def reference(cells):
    grid = PDE.grid(cells)
    u = jnp.asarray(PDE.benchmark(*np.moveaxis(np.asarray(grid.nodes), -1, 0)))[..., None]
    records = np.moveaxis(np.concatenate([u, PDE.solve(u, grid)], axis=-1), -1, 0)
    axis = np.concatenate([[-1.0], np.asarray(grid.bases[0].nodes), [1.0]])  # zero on the walls
    return RegularGridInterpolator((PDE.record_times, axis, axis), np.pad(records, ((0, 0), (1, 1), (1, 1))) ** 2, method="cubic")


def at(cells):
    return lambda *x: jnp.sqrt(jnp.maximum(jnp.asarray(reference(cells)(np.stack(x, -1))), 0.0))


ROW = Row("Nonlinear diffusion, Gaussians by windows", fit, BOX, at(CELLS), {
    "smoke": Preset(300, {"windows": 2, "gaussians": 60, "layer": 4}, (LeastSquares(2),), (0,)),
    "cpu": Preset(9500, {"windows": (0.01, 0.05, 0.14, 0.3, 0.45, 0.6, 0.8), "gaussians": 2800, "layer": 36}, (LeastSquares(3),)),
}, published=1.44e-3, must=1e-3, aim=1e-4, source="PIG", rougher=at(151))

if __name__ == "__main__":
    main(ROW)
