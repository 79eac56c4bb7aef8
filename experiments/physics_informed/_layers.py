"""Evolutions in one dimension that make thin layers, by windows of Fourier features, stretched where the state is steep: what the rows
share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _study import Fit
from jaxtyping import Array
from scipy.signal import find_peaks

from pdesurr.fields.regions import Region
from pdesurr.models.coordinate import derivatives
from pdesurr.models.features import RandomFourierField
from pdesurr.models.stretched import Stretched
from pdesurr.objectives.physics import Problem
from pdesurr.train.physics import fit_problem
from pdesurr.train.windows import fit_windows, handed_over, windows

FINE = 8001  # nodes at which layers are looked for
PROMINENT = 0.1  # of the largest slope: what a layer's must rise above its surroundings
PARTS = 24  # equal shares of as many points each
HANDED = 100.0  # weight of the start, times the window's length: the shorter it is, the less the equation's terms may bend it

Values = Callable[[Array], Array]  # of x
Layers = tuple[tuple[float, ...], tuple[float, ...]]  # centres and widths


def layers(part: Region, states: list[tuple[Values, Values]]) -> Layers:
    """Where the steepest of the states (u, u_x) peaks inside, as wide as a layer of that slope and half the range of u."""
    x = np.linspace(part.lower[1], part.upper[1], FINE)
    steep = np.max([np.abs(np.asarray(slope(jnp.asarray(x)))) for _, slope in states], axis=0)
    half = max(float(np.ptp(np.asarray(u(jnp.asarray(x))))) for u, _ in states) / 2
    at, _ = find_peaks(steep, prominence=PROMINENT * steep.max())
    return tuple(x[at]), tuple(half / steep[at])


def in_layers(box: Region, start: Values, terms: Callable[..., dict[str, Any]],
              others: Callable[[Region], Layers] = lambda part: ((), ())) -> Fit:
    """The `fit` of a row, each window twice: the layers of the second pass are those of `start(x)` (later of the state that the window
    before ended with) and of the end that the first, with half as many features and points, found. `terms(part, regions, points)`: the
    equation and the walls of a window; `others(part)`: layers that are known beforehand."""

    def fit(preset, key):
        features, scale, placed = preset.size["features"], preset.size["scale"], {}

        def stretched(part: Region, states: list[tuple[Values, Values]], key: Array, share: int = 1) -> Stretched:
            centres, widths = (a + b for a, b in zip(layers(part, states), others(part), strict=True))
            field = RandomFourierField(part.lower, part.upper, 1, features // share, scale, key=key)
            placed[part] = Stretched(field, part, 1, centres, widths)
            return placed[part]

        def problem(part: Region, before: Any, share: int = 1) -> Problem:
            regions, points = placed[part].shares(part, PARTS), preset.points // share
            value: Any = before or (lambda a, x: start(x[:, 1])[:, None])
            weight = HANDED / (part.upper[0] - part.lower[0])
            handed = handed_over(value, [r.at(0, part.lower[0]) for r in regions], max(points // 4, PARTS), weight, key=key)
            return Problem({**terms(part, regions, points), "start": handed}, ("t", "x"))

        def network(part: Region, before: Any, own: Array) -> Stretched:
            first = (start, jax.vmap(jax.grad(start))) if before is None else state(before, part.lower[0])
            scout = fit_problem(stretched(part, [first], own, 2), problem(part, before, 2), preset.stages, key=own).model
            return stretched(part, [first, state(scout, part.upper[0])], own)

        return fit_windows(windows(box, preset.size["windows"]), network, problem, preset.stages, key=key)

    return fit


def state(model: Any, t: float) -> tuple[Values, Values]:
    """u and u_x at a time."""
    read = lambda index: lambda x: derivatives(model, jnp.stack([jnp.full_like(x, t), x], axis=1), (index,)).part(index)[:, 0]  # noqa: E731
    return read((0, 0)), read((0, 1))
