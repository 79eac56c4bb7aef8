"""Grids of other people's files: from the nodes that they store, and from what the caller or their layout says of the ends.

Nodes are often float32, so ends and lengths are snapped to a decimal number of four digits, or such a multiple of pi, if one is within
the nodes' rounding.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pdesurr.checks import require
from pdesurr.data._guard import about_the_call, refuse
from pdesurr.data.schema import AXES
from pdesurr.fields import Grid

Domain = Sequence[float | int] | Sequence[Sequence[float | int]]


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the caller says of the grid; it comes before anything that a file or a layout says. `axes`: a kind of `AXES` for all
    or one per axis. `domain`: (lower, upper) for all or one pair per axis.
    """

    axes: str | Sequence[str] | None = None
    domain: Domain | None = None

    def kinds(self, ndim: int) -> list[str] | None:
        """One kind per axis, or None. Raises `UsageError`."""
        if self.axes is None:
            return None
        kinds = [self.axes] * ndim if isinstance(self.axes, str) else list(self.axes)
        require(len(kinds) == ndim, "axes", f"one kind for all or {ndim}", self.axes)
        for kind in kinds:
            require(kind in AXES, "axes", f"one of {tuple(AXES)}", kind)
        return kinds

    def box(self, ndim: int) -> np.ndarray | None:
        """`(ndim, 2)` lower and upper ends, or None. Raises `UsageError`."""
        if self.domain is None:
            return None
        box = np.asarray(self.domain, np.float64)
        box = np.tile(box, (ndim, 1)) if box.ndim == 1 else box
        require(box.shape == (ndim, 2), "domain", f"(lower, upper), or {ndim} such pairs", self.domain)
        return box


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a layout. `nodes`: as stored, or None; then `lower` and `upper` are the layout's. `kind`: of `AXES`."""

    name: str
    n: int
    kind: str
    nodes: np.ndarray | None = None
    lower: float = 0.0
    upper: float = 1.0


def build_grid(axes: Sequence[Axis], wishes: Wishes, path: Any) -> Grid:
    """The grid of a layout's axes with the caller's wishes; the file is at fault only where the caller says nothing."""
    with about_the_call():
        kinds, box = wishes.kinds(len(axes)), wishes.box(len(axes))
    bases = []
    for i, axis in enumerate(axes):
        kind = kinds[i] if kinds else axis.kind
        if box is not None:
            lower, upper = box[i]
        elif axis.nodes is not None:
            lower, upper = (axis.lower, axis.upper) if axis.kind == kind and _fit(axis) else ends(axis.nodes, kind, path, axis.name)
        else:
            lower, upper = axis.lower, axis.upper
        if kinds or box is not None:
            with about_the_call():
                bases.append(AXES[kind](axis.n, float(lower), float(upper)))
        else:
            bases.append(AXES[kind](axis.n, float(lower), float(upper)))
    return Grid(bases, [axis.name for axis in axes])


def axis_from(name: str, nodes: np.ndarray, attributes: Mapping[str, Any], kind: str) -> Axis:
    """The axis of stored nodes; a file that this package wrote says kind and ends in attributes, which then count if they fit."""
    nodes = np.asarray(nodes).reshape(-1)
    said = tuple(attributes.get(key) for key in ("kind", "lower", "upper"))
    if said[0] in AXES and all(isinstance(end, float) for end in said[1:]):
        return Axis(name, len(nodes), str(said[0]), nodes, *map(float, said[1:]))  # pyright: ignore[reportArgumentType]
    return Axis(name, len(nodes), kind, nodes, np.nan, np.nan)


def ends(nodes: np.ndarray, kind: str, path: Any, name: str) -> tuple[float, float]:
    """Lower and upper end of equispaced nodes whose place in the interval `kind` says. Raises `DatasetError`."""
    x, tolerance = _exact(nodes)
    if len(x) < 2 or not np.isfinite(x).all():
        raise refuse(path, name, f"has {len(x)} nodes or some that are not finite", "store at least two finite nodes")
    h = (x[-1] - x[0]) / (len(x) - 1)
    if h <= 0 or np.abs(x - (x[0] + h * np.arange(len(x)))).max() > 2 * tolerance + 1e-6 * h:
        raise refuse(path, name, "its nodes are not increasing and equispaced", "interpolate the fields to a uniform grid first")
    before, after = {"closed": (0, 0), "left": (0, 1), "periodic": (0, 1), "cells": (0.5, 0.5)}[kind]
    lower, upper = snap(x[0] - before * h, tolerance), snap(x[-1] + after * h, tolerance)
    if upper == x[-1] + after * h:  # periodic nodes may start anywhere: there the length is the short number
        upper = lower + snap(upper - lower, tolerance)
    return lower, upper


def guess_kind(nodes: np.ndarray) -> str:
    """closed, left or cells: whichever gives the ends that are written with the fewest digits; closed if in doubt."""
    x, tolerance = _exact(nodes)
    h = (x[-1] - x[0]) / max(1, len(x) - 1)
    candidates = {"closed": (x[0], x[-1]), "left": (x[0], x[-1] + h), "cells": (x[0] - h / 2, x[-1] + h / 2)}
    return min(candidates, key=lambda kind: sum(_digits(snap(end, tolerance)) for end in candidates[kind]))


def snap(value: float, tolerance: float) -> float:
    """The decimal number of four digits, or such a multiple of pi, within `tolerance`, or the value itself."""
    for near in (round(value, 4), float(f"{value:.4g}"), round(value / np.pi, 4) * np.pi):
        if abs(near - value) <= tolerance:
            return float(near) + 0.0
    return float(value)


def _digits(value: float) -> int:
    """How long the number is when written, alone or as a multiple of pi."""
    return min(len(f"{value:.6g}".strip("-")), len(f"{value / np.pi:.6g}".strip("-")) + 1)


def _exact(nodes: np.ndarray) -> tuple[np.ndarray, float]:
    """Nodes in float64, and how far rounding may have moved them."""
    x = np.asarray(nodes, np.float64).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.array_equal(x.astype(np.float32).astype(np.float64), x)
    return x, 2 * float(np.finfo(np.float32 if single else np.float64).eps) * float(np.abs(x).max(initial=0.0) + np.ptp(x) if len(x) else 0)


def _fit(axis: Axis) -> bool:
    """Whether the ends that were said give the nodes that are stored."""
    if axis.nodes is None or not axis.lower < axis.upper:
        return False
    nodes = AXES[axis.kind](axis.n, axis.lower, axis.upper).nodes
    return bool(np.allclose(nodes, axis.nodes, rtol=0, atol=1e-6 * (axis.upper - axis.lower) / axis.n))
