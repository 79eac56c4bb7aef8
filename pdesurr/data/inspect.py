"""What is in a file: names, shapes, types, ranges and whether something is not a number, for files of any origin."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.checks import DatasetError
from pdesurr.data._arrays import MOST_MEMBERS, Hdf5Arrays, open_arrays, walk
from pdesurr.data._guard import MIB, blocks, boundary, check_is_a_file, check_storage, one_line, refuse
from pdesurr.data.formats import recognise
from pdesurr.data.formats._layout import Layout

PIECE = 32 * MIB
LONGEST_LIST = 16
SLOWEST = 5 * MIB  # bytes a second that a slow disk reads


def inspect_file(path: str | os.PathLike, *, statistics: bool = True) -> dict[str, Any]:
    """A tree of a file's content, ready for JSON.

    `{"file", "format", "bytes", "layout", "attributes", "members"}`; a member is `{"kind": "group", "attributes",
    "members"}`, `{"kind": "array", "shape", "dtype", "bytes", "unit", "min", "max", "mean", "std", "nan", "attributes"}`,
    `{"kind": "text", "text"}` or, where it will not be read, `{"kind": "refused", "reason"}`. `layout`: what `import`
    would make of a file of a known layout, or why it cannot; None for any other. A data file of ours has "data" instead:
    its description, with the error of its reference. `nan` counts NaN and infinities; the other figures are of the finite
    values, None if there are none. HDF5 arrays are read 32 MiB at a time. `statistics=False` reads no values. Raises
    `DatasetError`, one line, for a file that cannot be read at all.

    An HDF5 file is looked at in a process of its own: damaged attributes can crash the library, whatever is checked
    before.
    """
    with boundary(path):
        if sys.executable and h5py.is_hdf5(check_is_a_file(path)):
            return _in_a_child(path, statistics)
    return _inspect(path, statistics)


def soundness(path: str | os.PathLike) -> str:
    """"sound", or what `open_dataset` says of a data file: it reads every value and compares the hashes."""
    from pdesurr.data.reader import open_dataset

    try:
        open_dataset(path)
    except DatasetError as error:
        return f"NOT SOUND: {str(error).removeprefix(f'{path}: ')}"
    return "sound"


def _in_a_child(path: Any, statistics: bool) -> dict[str, Any]:
    """What `main` prints; a child that died, or found no end, is the file's fault."""
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}
    command = [sys.executable, "-m", "pdesurr.data.inspect", os.fspath(path), str(int(statistics))]
    patience = 60 + Path(path).stat().st_size / SLOWEST
    fix = "the file is damaged or hostile: fetch or generate it again"
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=patience, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise refuse(path, "", f"the HDF5 library did not come back within {patience:.0f} s", fix) from error
    if done.returncode:
        raise refuse(path, "", f"the HDF5 library crashed on it (exit {done.returncode})", fix)
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise DatasetError(answer["error"])
    return answer


def main(path: str, statistics: str) -> None:
    """The child's side: print the tree, or the error, as JSON."""
    try:
        answer = _inspect(path, bool(int(statistics)))
    except DatasetError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


def _inspect(path: Any, statistics: bool) -> dict[str, Any]:
    with open_arrays(path) as source:
        tree = {
            "file": str(path),
            "format": source.format,
            "bytes": Path(path).stat().st_size,
            **_meaning(source, path),
            "attributes": {},
            "members": {},
        }
        if isinstance(source, Hdf5Arrays):
            tree["attributes"] = _attributes(source.file)
            there = list(walk(source.file))
            for name, found in there:
                _place(tree, name, _hdf5_member(found, name, path, statistics))
            if len(there) == MOST_MEMBERS:
                tree["members"]["..."] = {"kind": "refused", "reason": f"only the first {MOST_MEMBERS} members are looked at"}
        else:
            for name, shape in source.shapes().items():
                tree["members"][one_line(name)] = _plain_member(source, name, shape, path, statistics)
        return tree


def _meaning(source: Any, path: Any) -> dict[str, Any]:
    """The description of a data file of ours, or the layout of another file; a problem is told, not raised."""
    ours = isinstance(source, Hdf5Arrays) and "schema_version" in source.file.attrs
    try:
        with boundary(path):
            if ours:
                from pdesurr.data.reader import read_info

                info = read_info(path)
                about = {key: getattr(info, key) for key in ("name", "pde", "generator", "notes", "parameters", "reference_error")}
                return {"data": Layout("pdesurr", info, info.n or 0, lambda *_: {}).describe() | about}
            layout = recognise(source, path)
            return {"layout": layout.describe() if layout else None}
    except (DatasetError, Warning) as error:
        return {"data" if ours else "layout": str(error).removeprefix(f"{path}: ")}


def _place(tree: dict[str, Any], name: str, node: dict[str, Any]) -> None:
    """Put a node at its path; its parents are there already, since `walk` gives them first."""
    *parents, last = name.split("/")
    for parent in parents:
        tree = tree["members"][one_line(parent)]
    tree["members"][one_line(last)] = node


def _hdf5_member(found: Any, name: str, path: Any, statistics: bool) -> dict[str, Any]:
    if isinstance(found, h5py.Group):
        return {"kind": "group", "attributes": _attributes(found), "members": {}}
    if isinstance(found, h5py.SoftLink | h5py.ExternalLink):
        return {"kind": "refused", "reason": "a link, which is not followed"}
    try:
        with boundary(path):
            if isinstance(found, h5py.Dataset) and found.dtype.kind == "S" and found.ndim == 0:
                text = bytes(check_storage(found, name, path, text=True)[()])
                return {"kind": "text", "text": one_line(text.decode(errors="replace"))}
            dataset = check_storage(found, name, path)
            attributes = _attributes(dataset)
            node = {
                "kind": "array",
                "shape": list(dataset.shape),
                "dtype": str(dataset.dtype),
                "bytes": dataset.id.get_storage_size(),
            }
            node |= {"unit": attributes.get("unit"), "attributes": attributes}
            return node | (_hdf5_statistics(dataset) if statistics else {})
    except DatasetError as error:
        return {"kind": "refused", "reason": str(error).removeprefix(f"{path}: {name}: ")}


def _plain_member(source: Any, name: str, shape: tuple[int, ...], path: Any, statistics: bool) -> dict[str, Any]:
    try:
        with boundary(path):
            node: dict[str, Any] = {"kind": "array", "shape": list(shape)}
            if not statistics:
                return node
            values = source.read(name)
            return node | {"dtype": str(values.dtype), "bytes": values.nbytes, "unit": None} | _statistics([values])
    except DatasetError as error:
        return {"kind": "refused", "reason": str(error).removeprefix(f"{path}: {name}: ")}


def _hdf5_statistics(dataset: h5py.Dataset) -> dict[str, Any]:
    if dataset.ndim == 0 or dataset.size == 0:
        return _statistics([np.asarray(dataset[()])])
    return _statistics(dataset[part] for part in _parts(dataset.shape, dataset.dtype.itemsize))


def _parts(shape: Any, itemsize: int) -> Iterator[tuple[Any, ...]]:
    """Indices that cover an array in pieces of about 32 MiB, however long one record is."""
    record = math.prod(shape[1:]) * itemsize
    if record > PIECE and len(shape) > 1:
        for i in range(shape[0]):
            yield from ((i, *rest) for rest in _parts(shape[1:], itemsize))
    else:
        yield from ((slice(start, stop),) for start, stop in blocks(shape[0], record, PIECE))


def _statistics(parts: Any) -> dict[str, Any]:
    """Range, mean and standard deviation of the finite values and how many are not, over arrays that are held one at a time."""
    low, high, bad = [], [], 0
    count, mean, square = 0, 0.0, 0.0  # of squares about the mean: joined as Chan, Golub and LeVeque do
    for part in parts:
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part.reshape(-1)
        bad += part.size - finite.size
        if finite.size:
            low.append(finite.min().item())
            high.append(finite.max().item())
            with np.errstate(over="ignore", invalid="ignore"):  # values near the largest double have no square
                here = float(finite.mean(dtype=np.float64))
                step, total = here - mean, count + finite.size
                square += float(finite.var(dtype=np.float64)) * finite.size + step * step * (count * finite.size / total)
                mean, count = mean + step * (finite.size / total), total
    figures = {"mean": mean, "std": math.sqrt(square / count) if square >= 0 else math.nan} if count else {"mean": None, "std": None}
    figures = {key: value if value is not None and math.isfinite(value) else None for key, value in figures.items()}
    return {"min": min(low, default=None), "max": max(high, default=None), **figures, "nan": bad}


def _attributes(node: Any) -> dict[str, Any]:
    """Attributes as plain values; one that cannot be read says so."""
    found = {}
    for name in list(node.attrs)[:256]:
        try:
            found[one_line(name)] = _plain(node.attrs[name])
        except Exception as error:  # noqa: BLE001 - damaged attributes raise anything
            found[one_line(name)] = f"unreadable: {one_line(error)}"
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | str):
        return one_line(value.decode(errors="replace") if isinstance(value, bytes) else value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray):
        listed = [_plain(v) for v in value.reshape(-1)[:LONGEST_LIST]]
        return listed if value.size <= LONGEST_LIST else [*listed, f"... {value.size} in all"]
    return value if isinstance(value, bool | int | float | None) else one_line(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
