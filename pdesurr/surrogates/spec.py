"""What a surrogate knows about itself: its equation, its channels and units, where it was trained, and how wrong it is."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from pdesurr.checks import require
from pdesurr.data.schema import grid_from_json, grid_to_json
from pdesurr.fields import Grid

SPEC_VERSION = 1
FIGURES = {"mean", "median", "p95", "max", "samples"}  # of an error, over test samples


@dataclasses.dataclass(frozen=True)
class Channel:
    """One input or output channel: a field of the equation, at a time (None: no time), with its unit and the range of values
    seen in training."""

    name: str
    time: float | None
    unit: str
    lower: float
    upper: float

    def __post_init__(self):
        require(_is_text(self.name), "channel", "a name", self.name)
        require(self.time is None or _is_number(self.time), f"channel {self.name}: time", "a finite number or None", self.time)
        require(isinstance(self.unit, str), f"channel {self.name}: unit", "text", self.unit)
        require(_is_range((self.lower, self.upper)), f"channel {self.name}: range", "lower <= upper", (self.lower, self.upper))


@dataclasses.dataclass(frozen=True, eq=False)
class Spec:
    """The description stored beside a surrogate's weights.

    `grid` is the training grid (box, kinds of axes, resolution); `resolutions` those it was tested at, with `errors` the
    relative L2 error on test data at each: {"mean", "median", "p95", "max", "samples"}. `norms`: least and largest L2 norm of a
    training input; `traits` the least and largest mean, peak and roughness of one (see `surrogates.traits`; empty in older bundles).
    `reference_error`: the error of the data themselves, where it was measured.
    """

    pde: str
    parameters: dict[str, float]
    grid: Grid
    input: tuple[Channel, ...]
    output: tuple[Channel, ...]
    norms: tuple[float, float]
    data: dict[str, Any]
    training: dict[str, Any]
    errors: dict[str, dict[str, float]]
    reference_error: float | None = None
    licence: str = "Apache-2.0"
    traits: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check(self)

    @property
    def resolutions(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(n) for n in key.split("x")) for key in self.errors)

    def error_at(self, shape: tuple[int, ...]) -> dict[str, float] | None:
        """The measured test error at a resolution; at an untested one, that of the nearest tested (in log n), or None."""
        if not self.errors:
            return None
        return self.errors[min(self.errors, key=lambda k: abs(math.log(math.prod(map(int, k.split("x"))) / math.prod(shape))))]

    def __hash__(self):
        return hash(to_json(self))

    def __eq__(self, other):
        return isinstance(other, Spec) and to_json(self) == to_json(other)


def check(spec: Spec) -> None:
    """Raise `UsageError` unless every part is of its kind."""
    require(_is_text(spec.pde), "pde", "the name of an equation", spec.pde)
    require(_is_text(spec.licence), "licence", "a name", spec.licence)
    require(_is_table(spec.parameters, _is_number), "parameters", "a table of finite numbers", spec.parameters)
    for what in ("data", "training"):
        plain = _is_table(getattr(spec, what), lambda v: v is None or isinstance(v, (str, int, float, list, tuple)))
        require(plain, what, "a table of plain values", getattr(spec, what))
    require(len(spec.input) > 0 and len(spec.output) > 0, "input and output", "at least one channel each", (spec.input, spec.output))
    require(_is_range(spec.norms) and spec.norms[0] >= 0, "norms", "two numbers, 0 <= least <= largest", spec.norms)
    require(_is_table(spec.traits, _is_range), "traits", "a table of least and largest", spec.traits)
    known = spec.reference_error is None or (_is_number(spec.reference_error) and spec.reference_error >= 0)
    require(known, "reference_error", "a number >= 0 or None", spec.reference_error)
    require(_is_table(spec.errors, lambda e: _is_table(e, _is_number) and set(e) == FIGURES and min(e.values()) >= 0), "errors",
            f"a table of {', '.join(sorted(FIGURES))} by resolution", spec.errors)
    for key in spec.errors:
        shape = key.split("x")
        good = len(shape) == spec.grid.ndim and all(n.isascii() and n.isdigit() and 0 < int(n) < 2**31 for n in shape)
        require(good, "errors", f"a resolution of {spec.grid.ndim} numbers, such as {'x'.join(['64'] * spec.grid.ndim)}", key)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)


def _is_range(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _is_table(value: Any, good: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and good(v) for k, v in value.items())


def to_json(spec: Spec) -> str:
    parts = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    parts["grid"] = grid_to_json(spec.grid)
    parts["input"] = [dataclasses.asdict(c) for c in spec.input]
    parts["output"] = [dataclasses.asdict(c) for c in spec.output]
    return json.dumps({"spec_version": SPEC_VERSION, **parts}, indent=1, sort_keys=True, allow_nan=False)


def from_json(parts: dict[str, Any]) -> Spec:
    """The spec `to_json` wrote. Raises `UsageError`, KeyError or TypeError for anything else."""
    require(parts.get("spec_version") == SPEC_VERSION, "spec_version", str(SPEC_VERSION), parts.get("spec_version"))
    parts = {k: v for k, v in parts.items() if k != "spec_version"}
    parts["grid"] = grid_from_json(parts["grid"])
    for side in ("input", "output"):
        parts[side] = tuple(Channel(**c) for c in parts[side])
    parts["norms"] = tuple(parts["norms"])
    parts["traits"] = {str(name): (float(low), float(high)) for name, (low, high) in parts.get("traits", {}).items()}
    return Spec(**parts)
