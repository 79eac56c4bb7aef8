"""Our data files in layouts that other projects read: The Well's and PDEBench's A. Written whole or not at all."""

import dataclasses
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.checks import require
from pdesurr.data._guard import one_line, refuse
from pdesurr.data.reader import PrecisionWarning, read_verified
from pdesurr.data.schema import DatasetInfo, Field, axis_kind
from pdesurr.data.store import flush_to_disk, write_dataset

TARGETS: tuple[str, ...] = ("well", "pdebench")
OUR_OWN = {"tensor", "nu", *(f"{axis}-coordinate" for axis in "xyzt")}


def export_dataset(file: str | os.PathLike, out: str | os.PathLike, layout: str, *, overwrite: bool = False) -> dict[str, str]:
    """Write a data file of ours as `out` in the layout "well" or "pdebench" (A); returns {field: array in `out`}.

    well      our own layout is The Well's; fields become float32, as its readers want them, and the hashes are made anew. Put it into
              `<name>/data/train/` (valid, test) for The Well's loader.
    pdebench  scalars only. One field in time is `tensor` (n, nt, *grid); several keep their names. Without time, the output is
              `tensor` (n, 1, *grid) and a single input `nu`, as in the Darcy files. Coordinates are float64, `t-coordinate` is one
              longer than there are frames; parameters are root attributes. Numbers per sample are arrays (n,), which PDEBench's
              loaders do not look at. Attributes that they ignore keep field names, units, the map's input and output and the axes'
              kinds and ends, so that `import_arrays` finds the same grid and map again.

    The input is verified first, and read a few samples at a time. Raises `DatasetError` for a file that is not sound or already there
    (unless `overwrite`), `UsageError` for another layout.
    """
    require(layout in TARGETS, "layout", f"one of {TARGETS}", layout)
    _refuse_existing(Path(out), overwrite)
    info, records = read_verified(file)
    if layout == "well":
        return _well(file, out, info, records, overwrite)
    places = _places(info, file)
    with _new_hdf5(Path(out), overwrite) as target:
        _write_coordinates(target, info)
        for name, value in info.parameters.items():
            target.attrs[name] = value
        for side, channels in (("input", info.input), ("output", info.output)):
            target.attrs[side] = " ".join(name if t is None else f"{name}@{t}" for name, t in channels)
        start = 0
        for block in records:
            start = _append(target, info, places, block, start)
    return places


def _well(file: Any, out: Any, info: DatasetInfo, records: Any, overwrite: bool) -> dict[str, str]:
    if info.dtype != "float32":
        text = f"{file}: stored {info.dtype} is written as float32, about 7 digits, as The Well wants it"
        warnings.warn(text, PrecisionWarning, stacklevel=3)
    write_dataset(out, dataclasses.replace(info, dtype="float32", n=None, sha256=None), records, overwrite=overwrite)
    return {field.name: f"t{field.order}_fields/{field.name}" for field in info.fields}


def _places(info: DatasetInfo, file: Any) -> dict[str, str]:
    """The array that each field becomes; `DatasetError` for what the layout cannot hold."""
    vectors = [f.name for f in info.fields if f.order]
    if vectors or info.grid.ndim > 3 or info.grid.names != tuple("xyz"[: info.grid.ndim]):
        wrong = f"PDEBench's layout holds scalars on axes x, y, z, not {', '.join(vectors) or info.grid.names}"
        raise refuse(file, vectors[0] if vectors else "axes", wrong, "use --layout well")
    moving = [f.name for f in info.fields if f.in_time]
    places = {f.name: f.name for f in info.fields}
    if len(moving) == 1:
        places[moving[0]] = "tensor"
    elif not moving:
        inputs, outputs = ({name for name, _ in channels} for channels in (info.input, info.output))
        places |= {name: "tensor" for name in outputs} if len(outputs) == 1 else {}
        places |= {name: "nu" for name in inputs - outputs} if len(inputs) == 1 else {}
    kept = [place for name, place in places.items() if name == place] + list(info.scalars)
    clash = sorted(set(kept) & OUR_OWN) or sorted(set(places.values()) & set(info.scalars))
    if clash:
        wrong = "is a name that PDEBench's layout uses for something else"
        raise refuse(file, clash[0], wrong, "rename the field and write the file again")
    return places


def _write_coordinates(file: h5py.File, info: DatasetInfo) -> None:
    for name, basis in zip(info.grid.names, info.grid.bases, strict=True):
        file[f"{name}-coordinate"] = np.asarray(basis.nodes, np.float64)
        about = {"kind": axis_kind(basis), "lower": float(basis.lower), "upper": float(basis.upper), "unit": info.units.get(name, "1")}
        file[f"{name}-coordinate"].attrs.update(about)
    if any(field.in_time for field in info.fields):
        times = np.asarray(info.times, np.float64)
        step = times[-1] - times[-2] if len(times) > 1 else 1.0
        file["t-coordinate"] = np.append(times, times[-1] + step)
        file["t-coordinate"].attrs["unit"] = info.units.get("t", "1")


def _append(file: h5py.File, info: DatasetInfo, places: dict[str, str], block: dict[str, np.ndarray], start: int) -> int:
    """Put a block of samples behind those that are there; the arrays are made at the first."""
    for field in info.fields:
        values = block[field.name][:, None] if places[field.name] == "tensor" and not field.in_time else block[field.name]
        _put(file, places[field.name], values, start, info.n or 0, field)
    for name in info.scalars:
        _put(file, name, block[name], start, info.n or 0, None)
    return start + len(next(iter(block.values())))


def _put(file: h5py.File, array: str, values: np.ndarray, start: int, n: int, field: Field | None) -> None:
    if array not in file:
        made = file.create_dataset(array, (n, *values.shape[1:]), values.dtype)
        made.attrs.update({"field": field.name, "unit": field.unit} if field else {})
    file[array][start : start + len(values)] = values  # pyright: ignore[reportIndexIssue]


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise refuse(path, "", "exists already", "choose another name or say overwrite (--overwrite)")


@contextmanager
def _new_hdf5(path: Path, overwrite: bool) -> Iterator[h5py.File]:
    """An HDF5 file that appears whole under its name, or not at all. Raises `DatasetError` if the disk refuses."""
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    file = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = h5py.File(temporary, "w", locking="best-effort")
        yield file
        file.close()
        flush_to_disk(temporary)
        _refuse_existing(path, overwrite)
        os.replace(temporary, path)
        flush_to_disk(path.parent)
    except (OSError, RuntimeError) as error:
        raise refuse(path, "", f"could not be written: {one_line(error)}", "free disk space or choose another folder") from error
    finally:
        with suppress(Exception):  # a full disk fails again when HDF5 closes
            if file is not None:
                file.close()
        temporary.unlink(missing_ok=True)
