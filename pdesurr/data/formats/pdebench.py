"""PDEBench's three layouts.

    A  arrays at the root: `tensor` (n, nt, *grid), or several such (density, pressure, Vx ...), or Darcy's `tensor` (n, 1, x, y) and
       `nu` (n, x, y); `x-coordinate` ... cell centres, `t-coordinate` one longer than there are frames; parameters as attributes
    B  groups "0000" ..., one a sample: `data` (nt, *grid, channel), `grid/x` ... cell centres, `grid/t`; attribute `config`, YAML
    C  `velocity` (n, nt, x, y, 2), `particles` (n, nt, x, y, 1), `force` (n, x, y, 2), `t` (n, nt); no coordinates

What the layouts do not store is taken from the paper (Takamoto et al. 2022): one-dimensional tensor files are periodic, files with
"periodic" in their name too, everything else lies between walls. Source: pdebench/PDEBench, data_gen and models/fno.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from pdesurr.data._arrays import Arrays, Hdf5Arrays
from pdesurr.data._guard import member, refuse
from pdesurr.data.formats._layout import NAME_THEM, Layout, Values, default_map, parameters_of, real, safe_name, stored_dtype, times_of
from pdesurr.data.formats.axes import Axis, Wishes, axis_from, build_grid
from pdesurr.data.schema import IMPORTED, NAME, DatasetInfo, Field
from pdesurr.fields import Grid

AXES = "xyz"
NO_COORDINATES = "domain not given: assuming (0, 1) on every axis, since the layout stores no coordinates"
CHANNELS = {1: ("u",), 2: ("u", "v"), 3: ("u", "v", "w")}


def recognise(source: Arrays, path: Any, wishes: Wishes) -> Layout | None:
    """Layout A, B or C, or None."""
    if not isinstance(source, Hdf5Arrays) or source.reverse:
        return None
    root = list(source.file)
    if "x-coordinate" in root:
        return _arrays(source, path, wishes)
    samples = sorted(name for name in root if re.fullmatch(r"\d{4,8}", name))
    if samples and member(source.file, f"{samples[0]}/data", path) is not None:
        return _groups(source, path, wishes, samples)
    if {"velocity", "particles", "force", "t"} <= set(root):
        return _incompressible(source, path, wishes)
    return None


# A.


def _arrays(source: Hdf5Arrays, path: Any, wishes: Wishes) -> Layout:
    shapes = source.shapes()
    names = [name for name in AXES if f"{name}-coordinate" in shapes]
    nodes = {name: source.read(f"{name}-coordinate") for name in names}
    sizes = tuple(nodes[name].size for name in names)
    homes, scalars, fields = {}, [], []
    for array, shape in shapes.items():
        if array.endswith("-coordinate"):
            continue
        kind = _kind_of(shape, sizes, "t-coordinate" in shapes)
        if kind is None:
            wrong = f"has shape {shape}, on {sizes} nodes expected (n, *grid) or (n, time, *grid)"
            raise refuse(path, array, wrong, f"drop extra axes or {NAME_THEM}")
        if kind == "number":
            scalars.append(safe_name(array))
            homes[scalars[-1]] = (array, kind)
            continue
        fields.append(_field(source, array, kind == "moving"))
        homes[fields[-1].name] = (array, kind)
    counts = {array: shapes[array][0] for array, _ in homes.values()}
    frames = {shapes[homes[f.name][0]][1] for f in fields if f.in_time}
    if not fields or len(set(counts.values())) != 1 or len(frames) > 1:
        raise refuse(path, "", f"numbers of samples or frames differ: {counts}, {sorted(frames)}", "every array needs as many")
    if len(fields) == 1 and not frames:
        raise refuse(path, fields[0].name, "is the only array, so there is no map to learn", "name input and output")
    times = times_of(source.read("t-coordinate"), frames.pop(), path, "t-coordinate") if frames else ()
    kind, assumed = _ends(path, len(names), bool(times))
    grid = build_grid([axis_from(a, nodes[a], source.attributes(f"{a}-coordinate"), kind) for a in names], wishes, path)
    target = next((field for field, (array, _) in homes.items() if array == "tensor"), None)
    maps = _map_said(source, fields, len(times)) or default_map(tuple(fields), len(times), target)
    info = _info(source, path, "A", grid, fields, maps, times, [homes[f.name][0] for f in fields], scalars)

    def read(start: int, stop: int) -> Values:
        blocks = {name: (source.part(array, start, stop), kind) for name, (array, kind) in homes.items()}
        return {name: real(v[:, 0] if kind == "one frame" else v, name, path) for name, (v, kind) in blocks.items()}

    said = wishes.axes is not None or any("kind" in source.attributes(f"{a}-coordinate") for a in names)
    return Layout("PDEBench A", info, next(iter(counts.values())), read, () if said else assumed)


def _kind_of(shape: tuple[int, ...], sizes: tuple[int, ...], timed: bool) -> str | None:
    """What an array of layout A holds, by its shape."""
    if len(shape) == 1:
        return "number"
    if shape[1:] == sizes:
        return "still"
    if len(shape) > 2 and shape[2:] == sizes and (timed or shape[1] == 1):
        return "moving" if timed else "one frame"
    return None


def _field(source: Hdf5Arrays, array: str, moving: bool) -> Field:
    """The array's field; a file that this package wrote says its name and unit."""
    said = source.attributes(array)
    name, unit = said.get("field"), said.get("unit")
    ours = isinstance(name, str) and NAME.fullmatch(name)
    fallback = "u" if array == "tensor" else safe_name(array)
    return Field(str(name) if ours else fallback, unit if isinstance(unit, str) else "1", in_time=moving)


def _map_said(source: Hdf5Arrays, fields: list[Field], frames: int) -> tuple[Any, Any] | None:
    """The map that a file which this package wrote says, `u@0 ...` as attributes; None where there is none, or it does not fit."""
    said, moving, found = source.attributes(), {f.name: f.in_time for f in fields}, []
    for side in ("input", "output"):
        words = [word.partition("@") for word in str(said.get(side, "")).split()]
        fits = all(name in moving and (t.isdecimal() and int(t) < frames if moving[name] else not t) for name, _, t in words)
        if not words or not fits:
            return None
        found.append(tuple((name, int(t) if t else None) for name, _, t in words))
    return found[0], found[1]


def _ends(path: Any, ndim: int, timed: bool) -> tuple[str, tuple[str, ...]]:
    """The kind of a file's axes, and what of that is assumed."""
    stem = Path(path).stem.lower()
    if "periodic" in stem or (ndim == 1 and timed and "cfd" not in stem):
        return "periodic", ()
    if re.search(r"(^|_)trans(_|$)", stem) or not timed:
        return "cells", ()
    return "cells", ("axes not given: assuming 'cells' between walls, since the file's name does not say periodic",)


# B.


def _groups(source: Hdf5Arrays, path: Any, wishes: Wishes, samples: list[str]) -> Layout:
    first = source.dataset(f"{samples[0]}/data")
    frames, *sizes, channels = first.shape
    home = next((s for s in samples if member(source.file, f"{s}/grid/x", path) is not None), None)
    if home is None:
        raise refuse(path, "grid/x", "is in no sample's group", NAME_THEM)
    axes = [axis_from(name, source.read(f"{home}/grid/{name}"), {}, "cells") for name in AXES[: len(sizes)]]
    if [axis.n for axis in axes] != sizes:
        wrong = f"has shape {first.shape}, its grid {[axis.n for axis in axes]}"
        raise refuse(path, f"{samples[0]}/data", wrong, "(time, *grid, channel) is wanted")
    times = times_of(source.read(f"{home}/grid/t"), frames, path, f"{home}/grid/t")
    names = CHANNELS.get(channels) or tuple(f"u_{i}" for i in range(channels))
    fields = [Field(name, in_time=True) for name in names]
    maps = default_map(tuple(fields), frames)
    info = _info(source, path, "B", build_grid(axes, wishes, path), fields, maps, times, [f"{samples[0]}/data"], [])

    def read(start: int, stop: int) -> Values:
        records = [source.read(f"{name}/data") for name in samples[start:stop]]
        for name, record in zip(samples[start:stop], records, strict=True):
            if record.shape != first.shape:
                raise refuse(path, f"{name}/data", f"has shape {record.shape}, the first sample {first.shape}", "drop that sample")
        block = np.stack(records)
        return {name: real(block[..., i], name, path) for i, name in enumerate(names)}

    return Layout("PDEBench B", info, len(samples), read)


# C.


def _incompressible(source: Hdf5Arrays, path: Any, wishes: Wishes) -> Layout:
    shape = source.dataset("velocity").shape
    n, frames, *sizes, d = shape
    wanted = {"particles": (n, frames, *sizes, 1), "force": (n, *sizes, d), "t": (n, frames)}
    for array, expected in wanted.items():
        if source.dataset(array).shape != expected or d != len(sizes):
            wrong = f"has shape {source.dataset(array).shape}, velocity {shape} wants {expected}"
            raise refuse(path, array, wrong, NAME_THEM)
    grid = build_grid([Axis(name, size, "cells") for name, size in zip(AXES, sizes, strict=False)], wishes, path)
    times = times_of(source.read("t"), frames, path, "t")
    fields = [Field("force", kind="vector"), Field("velocity", kind="vector", in_time=True), Field("particles", in_time=True)]
    maps = default_map(tuple(fields), frames)
    info = _info(source, path, "C", grid, fields, maps, times, ["velocity", "particles", "force"], [])

    def read(start: int, stop: int) -> Values:
        block = {name: real(source.part(name, start, stop), name, path) for name in ("velocity", "particles", "force")}
        return {**block, "particles": block["particles"][..., 0]}

    return Layout("PDEBench C", info, n, read, () if wishes.domain is not None else (NO_COORDINATES,))


def _info(
    source: Hdf5Arrays, path: Any, which: str, grid: Grid, fields: list[Field], maps: Any, times: Any, arrays: list[str], scalars: list[str]
) -> DatasetInfo:
    units = {}
    for name in (*grid.names, "t"):
        unit = source.attributes(f"{name}-coordinate").get("unit") if which == "A" else None
        units |= {name: unit} if isinstance(unit, str) and unit != "1" else {}
    taken = {f.name for f in fields} | set(scalars)
    parameters = {name: value for name, value in parameters_of(source.attributes()).items() if name not in taken}
    return DatasetInfo(
        name=Path(path).stem,
        pde=IMPORTED,
        grid=grid,
        fields=tuple(fields),
        input=maps[0],
        output=maps[1],
        parameters={k: v for k, v in parameters.items() if k != "latestIndex"},
        times=times,
        units=units,
        dtype=stored_dtype([source.dtype(array) for array in arrays]),
        scalars=tuple(scalars),
        notes=f"imported from {Path(path).name}, PDEBench layout {which}",
    )
