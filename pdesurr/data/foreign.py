"""Arrays that somebody else made, brought into a data file so that everything else works on them."""

import dataclasses
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesurr.checks import require
from pdesurr.data._arrays import Arrays, closest, open_arrays
from pdesurr.data._guard import about_the_call, refuse
from pdesurr.data.formats import KNOWN, recognise
from pdesurr.data.formats._layout import Layout, Values, channel_of, real, stored_dtype
from pdesurr.data.formats.axes import Axis, Domain, Wishes, build_grid
from pdesurr.data.schema import IMPORTED, DatasetInfo, Field
from pdesurr.data.store import write_dataset

Names = str | Sequence[str] | None


class AssumptionWarning(UserWarning):
    """Something that the file does not say was assumed."""


def import_arrays(
    file: str | os.PathLike,
    out: str | os.PathLike,
    *,
    input: Names = None,
    output: Names = None,
    domain: Domain | None = None,
    axes: str | Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    axis_names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    group: str | None = None,
    channel_axis: int | None = None,
    limit: int | None = None,
    name: str | None = None,
    notes: str = "",
    overwrite: bool = False,
) -> DatasetInfo:
    """Write what an HDF5, `.npz` or `.mat` file holds as a data file `out`; returns its description.

    A file of a known layout (PDEBench, The Well, the FNO's `.mat` files: see `pdesurr.data.formats`) needs no more: fields,
    grid, times and parameters are the layout's, and the map is from the fields without time and the first frame to the last
    frame. `input` and `output` may choose other channels, each `field` or `field@index` with an index into the times
    (negative from the end); `axes`, `domain`, `units`, `name` and `notes` come before what the layout says.

    Where both `input` and `output` are given, without any `@`, they name arrays `(n, *grid)` of any file instead, with one
    more axis for channels if `channel_axis` says where (-1 or 1). Every channel becomes a scalar field without time.
    `group` stands before every array's name. `names`: array name to field name. Where `domain` and `axes` are left out,
    "closed" on (0, 1) is assumed.

    Integers and booleans become float32; float64 stays float64. `domain`: (lower, upper) for all axes, or one pair per
    axis. `axes`: "periodic", "closed" (nodes on both walls), "left" (a node on the lower wall only), "cells" (cell centres),
    "chebyshev" (Gauss-Lobatto nodes), "sine" (interior nodes) or "cosine" (cell centres), for all axes or one per axis. `units`:
    field, axis or parameter name to unit. `limit`: the first samples only.
    HDF5 is read and written a few samples at a time; `.npz` and MATLAB v5 arrays are held whole. What was assumed because
    the file does not say it is told by an `AssumptionWarning`.

    Raises `DatasetError`, one line, for a file or an array that cannot be used; `UsageError` for a wrong argument.

        import_arrays("1D_Burgers_Sols_Nu0.01.hdf5", "burgers.h5", input="u@0", output="u@-1")
        import_arrays("darcy.h5", "darcy16.h5", input="coefficient", output="solution", group="train_16", axes="left")
    """
    wanted, wishes = (_listed("input", input), _listed("output", output)), Wishes(axes, domain)
    require(limit is None or limit >= 1, "limit", "an integer >= 1 or None", limit)
    with open_arrays(file) as source:
        if wanted[0] and wanted[1] and not any("@" in text for text in (*wanted[0], *wanted[1])):
            layout = _named(source, file, wanted, wishes, group, channel_axis, dict(names or {}), axis_names)
        else:
            with about_the_call():
                rest = {"names": names, "axis_names": axis_names, "group": group, "channel_axis": channel_axis}
                for option, value in rest.items():
                    require(value is None, option, "None unless input and output name arrays", value)
            layout = _recognised(source, file, wanted, wishes)
        with about_the_call():
            require(set(layout.info.input) != set(layout.info.output), "output", "another array than the input", wanted[1] or wanted[0])
        for assumed in layout.assumed:
            warnings.warn(f"{file}: {assumed}", AssumptionWarning, stacklevel=2)
        info = _with_units(layout.info, units or {})
        info = dataclasses.replace(info, name=name or info.name, notes=notes or info.notes)
        return write_dataset(out, info, layout.blocks(limit), overwrite=overwrite)


def _listed(what: str, names: Names) -> list[str]:
    listed = [] if names is None else [names] if isinstance(names, str) else list(names)
    require(names is None or bool(listed), what, "at least one name", names)
    return listed


def _with_units(info: DatasetInfo, units: Mapping[str, str]) -> DatasetInfo:
    fields = tuple(dataclasses.replace(field, unit=units.get(field.name, field.unit)) for field in info.fields)
    others = {name: unit for name, unit in units.items() if name not in {field.name for field in fields}}
    return dataclasses.replace(info, fields=fields, units={**info.units, **others})


def _recognised(source: Arrays, file: Any, wanted: tuple[list[str], list[str]], wishes: Wishes) -> Layout:
    """The file as its layout has it, with the channels that the caller chose."""
    layout = recognise(source, file, wishes)
    if layout is None:
        there = ", ".join(list(source.shapes())[:20]) or "none"
        wrong = f"is of no known layout ({KNOWN}); its arrays are {there}"
        raise refuse(file, "", wrong, "say which are the map's: --input NAME --output NAME (input= and output=)")
    info = layout.info
    with about_the_call():
        chosen = [tuple(channel_of(text, info) for text in texts) for texts in wanted]
        info = dataclasses.replace(info, input=chosen[0] or info.input, output=chosen[1] or info.output)
    return dataclasses.replace(layout, info=info)


def _named(
    source: Arrays,
    file: Any,
    wanted: tuple[list[str], list[str]],
    wishes: Wishes,
    group: str | None,
    channel_axis: int | None,
    names: dict[str, str],
    axis_names: Sequence[str] | None,
) -> Layout:
    """Arrays by name, every channel a field without time."""
    homes: dict[str, tuple[str, int | None]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    maps = []
    for arrays in wanted:
        channels = {}
        for array in arrays:
            full = f"{group.strip('/')}/{array}" if group else array.strip("/")
            shape, count = _shape(source, file, full, channel_axis)
            field = names.get(array) or re.sub(r"[^A-Za-z0-9_.-]", "_", full.split("/")[-1])
            parts = [None] if channel_axis is None else range(count)
            channels |= {field if count == 1 else f"{field}_{i}": (full, i) for i in parts}
            shapes |= dict.fromkeys(channels, shape)
        maps.append(tuple((field, None) for field in channels))
        homes |= channels
    shape = _common_shape(shapes, file)
    axes = [Axis(f"x{i}", n, "closed") for i, n in enumerate(shape[1:])]
    with about_the_call():
        grid = build_grid(axes, wishes, file)
        grid = type(grid)(grid.bases, axis_names)
    info = DatasetInfo(
        name=Path(file).stem,
        pde=IMPORTED,
        grid=grid,
        fields=tuple(Field(field) for field in homes),
        input=maps[0],
        output=maps[1],
        dtype=stored_dtype([source.dtype(full) for full, _ in homes.values()]),
        notes=f"imported from {Path(file).name}: {', '.join(map(str, wanted[0] + wanted[1]))}",
    )

    def read(start: int, stop: int) -> Values:
        blocks = {full: real(source.part(full, start, stop), full, file) for full, _ in homes.values()}
        return {
            field: blocks[full] if i is None else np.moveaxis(blocks[full], channel_axis, -1)[..., i]  # pyright: ignore
            for field, (full, i) in homes.items()
        }

    missing = [*(["axes"] if wishes.axes is None else []), *(["domain"] if wishes.domain is None else [])]
    given = f"assuming axes='{wishes.axes or 'closed'}' on {wishes.domain if wishes.domain is not None else (0, 1)}"
    assumed = (f"{' and '.join(missing)} not given: {given}",) if missing else ()
    return Layout("named arrays", info, shape[0], read, assumed)


def _shape(source: Arrays, file: Any, full: str, channel_axis: int | None) -> tuple[tuple[int, ...], int]:
    """The shape `(n, *grid)` of an array, and how many channels it has beside."""
    there = source.shapes()
    if full not in there:
        raise refuse(file, full, "no such array", closest(full, there))
    source.dtype(full)  # refuses what holds no real numbers
    shape, least = list(there[full]), 2 if channel_axis is None else 3
    if len(shape) < least:
        wanted = "(n, *grid)" if channel_axis is None else "(n, *grid) and a channel axis"
        raise refuse(file, full, f"has shape {tuple(shape)}, wanted is {wanted}", "add a sample axis in front")
    count = 1 if channel_axis is None else shape.pop(channel_axis)
    return tuple(shape), count


def _common_shape(shapes: dict[str, tuple[int, ...]], file: Any) -> tuple[int, ...]:
    if len(set(shapes.values())) != 1:
        fix = "input and output need the same samples and grid; use channel_axis= for channels"
        raise refuse(file, ", ".join(shapes), f"shapes differ: {shapes}", fix)
    return next(iter(shapes.values()))
