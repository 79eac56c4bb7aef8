"""Evolutions on (-1, 1), periodic, by windows of random Fourier features whose wavenumbers along x are whole, and Gauss-Newton steps: what
the rows share."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _study import Preset, Row
from jaxtyping import Array
from scipy.interpolate import RectBivariateSpline

from pdesurr.fields import known
from pdesurr.fields.regions import Region, box
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.train.windows import fit_windows, handed_over, windows

BOX = box((0, 1), (-1, 1))


def periodic_row(name: str, pde: Any, start: Any, presets: dict[str, Preset], published: float, must: float, *, nodes: int, records: int,
                 aim: float | None = None, source: str = "") -> Row:
    """The row of `pde` from `start(x)` to t = 1. The reference is the solver's on `nodes`, by quintic splines through its `records`."""

    def problem(points: int, part: Region, before: Any, key: Array) -> Problem:
        first = part.at(0, part.lower[0])
        given = Equation(lambda u: u - known(u, start, "x"), (first,), points // 4, 1e3)
        begin = given if before is None else handed_over(before, (first,), points // 4, 1e3, key=key)
        return Problem({"equation": Equation(pde.residual, (part,), points), "start": begin}, ("t", "x"))

    def network(part: Region, key: Array, features: int, waves: int, scale: float = 3.0) -> RandomFourierField:
        return RandomFourierField(part.lower, part.upper, 1, features, (scale, 1.0), harmonics=(0, waves), key=key)

    def fit(preset: Preset, key: Array):
        size = dict(preset.size)
        return fit_windows(windows(BOX, size.pop("windows")), lambda part, before, own: network(part, own, **size),
                           lambda part, before: problem(preset.points, part, before, key), preset.stages, key=key)

    @functools.cache
    def reference(nodes: int) -> RectBivariateSpline:
        grid, times = pde.grid(nodes), np.linspace(0, 1, records + 1)
        x = np.asarray(grid.bases[0].nodes) - 1  # the solver's period is (0, 2)
        u0 = jax.vmap(start)(jnp.asarray(x))[:, None]
        u = np.concatenate([u0[None], pde.solve(u0, grid, tuple(times[1:].tolist()))])[..., 0]
        more = 8  # columns beyond the period, for the splines
        return RectBivariateSpline(times, np.concatenate([x[-more:] - 2, x, x[:more] + 2]),
                                   np.concatenate([u[:, -more:], u, u[:, :more]], axis=1), kx=5, ky=5)

    at = lambda n: lambda t, x: jnp.asarray(reference(n).ev(t, x))  # noqa: E731
    return Row(name, fit, BOX, at(nodes), presets, published, must, aim, source, rougher=at(nodes // 2))
