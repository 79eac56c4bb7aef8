"""Arrays that somebody else made, brought into a data file so that everything else works on them."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesurr.checks import require
from pdesurr.data._arrays import Arrays, closest, open_arrays
from pdesurr.data._guard import refuse
from pdesurr.data.schema import AXES, IMPORTED, DatasetInfo, Field
from pdesurr.data.store import write_dataset
from pdesurr.fields import Grid

Domain = Sequence[float | int] | Sequence[Sequence[float | int]]


class AssumptionWarning(UserWarning):
    """Something that the file does not say was assumed."""


def import_arrays(
    file: str | os.PathLike,
    out: str | os.PathLike,
    *,
    input: str | Sequence[str],
    output: str | Sequence[str],
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
    """Write the arrays `input` and `output` of an HDF5, `.npz` or `.mat` file as a data file `out`; returns its
    description.

    Arrays are `(n, *grid)`, with one more axis for channels if `channel_axis` says where (-1 or 1). Every channel
    becomes a scalar field without time. Integers and booleans become float32; float64 stays float64. `group` stands
    before every array's name. `domain`: (lower, upper) for all axes, or one pair per axis. `axes`: "periodic", "closed"
    (nodes on both walls), "left" (a node on the lower wall only), "cells" (cell centres), "chebyshev" (Gauss-Lobatto nodes),
    "sine" (interior nodes) or "cosine" (cell centres), for all axes or one per axis. Where these two are left out,
    "closed" on (0, 1) is assumed and an `AssumptionWarning` says so. `names`: array name to field name; `units`: field,
    axis or parameter name to unit. `limit`: the first samples only.

    Raises `DatasetError`, one line, for a file or an array that cannot be used; `UsageError` for a wrong argument.

        import_arrays("darcy.h5", "darcy16.h5", input="coefficient", output="solution", group="train_16", axes="left")
    """
    wanted = [[input] if isinstance(input, str) else list(input), [output] if isinstance(output, str) else list(output)]
    require(all(wanted), "input and output", "at least one array name each", wanted)
    fields: dict[str, np.ndarray] = {}
    maps = []
    with open_arrays(file) as source:
        for arrays in wanted:
            channels = {}
            for array in arrays:
                channels |= _channels(source, file, array, group, channel_axis, limit, dict(names or {}))
            maps.append(tuple((field, None) for field in channels))
            fields |= channels
    shape = _common_shape(fields, file)
    info = DatasetInfo(
        name=name or Path(file).stem,
        pde=IMPORTED,
        grid=_grid(shape[1:], domain, axes, axis_names, file),
        fields=tuple(Field(field, (units or {}).get(field, "1")) for field in fields),
        input=maps[0],
        output=maps[1],
        units={key: unit for key, unit in (units or {}).items() if key not in fields},
        dtype="float64" if any(v.dtype == np.float64 for v in fields.values()) else "float32",
        notes=notes or f"imported from {Path(file).name}: {', '.join(map(str, wanted[0] + wanted[1]))}",
    )
    return write_dataset(out, info, fields, overwrite=overwrite)


def _channels(
    source: Arrays,
    file: Any,
    array: str,
    group: str | None,
    channel_axis: int | None,
    limit: int | None,
    names: dict[str, str],
) -> dict[str, np.ndarray]:
    """The scalar fields that one array makes, by field name."""
    full = f"{group.strip('/')}/{array}" if group else array.strip("/")
    there = source.shapes()
    if full not in there:
        raise refuse(file, full, "no such array", closest(full, there))
    values = _real(source.read(full), full, file)[:limit]
    field = names.get(array) or re.sub(r"[^A-Za-z0-9_.-]", "_", full.split("/")[-1])
    if channel_axis is None:
        channels = {field: values}
    else:
        values = np.moveaxis(values, channel_axis, -1)
        count = values.shape[-1]
        channels = {field if count == 1 else f"{field}_{i}": values[..., i] for i in range(count)}
    least = 2 if channel_axis is None else 3
    if values.ndim < least:
        wanted = "(n, *grid)" if channel_axis is None else "(n, *grid) and a channel axis"
        raise refuse(file, full, f"has shape {values.shape}, wanted is {wanted}", "add a sample axis in front")
    return channels


def _real(values: np.ndarray, name: str, file: Any) -> np.ndarray:
    """float32 or float64; integers and masks only if float32 holds them exactly."""
    if values.dtype in (np.float32, np.float64):
        return values.astype(values.dtype.newbyteorder("="))
    real = values.astype(np.float32)
    if values.dtype.kind in "iu" and not np.array_equal(real.astype(np.float64), values.astype(np.float64)):
        raise refuse(
            file, name, f"holds {values.dtype} numbers that float32 cannot hold", "convert the array to float64 first"
        )
    return real


def _common_shape(fields: dict[str, np.ndarray], file: Any) -> tuple[int, ...]:
    shapes = {field: values.shape for field, values in fields.items()}
    if len(set(shapes.values())) != 1:
        wrong = f"shapes differ: {shapes}"
        raise refuse(
            file,
            ", ".join(fields),
            wrong,
            "input and output need the same samples and grid; use channel_axis= for channels",
        )
    return next(iter(shapes.values()))


def _grid(
    shape: tuple[int, ...], domain: Domain | None, axes: Any, axis_names: Sequence[str] | None, file: Any
) -> Grid:
    """The grid that the arguments describe, or the assumed one, said."""
    if axes is None or domain is None:
        missing = " and ".join([*(["axes"] if axes is None else []), *(["domain"] if domain is None else [])])
        text = f"{file}: {missing} not given: assuming axes='{axes or 'closed'}' on {domain or (0, 1)}"
        warnings.warn(text, AssumptionWarning, stacklevel=3)
    axes, domain = axes or "closed", domain if domain is not None else (0.0, 1.0)
    kinds = [axes] * len(shape) if isinstance(axes, str) else list(axes)
    require(len(kinds) == len(shape), "axes", f"one kind for all or {len(shape)}", axes)
    for kind in kinds:
        require(kind in AXES, "axes", f"one of {tuple(AXES)}", kind)
    box = np.asarray(domain, np.float64)
    box = np.tile(box, (len(shape), 1)) if box.ndim == 1 else box
    require(box.shape == (len(shape), 2), "domain", f"(lower, upper), or {len(shape)} such pairs", domain)
    bases = [AXES[kind](n, float(low), float(high)) for kind, n, (low, high) in zip(kinds, shape, box, strict=True)]
    return Grid(bases, axis_names)
