"""What a data file says about itself: fields, grid, times, the map to learn, and where the numbers come from.

`DatasetInfo` is checked when it is made, so one that exists is right. It is stored as canonical JSON; a grid is rebuilt
from a closed table of axis kinds, never from a name that a file gives.
"""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np

from pdesurr._version import __version__
from pdesurr.checks import UsageError, require
from pdesurr.data._hash import canonical
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, SineBasis, UniformBasis

SCHEMA_VERSION = 1
IMPORTED = "imported"  # the `pde` of arrays that no PDE of this package made
DTYPES = ("float32", "float64")

Kind = Literal["scalar", "vector", "tensor"]
KINDS: tuple[str, ...] = get_args(Kind)  # a kind's place is its tensor order, and the t in The Well's t0_fields
Channel = tuple[str, int | None]
Number = float | int | bool

# One name per kind of axis; the same names are used by `import_arrays`.
AXES: dict[str, Callable[[int, float, float], Any]] = {
    "periodic": FourierBasis,
    "closed": lambda n, lower, upper: UniformBasis(n, lower, upper, "closed"),
    "left": lambda n, lower, upper: UniformBasis(n, lower, upper, "left"),
    "cells": lambda n, lower, upper: UniformBasis(n, lower, upper, "cells"),
    "chebyshev": ChebyshevBasis,
    "sine": SineBasis,
    "cosine": CosineBasis,
}

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
RESERVED = {
    "dataset_name",
    "grid_type",
    "n_spatial_dims",
    "n_trajectories",
    "simulation_parameters",
    "schema_version",
    "pde",
    "generator",
    "seed",
    "dtype",
    "description",
    "content_sha256",
    "complete",
    "field_names",
    "reference_error",
    "input_mapping",
    "output_mapping",
}


@dataclasses.dataclass(frozen=True)
class Field:
    """One stored quantity: `(n, *grid)`, or `(n, time, *grid)` if `in_time`; a vector or tensor adds one or two axes of
    length d at the end. `unit` is "1" where the quantity is dimensionless.
    """

    name: str
    unit: str = "1"
    kind: Kind = "scalar"
    in_time: bool = False

    def __post_init__(self):
        check_name("field", self.name)
        require(self.kind in KINDS, f"field {self.name}: kind", f"one of {KINDS}", self.kind)
        require(isinstance(self.unit, str), f"field {self.name}: unit", "text", self.unit)
        require(isinstance(self.in_time, bool), f"field {self.name}: in_time", "True or False", self.in_time)

    @property
    def order(self) -> int:
        """Tensor order: 0 scalar, 1 vector, 2 tensor."""
        return KINDS.index(self.kind)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known about a data file.

    `pde`: the class name of the equation, or "imported". `parameters`: its numbers. `times`: of the fields that are
    `in_time`. `input` and `output`: the channels of the map to learn, each (field, index into `times`, or None for a
    field without time). `units`: of axes ("x", "t") and parameters; a field carries its own. `reference_error`: None
    where nobody measured it, else a dict with "method" (text) and "figure" (relative error, >= 0). `scalars`: names of
    the numbers stored per sample. `n` and `sha256` are filled in by the writer and the reader. Raises `UsageError`
    where something does not fit.
    """

    name: str
    pde: str
    grid: Grid
    fields: tuple[Field, ...]
    input: tuple[Channel, ...]
    output: tuple[Channel, ...]
    parameters: dict[str, Number] = dataclasses.field(default_factory=dict)
    times: tuple[float | int, ...] = ()
    units: dict[str, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    generator: str = f"pdesurr {__version__}"
    dtype: str = "float32"
    reference_error: dict[str, Any] | None = None
    notes: str = ""
    scalars: tuple[str, ...] = ()
    n: int | None = None
    sha256: str | None = None

    def __post_init__(self):
        check(self)

    def field(self, name: str) -> Field:
        """The field of that name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise UsageError(f"no field {name!r}; the file has {', '.join(f.name for f in self.fields)}")

    def record_shape(self, field: Field) -> tuple[int, ...]:
        """The shape of one sample of a field."""
        time = (len(self.times),) if field.in_time else ()
        return (*time, *self.grid.shape, *(self.grid.ndim,) * field.order)

    def channels(self, mapping: tuple[Channel, ...]) -> int:
        """How many channels a mapping makes: one per scalar, d per vector, d^2 per tensor."""
        return sum(self.grid.ndim ** self.field(name).order for name, _ in mapping)

    def components(self, mapping: tuple[Channel, ...]) -> list[tuple[str, Channel]]:
        """A name and the mapping's entry for each channel that it makes: `u` of a scalar, `v_0` of a vector, `s_01` of a
        tensor."""
        indices = {name: itertools.product(range(self.grid.ndim), repeat=self.field(name).order) for name, _ in mapping}
        parts = {name: ["".join(map(str, index)) for index in found] for name, found in indices.items()}
        return [(f"{entry[0]}_{part}" if part else entry[0], entry) for entry in mapping for part in parts[entry[0]]]


def check_name(what: str, name: Any) -> None:
    """Raise `UsageError` unless `name` can name a dataset in every HDF5 reader."""
    ok = isinstance(name, str) and NAME.fullmatch(name) is not None
    require(ok, what, "a name of letters, digits, '_', '.' or '-' that starts with a letter", name)


def check(info: DatasetInfo) -> None:
    """Raise `UsageError` unless every part of the description is allowed and fits the others."""
    require(isinstance(info.name, str) and info.name != "", "name", "a non-empty text", info.name)
    check_name("pde", info.pde)
    require(info.dtype in DTYPES, "dtype", f"one of {DTYPES}", info.dtype)
    require(info.seed is None or type(info.seed) is int, "seed", "an integer or None", info.seed)
    texts = {"generator": info.generator, "notes": info.notes, **{f"units[{k}]": v for k, v in info.units.items()}}
    for what, text in texts.items():
        require(isinstance(text, str), what, "text", text)
    for basis in info.grid.bases:
        axis_kind(basis)
    for axis in info.grid.names:
        check_name("axis", axis)
        require(axis != "time", "axis", "any name but 'time', which the layout keeps for `times`", axis)
    _check_times(info)
    _check_names(info)
    _check_mapping(info, "input", info.input)
    _check_mapping(info, "output", info.output)
    _check_numbers(info)


def _check_times(info: DatasetInfo) -> None:
    times = np.asarray(info.times, np.float64)
    ok = times.ndim == 1 and bool(np.isfinite(times).all()) and bool((np.diff(times) > 0).all())
    require(ok, "times", "finite increasing numbers", info.times)
    moving = [field.name for field in info.fields if field.in_time]
    require(bool(info.times) or not moving, "times", f"at least one, since {moving} are in time", info.times)


def _check_names(info: DatasetInfo) -> None:
    names = [field.name for field in info.fields]
    require(bool(names) and len(set(names)) == len(names), "fields", "at least one, with different names", names)
    numbers = [*info.parameters, *info.scalars]
    for name in numbers:
        check_name("parameter", name)
        require(name not in RESERVED, "parameter", "a name that the layout does not use itself", name)
    require(len(set(numbers)) == len(numbers), "scalars", "names that are not parameters too", numbers)


def _check_mapping(info: DatasetInfo, what: str, mapping: Any) -> None:
    require(isinstance(mapping, tuple) and len(mapping) > 0, what, "at least one (field, time index or None)", mapping)
    require(len(set(mapping)) == len(mapping), what, "channels that differ", mapping)
    for name, index in mapping:
        field = info.field(name)
        if field.in_time:
            ok = type(index) is int and 0 <= index < len(info.times)
            require(ok, f"{what}: time index of {name}", f"an integer in 0..{len(info.times) - 1}", index)
        else:
            require(index is None, f"{what}: time index of {name}", "None, since the field has no time", index)


def _check_numbers(info: DatasetInfo) -> None:
    for name, value in info.parameters.items():
        ok = isinstance(value, Number) and math.isfinite(value)
        require(ok, f"parameter {name}", "a finite number", value)
    require(info.n is None or (type(info.n) is int and info.n >= 1), "n", "at least one sample", info.n)
    error = info.reference_error
    if error is None:
        return
    require(
        isinstance(error.get("method"), str),
        "reference_error['method']",
        "how it was measured, as text",
        error.get("method"),
    )
    figure = error.get("figure")
    ok = isinstance(figure, (int, float)) and math.isfinite(figure) and figure >= 0
    require(ok, "reference_error['figure']", "a finite number >= 0", figure)


# To and from JSON.


def axis_kind(basis: Any) -> str:
    """The name in `AXES` of a basis's kind; `UsageError` for one that no data file can hold."""
    if isinstance(basis, UniformBasis):
        return basis.ends
    for kind, make in AXES.items():
        if type(basis) is make:
            return kind
    raise UsageError(f"grid: expected axes of kind {', '.join(AXES)}, received {type(basis).__name__}")


def grid_to_json(grid: Grid) -> list[dict[str, Any]]:
    """One entry per axis: name, kind, n, lower, upper."""
    return [
        {"name": name, "kind": axis_kind(b), "n": b.n, "lower": float(b.lower), "upper": float(b.upper)}
        for name, b in zip(grid.names, grid.bases, strict=True)
    ]


def grid_from_json(axes: list[dict[str, Any]]) -> Grid:
    """The grid that `grid_to_json` described; `UsageError` for an unknown kind or a wrong type."""
    bases = []
    for axis in axes:
        require(
            set(axis) == {"name", "kind", "n", "lower", "upper"}, "axis", "name, kind, n, lower, upper", sorted(axis)
        )
        check_name("axis", axis["name"])
        require(axis["kind"] in AXES, "axis kind", f"one of {tuple(AXES)}", axis["kind"])
        require(type(axis["n"]) is int and 2 <= axis["n"] <= 2**31, "axis n", "a number of nodes", axis["n"])
        bases.append(AXES[axis["kind"]](axis["n"], float(axis["lower"]), float(axis["upper"])))
    return Grid(bases, [axis["name"] for axis in axes])


def to_json(info: DatasetInfo) -> str:
    """Canonical JSON of everything but `sha256`, which is computed from it."""
    parts = {f.name: getattr(info, f.name) for f in dataclasses.fields(info) if f.name != "sha256"}
    parts["grid"] = grid_to_json(info.grid)
    parts["fields"] = [dataclasses.asdict(field) for field in info.fields]
    parts["times"] = [float(t) for t in info.times]
    return canonical(parts)


def from_json(text: str) -> DatasetInfo:
    """The description that `to_json` wrote; `UsageError` (or `ValueError`) for anything else."""
    parts = json.loads(text)
    names = {f.name for f in dataclasses.fields(DatasetInfo)} - {"sha256"}
    require(
        isinstance(parts, Mapping) and set(parts) == names, "description", f"the keys {sorted(names)}", sorted(parts)
    )
    fields = tuple(Field(**field) for field in parts["fields"])
    channels = {key: tuple((name, index) for name, index in parts[key]) for key in ("input", "output")}
    plain = {key: parts[key] for key in names - {"grid", "fields", "input", "output", "times", "scalars"}}
    return DatasetInfo(
        grid=grid_from_json(parts["grid"]),
        fields=fields,
        times=tuple(parts["times"]),
        scalars=tuple(parts["scalars"]),
        **channels,
        **plain,
    )
