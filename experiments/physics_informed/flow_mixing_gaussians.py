"""Flow mixing in 2 + 1 dimensions by windows in time, each a field of Gaussians found by one linear solve.

Gaussians and points are denser where the vortex shears (its angular velocity is a coefficient of the equation), and finer in later windows,
as the shear winds the front up. Walls and start are the exact solution's, as published."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _study import Preset, Row, main

from pdesurr.fields import known
from pdesurr.fields.regions import Region, box, faces, kronecker
from pdesurr.models.gaussians import GaussianField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import FlowMixing
from pdesurr.train.physics import LeastSquares
from pdesurr.train.windows import fit_windows, handed_over, windows

PDE, BOX, CORE = FlowMixing(), box((0, 4), (-4, 4), (-4, 4)), 1.2


def network(part, gaussians, spread=3.0):
    """sigma = s (1 + (r / CORE)^4)^(1/2) in space, as many Gaussians as 1 / sigma^2 asks for; s falls with time, from 0.35 to
    0.18 for 4000 Gaussians."""
    s = (0.35 - 0.17 * part.lower[0] / 4) * (4000 / gaussians) ** 0.5
    wide = lambda xy: np.sqrt(1 + (np.hypot(*xy.T) / CORE) ** 4)  # noqa: E731
    even = kronecker(100 * gaussians, 3) * 2 - 1
    kept = even[np.random.default_rng(0).random(len(even)) < wide(4.4 * even[:, 1:]) ** -2.0][:gaussians] * 1.1
    sigma = s / 4 * wide(4 * kept[:, 1:])
    field = GaussianField(part.lower, part.upper, 1, gaussians, 0.3, key=jax.random.key(0))
    scales = np.log(np.stack([np.full(gaussians, spread), sigma, sigma], axis=1))
    return eqx.tree_at(lambda m: (m.gaussians.means, m.gaussians.log_scales, m.head), field,
                       (jnp.asarray(kept), jnp.asarray(scales), 0 * field.head))


def nested(region: Region) -> tuple[Region, ...]:
    """The region and two smaller ones about the vortex, for as many points each."""
    return (region, *(region.within(1, -h, h).within(2, -h, h) for h in (2.2, 1.4)))


def problem(points, part, before, key):
    given = lambda u: u - known(u, PDE.exact, "t", "x", "y")  # noqa: E731
    starts = nested(part.at(0, part.lower[0]))
    start = Equation(given, starts, points // 3, 100.0) if before is None else handed_over(before, starts, points // 3, 100.0, key=key)
    return Problem({"equation": Equation(PDE.residual, nested(part), points), "start": start,
                    "walls": Equation(given, faces(part, (1, 2)), points // 8, 10.0)}, ("t", "x", "y"))


def fit(preset, key):
    size = dict(preset.size)
    return fit_windows(windows(BOX, size.pop("windows")), lambda part, before, own: network(part, **size),
                       lambda part, before: problem(preset.points, part, before, key), preset.stages, key=key)


ROW = Row("Flow mixing, Gaussians by windows", fit, BOX, PDE.exact, {
    "smoke": Preset(300, {"windows": 2, "gaussians": 100}, (LeastSquares(1),), (0,)),
    "cpu": Preset(8000, {"windows": 16, "gaussians": 4000}, (LeastSquares(1),)),
}, published=2.67e-4, must=2.7e-4, aim=1e-5, source="PIG, 4 x 4000 Gaussians")

if __name__ == "__main__":
    main(ROW)
