"""Opening a data file: everything that can be wrong with it is found before a value is used, and said in one line."""

import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import jax
import numpy as np

from pdesurr.checks import UsageError, require
from pdesurr.data._guard import MIB, blocks, check_storage, member, one_line, open_hdf5, refuse
from pdesurr.data._hash import ContentHash, array_hash, content_hash
from pdesurr.data._layout import expected_paths
from pdesurr.data.dataset import Dataset
from pdesurr.data.schema import SCHEMA_VERSION, Channel, DatasetInfo, axis_kind, from_json
from pdesurr.fields import Grid


class PrecisionWarning(UserWarning):
    """Stored numbers are read with fewer digits than they were written with."""


def read_info(path: str | os.PathLike) -> DatasetInfo:
    """The description of a data file, with `n` and `sha256`; reads no field. Raises `DatasetError`."""
    with open_hdf5(path, scan=False) as file:
        return described(file, path)[0]


def dataset_hash(path: str | os.PathLike, *, verify: bool = True) -> str:
    """The sha256 of a file's content: its description and every array. Equal content has an equal hash on any machine.

    `verify` reads every value and compares; without it the recorded hash is returned. Raises `DatasetError`.
    """
    with open_hdf5(path, scan=verify) as file:
        info, hashes = described(file, path)
        if verify:
            for field in info.fields:
                stream_field(file, path, info, field.name, hashes, {}, info.n or 0)
        return str(info.sha256)


def open_dataset(
    path: str | os.PathLike,
    *,
    stride: int = 1,
    dtype: Any = None,
    limit: int | None = None,
    verify: bool = True,
) -> Dataset:
    """Read the map to learn from a data file.

    `stride` keeps every stride-th node of every axis, where those are a grid of the same kind: periodic and "left" axes
    with n divisible by it, "closed" ones with n - 1 divisible. `limit` keeps the first samples. `dtype`: "float32" or
    "float64"; None takes the stored one, or float32 where jax computes in float32; losing digits is said by a
    `PrecisionWarning`. `verify` reads every value of the fields needed and compares hashes; without it only the records
    kept are read, and damage is found by their checksums alone.

    Raises `DatasetError`, one line, for anything that is wrong with the file, and for a stride or limit that it does
    not allow.
    """
    check_arguments(stride, dtype, limit)
    with open_hdf5(path, scan=verify) as file:
        info, hashes = described(file, path)
        count = _count(info, limit, path)
        grid = coarser(info.grid, stride, path)
        target = read_dtype(info, dtype, path)
        arrays = [np.empty((count, *grid.shape, info.channels(m)), target) for m in (info.input, info.output)]
        wanted = place_channels(info, arrays, stride)
        for name in wanted:
            stream_field(file, path, info, name, hashes, wanted, info.n or 0 if verify else count)
        scalars = {name: member(file, f"scalars/{name}", path)[:count] for name in info.scalars}
    return Dataset(arrays[0], arrays[1], grid, info, scalars)


def read_field(path: str | os.PathLike, name: str, *, dtype: Any = None, limit: int | None = None) -> np.ndarray:
    """One whole stored field, `(n, [time,] *grid[, d])`; `dtype` and errors as in `open_dataset`."""
    check_arguments(1, dtype, limit)
    with open_hdf5(path) as file:
        info, hashes = described(file, path)
        try:
            shape = info.record_shape(info.field(name))
        except UsageError as error:
            raise refuse(path, name, "no such field", one_line(error)) from error
        out = np.empty((_count(info, limit, path), *shape), read_dtype(info, dtype, path))

        def keep(block: np.ndarray, start: int) -> None:
            out[start : start + len(block)] = block[: max(0, len(out) - start)]

        stream_field(file, path, info, name, hashes, {name: [keep]}, info.n or 0)
    return out


def read_verified(path: str | os.PathLike) -> tuple[DatasetInfo, Iterator[dict[str, np.ndarray]]]:
    """The description, and all fields and numbers per sample as stored, a few samples at a time.

    Every value is read and compared with its hash before this returns, so reading takes two passes and no more memory than one
    block. Raises `DatasetError`.
    """
    dataset_hash(path)
    return read_info(path), _records(path)


def _records(path: Any) -> Iterator[dict[str, np.ndarray]]:
    with open_hdf5(path, scan=False) as file:
        info = described(file, path)[0]
        names = {f.name: f"t{f.order}_fields/{f.name}" for f in info.fields} | {name: f"scalars/{name}" for name in info.scalars}
        record = sum(int(np.prod(info.record_shape(f))) for f in info.fields) * np.dtype(info.dtype).itemsize
        for start, stop in blocks(info.n or 0, record):
            yield {name: member(file, place, path)[start:stop] for name, place in names.items()}


def coarser(grid: Grid, stride: int, path: Any) -> Grid:
    """The grid of every `stride`-th node; `DatasetError` where those nodes are not a grid of the same kind."""
    bases = []
    for axis, basis in zip(grid.names, grid.bases, strict=True):
        kind = axis_kind(basis)
        both_walls, no_wall = kind in ("closed", "chebyshev"), kind in ("cells", "sine", "cosine")
        intervals = basis.n - 1 if both_walls else basis.n
        if stride > 1 and (no_wall or intervals % stride):
            allowed = [] if no_wall else [s for s in range(2, intervals // 2 + 1) if intervals % s == 0]
            fix = f"allowed are {', '.join(map(str, [1, *allowed]))}"
            raise refuse(path, f"axis {axis}", f"stride {stride} does not fit {basis.n} nodes of kind '{kind}'", fix)
        coarse = basis.with_n(intervals // stride + both_walls)
        if not np.allclose(coarse.nodes, basis.nodes[::stride], rtol=0, atol=1e-9 * basis.length):
            raise refuse(
                path,
                f"axis {axis}",
                f"stride {stride} leaves nodes that are not a grid of kind '{kind}'",
                "use stride 1",
            )
        bases.append(coarse)
    return Grid(bases, grid.names)


def described(file: h5py.File, path: Any) -> tuple[DatasetInfo, dict[str, str]]:
    """The description, checked against what is in the file, and every dataset's recorded hash."""
    version = _number(file, "schema_version")
    if version is None:
        found = ", ".join(list(file)[:6]) or "nothing"
        raise refuse(
            path, "", f"is not a pdesurr data file (it has {found})", "bring it in with pdesurr.data.import_arrays"
        )
    if version != SCHEMA_VERSION:
        raise refuse(
            path, "schema_version", f"is {version}, this version reads {SCHEMA_VERSION}", "generate the file again"
        )
    if not _number(file, "complete"):
        raise refuse(path, "complete", "is missing: the file is half-written", "generate it again")
    text = check_storage(member(file, "description", path), "description", path, exact=True, text=True)
    description = bytes(text[()]).decode()
    info = from_json(description)
    hashes = {}
    for name, shape in expected_paths(info).items():
        dataset = member(file, name, path)
        if dataset is None:
            raise refuse(path, name, "is missing", "generate the file again")
        check_storage(dataset, name, path, exact=True)
        if dataset.shape != shape:
            raise refuse(
                path, name, f"has shape {dataset.shape}, its description says {shape}", "generate the file again"
            )
        hashes[name] = _digest(dataset, name, path)
        if not name.startswith(("t0_", "t1_", "t2_")) and array_hash(dataset[()]) != hashes[name]:
            raise refuse(
                path, name, "its values do not match their sha256: they were changed", "fetch or generate it again"
            )
    digest = content_hash(description, hashes)
    if digest != _digest(file, "", path, "content_sha256"):
        raise refuse(path, "description", "does not match content_sha256: it was changed", "fetch or generate it again")
    _check_nodes(file, info, path)
    _check_numbers(file, info, path)
    return dataclasses.replace(info, sha256=digest), hashes


def _number(file: h5py.File, name: str) -> int | None:
    """A root attribute that is one integer or boolean; None if it is not there or anything else."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind not in "iub":
        return None
    value = np.asarray(file.attrs[name])
    return int(value) if value.ndim == 0 else None


def _digest(node: Any, name: str, path: Any, attribute: str = "sha256") -> str:
    """A recorded hash: text of fixed length, so that reading it needs no heap."""
    if attribute not in node.attrs or node.attrs.get_id(attribute).dtype.kind != "S":
        raise refuse(path, name or attribute, f"its {attribute} is missing", "fetch or generate the file again")
    return bytes(node.attrs[attribute]).decode()


def _check_nodes(file: h5py.File, info: DatasetInfo, path: Any) -> None:
    """The axes that other readers see are the grid that we rebuild."""
    for axis, basis in zip(info.grid.names, info.grid.bases, strict=True):
        stored = member(file, f"dimensions/{axis}", path)[()]
        if not np.allclose(stored, basis.nodes, rtol=0, atol=1e-12 * max(1.0, basis.length)):
            raise refuse(
                path, f"dimensions/{axis}", "its nodes are not those of the grid described", "generate the file again"
            )


def _check_numbers(file: h5py.File, info: DatasetInfo, path: Any) -> None:
    """The times and parameters that other readers see are those described."""
    described = {f"scalars/{name}": value for name, value in info.parameters.items()} | {"dimensions/time": info.times or (0.0,)}
    for name, value in described.items():
        if not np.array_equal(np.asarray(member(file, name, path)[()], np.float64), np.asarray(value, np.float64)):
            raise refuse(path, name, "is not what the description says", "generate the file again")


def check_arguments(stride: int, dtype: Any, limit: int | None = None) -> None:
    require(type(stride) is int and stride >= 1, "stride", "an integer >= 1", stride)
    require(limit is None or (type(limit) is int and limit >= 1), "limit", "an integer >= 1 or None", limit)
    ok = dtype is None or np.dtype(dtype) in (np.float32, np.float64)
    require(ok, "dtype", "float32, float64 or None", str(dtype))


def _count(info: DatasetInfo, limit: int | None, path: Any) -> int:
    n = info.n or 0
    if limit is not None and limit > n:
        raise refuse(
            path, "", f"holds {n} samples, limit={limit} asks for more", f"use limit={n} or less, or generate more"
        )
    return n if limit is None else limit


def read_dtype(info: DatasetInfo, dtype: Any, path: Any) -> np.dtype:
    stored = np.dtype(info.dtype)
    if dtype is None:
        dtype = stored if jax.config.jax_enable_x64 else np.float32  # pyright: ignore[reportAttributeAccessIssue]
    target = np.dtype(dtype)
    if target.itemsize < stored.itemsize:
        text = f"{path}: stored {stored} is read as {target}, about 7 digits"
        fix = "enable x64 in jax or say dtype='float64' for all of them"
        warnings.warn(f"{text}; {fix}", PrecisionWarning, stacklevel=3)
    return target


def place_channels(info: DatasetInfo, arrays: Sequence[np.ndarray], stride: int) -> dict[str, list[Any]]:
    """For every field needed, the functions that put a block of its records where it belongs."""
    coarse = (slice(None), *(slice(None, None, stride),) * info.grid.ndim)
    wanted: dict[str, list[Any]] = {}
    for array, mapping in zip(arrays, (info.input, info.output), strict=True):
        offset = 0
        for channel in mapping:
            width = info.channels((channel,))
            wanted.setdefault(channel[0], []).append(_placer(array[..., offset : offset + width], channel, coarse))
            offset += width
    return wanted


def _placer(out: np.ndarray, channel: Channel, coarse: tuple[slice, ...]) -> Any:
    def place(block: np.ndarray, start: int) -> None:
        block = block[: max(0, len(out) - start)]
        frame = block if channel[1] is None else block[:, channel[1]]
        part = frame[coarse]
        out[start : start + len(part)] = part.reshape(len(part), *out.shape[1:])

    return place


def stream_field(
    file: h5py.File,
    path: Any,
    info: DatasetInfo,
    name: str,
    hashes: dict[str, str],
    wanted: dict[str, list[Any]],
    n: int,
) -> None:
    """Pass the first `n` records, checked, to the functions that want them; all of them are compared with the hash."""
    field = info.field(name)
    place = f"t{field.order}_fields/{name}"
    dataset = member(file, place, path)
    dtype, record = np.dtype(info.dtype).newbyteorder("<"), info.record_shape(field)
    if dataset.dtype != dtype:
        raise refuse(
            path, place, f"has dtype {dataset.dtype}, its description says {info.dtype}", "generate the file again"
        )
    content = ContentHash(dtype, record)
    for start, stop in blocks(n, int(np.prod(record)) * dtype.itemsize, 8 * MIB):
        try:
            block = dataset[start:stop]
        except OSError as error:
            wrong = f"samples {start} to {stop - 1} do not match their checksum: the file is damaged"
            raise refuse(path, place, wrong, "fetch or generate it again") from error
        bad = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if bad.any():
            raise refuse(
                path,
                place,
                f"sample {start + int(bad.argmax())} holds NaN or infinity",
                "drop it and write the file again",
            )
        content.update(block)
        for put in wanted.get(name, ()):
            put(block, start)
    if n == info.n and content.hexdigest() != hashes[place]:
        raise refuse(
            path, place, "its values do not match their sha256: they were changed", "fetch or generate it again"
        )
