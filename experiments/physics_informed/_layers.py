"""Evolutions in one dimension that make thin layers, by windows of Gaussians placed where the state before changes: what the rows share."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pdesurr.fields.regions import Region, kronecker
from pdesurr.models.coordinate import derivatives
from pdesurr.models.gaussians import GaussianField
from pdesurr.objectives.physics import Problem
from pdesurr.train.windows import fit_windows, handed_over, windows

FINE, PARTS, IN_TIME = 8001, 24, 6  # nodes of the monitor, regions of equal share, Gaussians deep in time


class Layers:
    """Where a window's layers are: the monitor 1 + a |u_x| of the state at its start, a such that both terms have the same integral,
    widened to a hundredth of the axis; and its shares, as a function of x that rises from 0 to 1."""

    def __init__(self, part: Region, slope: Callable[[Array], Array]):
        self.part = part
        self.x = np.linspace(part.lower[1], part.upper[1], FINE)
        steep = np.abs(np.asarray(slope(jnp.asarray(self.x))))
        monitor = 1 + steep / max(np.mean(steep), 1e-12)
        reach = FINE // 400
        monitor = np.max(np.lib.stride_tricks.sliding_window_view(np.pad(monitor, reach, mode="edge"), 2 * reach + 1), axis=1)
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


def march(start: Callable[..., Array], network: Callable[..., Any], terms: Callable[..., Any]) -> Any:
    """The `fit` of a row by windows in time: `start(*x)` at the first, `network(part, before, **size, key)` and, as `terms(part, before,
    points)`, the regions whose starts take over what the window before ended with, and what holds besides."""

    def fit(row, preset, key):
        size = dict(preset.size)

        def problem(part: Region, before: Any) -> Problem:
            regions, own = terms(part, before, preset.points)
            at = [r.at(0, part.lower[0]) for r in regions]
            value: Any = before or (lambda a, x: start(*x[:, 1:].T)[:, None])
            handed = handed_over(value, at, max(preset.points // 4, len(at)), 1e3, key=key)
            return Problem({**own, "start": handed}, ("t", "x", "y")[: part.ndim])

        parts = windows(row.region, size.pop("windows"))
        return fit_windows(parts, lambda part, before, own: network(part, before, **size, key=own), problem, preset.stages, key=key)

    return fit


def fit_layers(start: Callable[[Array], Array], terms: Callable[..., dict[str, Any]]) -> Any:
    """The same with Gaussians in layers; `terms(part, regions, points)` is the equation and the walls of a window."""

    def layers(part: Region, before: Any) -> Layers:
        at = lambda x: jnp.stack([jnp.full_like(x, part.lower[0]), x], axis=1)  # noqa: E731
        later = lambda x: derivatives(before, at(x), ((0, 1),)).part((0, 1))[:, 0]  # noqa: E731
        return Layers(part, jax.vmap(jax.grad(start)) if before is None else later)

    def network(part: Region, before: Any, gaussians: int, overlap: float, key: Array) -> GaussianField:
        return layers(part, before).network(gaussians, overlap, key)

    def given(part: Region, before: Any, points: int) -> tuple[tuple[Region, ...], dict[str, Any]]:
        regions = layers(part, before).regions()
        return regions, terms(part, regions, points)

    return march(start, network, given)


def none(points: int) -> Problem:
    raise NotImplementedError("each window has its own problem")
