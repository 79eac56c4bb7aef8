"""Evolutions in one dimension that make thin layers, by windows of Gaussians placed where the state before changes: what the rows share."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _study import Fit
from jaxtyping import Array

from pdesurr.fields.regions import Region, kronecker
from pdesurr.models.coordinate import derivatives
from pdesurr.models.gaussians import GaussianField
from pdesurr.objectives.physics import Problem
from pdesurr.train.physics import fit_problem
from pdesurr.train.windows import fit_windows, handed_over, windows

FINE, GRADING = 8001, 1.0  # nodes of the monitor, how fast its reciprocal may grow
PARTS, IN_TIME = 24, 6  # regions of equal share, Gaussians deep in time


class Layers:
    """Where a window's layers are: the monitor 1 + weight |u_x| / mean |u_x|, raised about its peaks so that its reciprocal, which the
    distance of Gaussians goes by, grows by at most GRADING a length; and its shares, as a function of x that rises from 0 to 1. `slope(x)`
    is u_x."""

    def __init__(self, part: Region, slope: Callable[[Array], Array], weight: float):
        self.part = part
        self.x = np.linspace(part.lower[1], part.upper[1], FINE)
        steep = np.abs(np.asarray(slope(jnp.asarray(self.x))))
        spacing, rise = 1 / (1 + weight * steep / np.mean(steep)), GRADING * (self.x[1] - self.x[0]) * np.arange(FINE)
        graded = lambda v: np.minimum.accumulate(v - rise) + rise  # noqa: E731
        monitor = 1 / graded(graded(spacing)[::-1])[::-1]
        self.share = np.concatenate([[0.0], np.cumsum((monitor[1:] + monitor[:-1]) / 2)])
        self.density = monitor / self.share[-1] * (FINE - 1)  # mean 1
        self.share /= self.share[-1]

    def regions(self) -> tuple[Region, ...]:
        """Parts of the window that have equal shares: for as many points each."""
        edges = np.interp(np.linspace(0, 1, PARTS + 1), self.share, self.x)
        edges[0], edges[-1] = self.part.lower[1], self.part.upper[1]
        return tuple(self.part.within(1, float(a), float(b)) for a, b in zip(edges[:-1], edges[1:], strict=True))

    def network(self, gaussians: int, overlap: float, key: Array) -> GaussianField:
        """Gaussians at even points of (time, share), as wide as `overlap` spacings."""
        even = kronecker(gaussians, 2) * 1.1 - 0.05
        x = np.interp(even[:, 1], self.share, self.x)
        half = (self.part.upper[1] - self.part.lower[1]) / 2
        x = x + np.where(even[:, 1] > 1, even[:, 1] - 1, np.minimum(even[:, 1], 0)) * 2 * half / np.interp(x, self.x, self.density)
        sigma = overlap * 2 * IN_TIME / gaussians / np.interp(x, self.x, self.density)
        field = GaussianField(self.part.lower, self.part.upper, 1, gaussians, 0.3, key=key)
        means = np.stack([2 * even[:, 0] - 1, (x - self.part.lower[1]) / half - 1], axis=1)
        scales = np.log(np.stack([np.full(gaussians, 2 * overlap / IN_TIME), sigma], axis=1))
        return eqx.tree_at(lambda m: (m.gaussians.means, m.gaussians.log_scales, m.head), field,
                           (jnp.asarray(means), jnp.asarray(scales), 0 * field.head))


def in_layers(box: Region, start: Callable[[Array], Array], terms: Callable[..., dict[str, Any]]) -> Fit:
    """The `fit` of a row, each window twice: the layers of the second pass are those of `start(x)` (later of the state that the window
    before ended with) and of the end that the first found. `terms(part, regions, points)`: the equation and the walls of a window."""

    def fit(preset, key):
        size = dict(preset.size)
        parts, weight, placed = windows(box, size.pop("windows")), size.pop("layers"), {}

        def problem(part: Region, before: Any) -> Problem:
            regions = placed[part].regions()
            value: Any = before or (lambda a, x: start(x[:, 1])[:, None])
            at = [r.at(0, part.lower[0]) for r in regions]
            handed = handed_over(value, at, max(preset.points // 4, PARTS), 1e3, key=key)
            return Problem({**terms(part, regions, preset.points), "start": handed}, ("t", "x"))

        def network(part: Region, before: Any, own: Array) -> GaussianField:
            first = jax.vmap(jax.grad(start)) if before is None else slope_at(before, part.lower[0])
            placed[part] = Layers(part, first, weight)
            scout = fit_problem(placed[part].network(**size, key=own), problem(part, before), preset.stages, key=own).model
            last = slope_at(scout, part.upper[0])
            placed[part] = Layers(part, lambda x: jnp.maximum(jnp.abs(first(x)), jnp.abs(last(x))), weight)
            return placed[part].network(**size, key=own)

        return fit_windows(parts, network, problem, preset.stages, key=key)

    return fit


def slope_at(model: Any, t: float) -> Callable[[Array], Array]:
    """x -> u_x(t, x)."""
    return lambda x: derivatives(model, jnp.stack([jnp.full_like(x, t), x], axis=1), ((0, 1),)).part((0, 1))[:, 0]
