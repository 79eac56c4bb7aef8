"""Arrays in other people's files, by name: HDF5, MATLAB v7.3 (which is HDF5), MATLAB v5 and `.npz`, none of it trusted.

No pickles: object arrays are refused in every format.
"""

import abc
import difflib
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.data import _mat5
from pdesurr.data._guard import (
    LARGEST_RATIO,
    MIB,
    boundary,
    check_is_a_file,
    check_numeric,
    check_storage,
    member,
    open_hdf5,
    refuse,
)

MOST_MEMBERS = 10_000
MOST_TEXTS = 256
DEEPEST = 32


class Arrays(abc.ABC):
    """A file's arrays: `shapes` by name, `dtype` and `read` for one of them. All raise `DatasetError`.

    HDF5 is read block by block; `.npz` and MATLAB v5 files only array by array, so those that were asked for are kept.
    """

    format: str

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray] = {}

    @abc.abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays there are."""

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """The values of one of them."""

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """Records `start` to `stop` along the first axis."""
        if name not in self._kept:
            self._kept[name] = self.read(name)
        return self._kept[name][start:stop]

    def dtype(self, name: str) -> np.dtype:
        """The type of one of them, which is one of real numbers."""
        return self.part(name, 0, 0).dtype

    def attributes(self, name: str = "") -> dict[str, Any]:
        """Single numbers, texts and short lists of texts attached to the file or to one of its members."""
        return {}


class Hdf5Arrays(Arrays):
    """Arrays reached through hard links, whose values lie in the file itself."""

    format = "hdf5"

    def __init__(self, file: h5py.File, path: Any):
        super().__init__()
        self.file, self.path = file, path
        self._checked: dict[str, h5py.Dataset] = {}
        # MATLAB v7.3 writes column-major arrays: h5py shows their axes in reverse.
        with Path(path).open("rb") as stream:
            self.reverse = stream.read(10) == b"MATLAB 7.3"
        self.format = "matlab v7.3" if self.reverse else "hdf5"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """A link is listed too, with no shape, so that `read` says why it is refused."""
        found = {name: node for name, node in walk(self.file) if not isinstance(node, h5py.Group)}
        return {name: self._order(getattr(node, "shape", None) or ()) for name, node in found.items()}

    def read(self, name: str) -> np.ndarray:
        values = self.dataset(name)[()]
        return np.ascontiguousarray(np.transpose(values)) if self.reverse else values

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        dataset = self.dataset(name)
        return np.ascontiguousarray(np.transpose(dataset[..., start:stop])) if self.reverse else dataset[start:stop]

    def dtype(self, name: str) -> np.dtype:
        return self.dataset(name).dtype

    def attributes(self, name: str = "") -> dict[str, Any]:
        return plain_attributes(member(self.file, name, self.path) if name else self.file)

    def dataset(self, name: str) -> h5py.Dataset:
        """The array as it lies in the file; checked when it is first asked for."""
        if name not in self._checked:
            self._checked[name] = check_storage(member(self.file, name, self.path), name, self.path)
        return self._checked[name]

    def _order(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[::-1] if self.reverse else shape


class NpzArrays(Arrays):
    """The members of an `.npz` file; a size that its bytes cannot hold is refused before memory is asked for."""

    format = "npz"

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def shapes(self) -> dict[str, tuple[int, ...]]:
        with zipfile.ZipFile(self.path) as archive:
            return {
                name.removesuffix(".npy"): self._header(archive, name)[0] for name in archive.namelist()[:MOST_MEMBERS]
            }

    def read(self, name: str) -> np.ndarray:
        with zipfile.ZipFile(self.path) as archive:
            entry = archive.getinfo(f"{name}.npy")
            shape, dtype = self._header(archive, entry.filename)
            check_numeric(dtype, name, self.path)
            declared = math.prod(shape) * dtype.itemsize
            if declared > entry.file_size or entry.file_size > max(LARGEST_RATIO * entry.compress_size, MIB):
                wrong = f"declares {declared:,} bytes, but {entry.compress_size:,} are stored"
                raise refuse(self.path, name, wrong, "the file is damaged or hostile")
        with np.load(self.path, allow_pickle=False) as arrays:
            return arrays[name]

    def _header(self, archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with archive.open(name) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        return shape, dtype


class MatArrays(Arrays):
    """The variables of a MATLAB file of version 5 to 7."""

    format = "matlab v5"

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.order, self.variables = _mat5.variables(path)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: variable.shape for name, variable in self.variables.items()}

    def read(self, name: str) -> np.ndarray:
        return _mat5.read(self.path, self.order, name, self.variables[name])


def plain_attributes(node: Any) -> dict[str, Any]:
    """The attributes of a group or dataset that are single numbers, texts or at most `MOST_TEXTS` texts; others are left out."""
    found: dict[str, Any] = {}
    attrs: Any = {} if node is None else node.attrs
    for name in list(attrs)[:MOST_TEXTS]:
        stored = attrs.get_id(name)
        kind, size = stored.dtype.kind, math.prod(stored.shape or ())
        if kind in "fiub" and size == 1:
            found[name] = np.asarray(attrs[name]).reshape(()).item()
        elif kind in "SO" and size <= MOST_TEXTS:
            value = attrs[name]
            texts = [t.decode(errors="replace") if isinstance(t, bytes) else t for t in np.ravel(value)]
            if all(isinstance(t, str) for t in texts):
                found[name] = [str(t) for t in texts] if np.ndim(value) else str(texts[0])
    return found


def walk(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Every group, dataset and refused link `(path, object or link)`, parents first; ends on files made of loops."""
    pending: list[tuple[str, h5py.Group, tuple[Any, ...]]] = [("", file, (file,))]
    seen = 0
    while pending:
        prefix, group, above = pending.pop(0)
        for name in group:
            seen += 1
            if seen > MOST_MEMBERS:
                return
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield f"{prefix}{name}", link
                continue
            found = group[name]
            yield f"{prefix}{name}", found
            if isinstance(found, h5py.Group) and len(above) < DEEPEST and found not in above:
                pending.append((f"{prefix}{name}/", found, (*above, found)))


@contextmanager
def open_arrays(path: Any) -> Iterator[Arrays]:
    """The arrays of a file of any format that is read here, inside a `boundary`."""
    with boundary(path):
        file = check_is_a_file(path)
        if zipfile.is_zipfile(file):
            yield NpzArrays(file)
        elif h5py.is_hdf5(file):
            with open_hdf5(file) as handle:
                yield Hdf5Arrays(handle, file)
        elif file.suffix.lower() == ".mat":
            yield MatArrays(file)
        else:
            what = "is neither HDF5 nor .npz nor .mat, or is cut short"
            raise refuse(path, "", what, "convert it with numpy.savez or h5py, or fetch it again")


def closest(name: str, names: Any) -> str:
    """What to say about a name that is not there: the likely one, and those that are."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    listed = ", ".join(list(names)[:20]) or "none"
    return (f"did you mean {near[0]}? " if near else "") + f"the arrays there are: {listed}"
