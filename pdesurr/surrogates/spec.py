"""What a surrogate knows about itself: its equation, its channels and units, where it was trained, and how wrong it is."""

import dataclasses
import json
import math
from typing import Any

from pdesurr.checks import require
from pdesurr.data.schema import grid_from_json, grid_to_json
from pdesurr.fields import Grid

SPEC_VERSION = 1


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
        require(self.lower <= self.upper, f"channel {self.name}: range", "lower <= upper", (self.lower, self.upper))


@dataclasses.dataclass(frozen=True, eq=False)
class Spec:
    """The description stored beside a surrogate's weights.

    `grid` is the training grid (box, kinds of axes, resolution); `resolutions` those it was tested at, with `errors` the
    relative L2 error on test data at each: {"mean", "median", "p95", "max", "samples"}. `norms`: least and largest L2 norm of a
    training input; `traits` the least and largest mean and roughness of one (see `surrogates.traits`; empty in older bundles).
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
