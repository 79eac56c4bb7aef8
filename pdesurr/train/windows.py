"""Time marching: a problem solved window after window, each from where the one before ended."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Region
from pdesurr.models.coordinate import AbstractCoordinateModel
from pdesurr.objectives.physics import Observations, Problem
from pdesurr.train.physics import AbstractStage, ProblemFit, fit_problem
from pdesurr.types import Key


class Windowed(AbstractCoordinateModel):
    """u(x) is that of `models[i]` where x's coordinate `axis` lies in the i-th interval of `edges`; the first and last reach on beyond.

    Every model is evaluated at every point. Nothing but training makes neighbours agree where they meet."""

    models: tuple[Any, ...]
    edges: tuple[float, ...] = eqx.field(static=True)
    axis: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        rising = all(a < b for a, b in zip(self.edges[:-1], self.edges[1:], strict=True))
        require(len(self.models) > 0, "models", "at least one", self.models)
        require(rising and len(self.edges) == len(self.models) + 1, "edges", f"{len(self.models) + 1} rising numbers", self.edges)

    def jet(self, x: Jet) -> Jet:
        inner = jnp.asarray(self.edges[1:-1], x.dtype)
        which = jnp.searchsorted(inner, x.value[:, self.axis], side="right")[:, None]
        parts = self.models[0].jet(x).parts
        for i, model in enumerate(self.models[1:], 1):
            parts = tuple(jnp.where(which == i, new, old) for new, old in zip(model.jet(x).parts, parts, strict=True))
        return Jet(parts, x.indices)


def windows(region: Region, count: int | Sequence[float], axis: int = 0) -> tuple[Region, ...]:
    """`count` equal parts of a region along an axis, or as many as lie between rising inner edges."""
    require(0 <= axis < region.ndim, "axis", f"an axis from 0 to {region.ndim - 1}", axis)
    low, high = region.lower[axis], region.upper[axis]
    if isinstance(count, int):
        require(count > 0, "count", "a number > 0", count)
        count = [low + (high - low) * i / count for i in range(1, count)]
    edges = [low, *count, high]
    rising = all(a < b for a, b in zip(edges[:-1], edges[1:], strict=True))
    require(rising, "count", f"a number of parts, or rising numbers between {low} and {high}", tuple(count))
    return tuple(region.within(axis, a, b) for a, b in zip(edges[:-1], edges[1:], strict=True))


def handed_over(before: AbstractCoordinateModel, regions: Sequence[Region], points: int, weight: float = 1.0, *, key: Key) -> Observations:
    """The values of `before` as a condition on the next window: at `points` even points in equal parts of `regions` (its start)."""
    at = jnp.concatenate([r.draw(k, points // len(regions), "quasi") for r, k in
                          zip(regions, jax.random.split(key, len(regions)), strict=True)])
    return Observations(at, before(None, at), weight)


def fit_windows(parts: Sequence[Region], network: Callable[[Region, Any, Key], Any], problem: Callable[[Region, Any], Problem],
                stages: Sequence[AbstractStage], *, axis: int = 0, key: Key, folder: Path | str | None = None) -> ProblemFit:
    """Train one network for each of `parts` (see `windows`), in their order, by `fit_problem`, and join them to one `Windowed` model.

    `problem(part, before)` is what holds on a part, `before` the trained model of the part before it, None for the first: there the start
    is the problem's own, later `handed_over(before, (part.at(axis, part.lower[axis]),), points, key=key)`; an equation of second order in
    time reads `derivatives(before, ...)` as well. `network(part, before, key)` makes the untrained model, which may start from `before`'s
    numbers. The history counts `window`s. Time and memory grow with their number, what each must hold does not; errors add up.
    With a `folder` each part has one of its own there, see `fit_problem`. Raises what `fit_problem` raises.
    """
    require(len(parts) > 0, "parts", "at least one", parts)
    meet = all(a.upper[axis] == b.lower[axis] for a, b in zip(parts[:-1], parts[1:], strict=True))
    require(meet, "parts", f"neighbours along axis {axis}, each starting where the one before ends", parts)
    models: list[Any] = []
    history: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        before = models[-1] if models else None
        own_key = jax.random.fold_in(key, number)
        own = Path(folder) / f"window_{number}" if folder is not None else None
        found = fit_problem(network(part, before, own_key), problem(part, before), stages, key=own_key, folder=own)
        models.append(found.model)
        history += [{"window": number} | entry for entry in found.history]
    return ProblemFit(Windowed(tuple(models), (parts[0].lower[axis], *(p.upper[axis] for p in parts)), axis), history)
