"""The Well's layout, written by others or by this package (whose data files are of it).

    dimensions/time (T), dimensions/x ...     attribute spatial_dims; nodes
    t0_fields/*, t1_fields/*, t2_fields/*     (N, T, *grid[, d[, d]]), less each axis whose flag sample_varying, time_varying or
                                              dim_varying is False; read back they are constant along it
    scalars/*                                 (), (N); those that vary in time are left out
    boundary_conditions/*                     bc_type periodic, wall or open; associated_dims

An axis is periodic if a boundary says so; otherwise its ends are where its nodes make them short numbers. A vector of d components on
other than d axes becomes scalars. Source: PolymathicAI/the_well, docs/data_format.md and scripts/check_thewell_formatting.py.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pdesurr.data._arrays import Arrays, Hdf5Arrays
from pdesurr.data._guard import member, refuse
from pdesurr.data.formats._layout import NAME_THEM, Layout, Values, default_map, parameters_of, real, safe_name, stored_dtype, times_of
from pdesurr.data.formats.axes import Axis, Wishes, axis_from, build_grid, guess_kind
from pdesurr.data.schema import IMPORTED, KINDS, NAME, RESERVED, DatasetInfo, Field

GROUPS = ("t0_fields", "t1_fields", "t2_fields")


@dataclasses.dataclass(frozen=True)
class Home:
    """Where a field's values lie: the array, the flags of its axes, and the component for a field that is one of several."""

    array: str
    sample: bool
    time: bool
    dims: tuple[bool, ...]
    component: tuple[int, ...] = ()


def recognise(source: Arrays, path: Any, wishes: Wishes) -> Layout | None:
    """A file of The Well, or None."""
    if not isinstance(source, Hdf5Arrays) or source.reverse or not {"dimensions", *GROUPS} <= set(source.file):
        return None
    said = source.attributes()
    names = _texts(source.attributes("dimensions").get("spatial_dims"))
    n = said.get("n_trajectories")
    if not names or type(n) is not int or n < 1:
        raise refuse(path, "dimensions", "has no spatial_dims, or the file no n_trajectories", NAME_THEM)
    axes, guessed = _axes(source, path, names)
    grid = build_grid(axes, wishes, path)
    homes: dict[str, tuple[Field, Home]] = {}
    for field, home in _fields(source, path, n, grid.shape):
        name = field.name if field.name not in homes else safe_name(f"{home.array[:2]}_{field.name}")
        homes[name] = (dataclasses.replace(field, name=name), home)
    moving = any(field.in_time for field, _ in homes.values())
    frames = source.dataset("dimensions/time").shape[-1]
    times = times_of(source.read("dimensions/time"), frames, path, "dimensions/time") if moving else ()
    numbers = _numbers(source, n, set(homes))
    fields = tuple(field for field, _ in homes.values())
    if not fields or (len(fields) == 1 and not moving):
        raise refuse(path, "t0_fields", f"{len(fields)} fields without time make no map", NAME_THEM)
    info = _info(source, path, grid, fields, times, homes, numbers)
    shapes = {name: (home, (frames if field.in_time else 0, *grid.shape)) for name, (field, home) in homes.items()}

    def read(start: int, stop: int) -> Values:
        block = {name: real(_whole(source, home, start, stop, shape), name, path) for name, (home, shape) in shapes.items()}
        return block | {name: source.part(f"scalars/{array}", start, stop) for name, array in numbers.items()}

    return Layout("The Well", info, n, read, () if wishes.axes is not None else guessed)


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _axes(source: Hdf5Arrays, path: Any, names: list[str]) -> tuple[list[Axis], tuple[str, ...]]:
    """The axes of the stored nodes, and what of their kinds is a guess."""
    periodic, axes, guessed = _periodic(source, path), [], []
    for name in names:
        nodes, about = source.read(f"dimensions/{name}"), source.attributes(f"dimensions/{name}")
        if nodes.ndim != 1:
            raise refuse(path, f"dimensions/{name}", f"has shape {nodes.shape}", "only grids common to all samples and times are read")
        kind = "periodic" if name in periodic else guess_kind(nodes)
        axes.append(axis_from(name, nodes, about, kind))
        if "kind" not in about and name not in periodic:
            guessed.append(f"axes not given: assuming '{kind}' for {name}, which makes its ends the shortest numbers")
    return axes, tuple(guessed)


def _periodic(source: Hdf5Arrays, path: Any) -> set[str]:
    """Names of the axes that a boundary condition calls periodic."""
    group = member(source.file, "boundary_conditions", path)
    found: set[str] = set()
    for name in list(group) if group is not None else []:
        about = source.attributes(f"boundary_conditions/{name}")
        if str(about.get("bc_type")).lower() == "periodic":
            found |= set(_texts(about.get("associated_dims")))
    return found


def _fields(source: Hdf5Arrays, path: Any, n: int, sizes: tuple[int, ...]) -> Iterator[tuple[Field, Home]]:
    """Every field with its home; the members of the groups count, whatever field_names says."""
    frames = source.dataset("dimensions/time").shape[-1]
    for order, group in enumerate(GROUPS):
        for name in member(source.file, group, path):
            array = f"{group}/{name}"
            about, shape = source.attributes(array), source.dataset(array).shape
            dims = tuple(bool(flag) for flag in np.ravel(source.dataset(array).attrs.get("dim_varying", np.ones(len(sizes), bool))))
            home = Home(array, bool(about.get("sample_varying", True)), bool(about.get("time_varying", True)), dims)
            front = (n,) * home.sample + (frames,) * home.time
            wanted = front + tuple(s for s, varies in zip(sizes, dims, strict=True) if varies)
            if shape[: len(wanted)] != wanted or len(shape) != len(wanted) + order:
                wrong = f"has shape {shape}, its flags and the dimensions say {wanted} and {order} components"
                raise refuse(path, array, wrong, "correct its flags or name the arrays with --input and --output")
            parts = shape[len(wanted) :]
            unit = about.get("unit") if isinstance(about.get("unit"), str) else "1"
            if all(size == len(sizes) for size in parts):
                field = Field(safe_name(name), str(unit), KINDS[order], home.time)  # pyright: ignore[reportArgumentType]
                yield field, home
                continue
            for index in itertools.product(*map(range, parts)):
                field = Field(safe_name("_".join(map(str, (name, *index)))), str(unit), "scalar", home.time)
                yield field, dataclasses.replace(home, component=index)


def _whole(source: Hdf5Arrays, home: Home, start: int, stop: int, shape: tuple[int, ...]) -> np.ndarray:
    """Samples of a field with the axes along which it is constant put back."""
    values = source.part(home.array, start, stop) if home.sample else source.read(home.array)[None]
    values = values[(..., *home.component)] if home.component else values
    space = 2 if home.time else 1
    for i, varies in enumerate(home.dims):
        values = values if varies else np.expand_dims(values, space + i)
    wanted = (stop - start, *(shape if home.time else shape[1:]), *values.shape[space + len(home.dims) :])
    return np.broadcast_to(values, wanted)


def _numbers(source: Hdf5Arrays, n: int, taken: set[str]) -> dict[str, str]:
    """Numbers per sample that a data file can hold: name, array in `scalars`."""
    group, found = member(source.file, "scalars", source.path), {}
    for array in list(group) if group is not None else []:
        varies = source.attributes(f"scalars/{array}").get("sample_varying", False)
        name = safe_name(array)
        if varies and source.dataset(f"scalars/{array}").shape == (n,) and name not in taken | RESERVED:
            found[name] = array
    return found


def _parameters(source: Hdf5Arrays, taken: set[str]) -> dict[str, Any]:
    """Simulation parameters: root attributes, or scalars that do not vary."""
    found = {}
    for name in _texts(source.attributes().get("simulation_parameters")):
        found[name] = source.attributes().get(name)
    group = member(source.file, "scalars", source.path)
    for name in list(group) if group is not None else []:
        if NAME.fullmatch(name) and found.get(name) is None and source.dataset(f"scalars/{name}").size == 1:
            found[name] = np.asarray(source.read(f"scalars/{name}")).reshape(()).item()
    return parameters_of({name: value for name, value in found.items() if name not in taken})


def _info(source: Hdf5Arrays, path: Any, grid: Any, fields: Any, times: Any, homes: Any, numbers: dict[str, str]) -> DatasetInfo:
    maps, about = default_map(fields, len(times)), source.attributes()
    parameters = _parameters(source, set(homes) | set(numbers))
    places = {name: f"dimensions/{name if name != 't' else 'time'}" for name in (*grid.names, "t")}
    places |= {name: f"scalars/{name}" for name in parameters}
    said = {name: source.attributes(place).get("unit") for name, place in places.items() if member(source.file, place, path) is not None}
    return DatasetInfo(
        name=str(about.get("dataset_name") or Path(path).stem),
        pde=IMPORTED,
        grid=grid,
        fields=fields,
        input=maps[0],
        output=maps[1],
        parameters=parameters,
        times=times,
        units={name: unit for name, unit in said.items() if isinstance(unit, str) and unit != "1"},
        dtype=stored_dtype([source.dtype(home.array) for _, home in homes.values()]),
        scalars=tuple(numbers),
        notes=f"imported from {Path(path).name}, of The Well",
    )
