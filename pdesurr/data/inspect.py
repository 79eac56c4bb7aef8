"""What is in a file: names, shapes, types, ranges and whether something is not a number, for files of any origin."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.checks import DatasetError
from pdesurr.data._arrays import Hdf5Arrays, open_arrays, walk
from pdesurr.data._guard import MIB, blocks, boundary, check_is_a_file, check_storage, one_line, refuse

LONGEST_LIST = 16
SLOWEST = 5 * MIB  # bytes a second that a slow disk reads


def inspect_file(path: str | os.PathLike, *, statistics: bool = True) -> dict[str, Any]:
    """A tree of a file's content, ready for JSON.

    `{"file", "format", "bytes", "attributes", "members"}`; a member is `{"kind": "group", "attributes", "members"}`,
    `{"kind": "array", "shape", "dtype", "bytes", "unit", "min", "max", "nan", "attributes"}` or, where it will not be
    read, `{"kind": "refused", "reason"}`. `nan` counts NaN and infinities; `min` and `max` are of the finite values,
    None if there are none. `statistics=False` reads no values. Raises `DatasetError`, one line, for a file that cannot
    be read at all.

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
            "attributes": {},
            "members": {},
        }
        if isinstance(source, Hdf5Arrays):
            tree["attributes"] = _attributes(source.file)
            for name, found in walk(source.file):
                _place(tree, name, _hdf5_member(found, name, path, statistics))
        else:
            for name, shape in source.shapes().items():
                tree["members"][one_line(name)] = _plain_member(source, name, shape, path, statistics)
        return tree


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
    record = max(1, dataset.size // dataset.shape[0]) * dataset.dtype.itemsize
    return _statistics(dataset[start:stop] for start, stop in blocks(dataset.shape[0], record))


def _statistics(parts: Any) -> dict[str, Any]:
    """Range of the finite values and how many are not, over arrays that are held one at a time."""
    low, high, bad = [], [], 0
    for part in parts:
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part.reshape(-1)
        bad += part.size - finite.size
        if finite.size:
            low.append(finite.min().item())
            high.append(finite.max().item())
    return {"min": min(low, default=None), "max": max(high, default=None), "nan": bad}


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
