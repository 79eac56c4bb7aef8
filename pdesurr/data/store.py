"""Writing a data file: The Well's layout, hashes, and all or nothing.

A file is written under a temporary name in its folder, flushed to the disk, and only then given its name: a reader sees
the old file, or the new one, or none. The same content gives the same bytes, however it was cut into chunks on the way.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.data._guard import MIB, one_line, refuse
from pdesurr.data._hash import ContentHash
from pdesurr.data._layout import write_frame
from pdesurr.data.schema import DatasetInfo, Field

LARGEST_CHUNK = MIB  # a record up to this size is one chunk; a longer one is cut into its times

Values = Mapping[str, np.ndarray]


class DatasetWriter:
    """Writes a file piece by piece: `with DatasetWriter(path, info) as writer: writer.append({...})`.

    The file appears when the block ends well; if it raises, nothing is left and an old file is untouched. After that
    `writer.info` has the number of samples and the hash. Raises `DatasetError` if the file exists and `overwrite` is
    False, and for values that do not fit the description or are not finite.
    """

    def __init__(self, path: str | os.PathLike, info: DatasetInfo, *, overwrite: bool = False):
        self.path, self.info, self.overwrite = Path(path), info, overwrite
        self._temporary = self.path.with_name(f"{self.path.name}.tmp-{os.getpid()}")
        self._scalars: dict[str, list[np.ndarray]] = {}
        self._n = 0
        self._file: Any = None
        self._refuse_existing()

    def __enter__(self) -> "DatasetWriter":
        dtype = np.dtype(self.info.dtype)
        self._hashes = {field.name: ContentHash(dtype, self.info.record_shape(field)) for field in self.info.fields}
        try:
            with self._disk():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # No chunk cache: chunks reach the disk as they are written, so the order of bytes depends on content
                # alone.
                self._file = h5py.File(self._temporary, "w", rdcc_nbytes=0, locking="best-effort")
                self._fields = {field.name: self._create(field) for field in self.info.fields}
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._discard()

    def append(self, values: Values) -> None:
        """Add samples: every field as `(m, *record)`; other names are numbers per sample, `(m,)`."""
        records, numbers = self._checked(values)
        with self._disk():
            for name, block in records.items():
                self._fields[name].resize(self._n + len(block), axis=0)
                self._hashes[name].update(block)
            count = len(next(iter(records.values())))
            for i in range(count):
                for name, block in records.items():
                    self._fields[name][self._n + i] = block[i]
        for name, block in numbers.items():
            self._scalars.setdefault(name, []).append(block)
        self._n += count

    def _create(self, field: Field) -> h5py.Dataset:
        shape = self.info.record_shape(field)
        dtype = np.dtype(self.info.dtype).newbyteorder("<")
        whole = int(np.prod(shape)) * dtype.itemsize <= LARGEST_CHUNK or not field.in_time
        chunk = (1, *shape) if whole else (1, 1, *shape[1:])
        return self._file.create_dataset(
            f"t{field.order}_fields/{field.name}",
            (0, *shape),
            dtype,
            maxshape=(None, *shape),
            chunks=chunk,
            fletcher32=True,
        )

    def _checked(self, values: Values) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The fields in the file's dtype and the numbers per sample, or `DatasetError`."""
        missing = [field.name for field in self.info.fields if field.name not in values]
        if missing:
            raise refuse(self.path, missing[0], "no values were given", f"given were: {', '.join(values) or 'none'}")
        records = {
            f.name: self._cast(f.name, values[f.name], self.info.dtype, self.info.record_shape(f))
            for f in self.info.fields
        }
        numbers = {name: self._cast(name, v, "float64", ()) for name, v in values.items() if name not in records}
        if set(numbers) != set(self.info.scalars):
            wrong = f"numbers per sample are {sorted(numbers)}, but the description names {sorted(self.info.scalars)}"
            raise refuse(self.path, "scalars", wrong, "a name that is no field needs to be in info.scalars")
        counts = {name: len(v) for name, v in {**records, **numbers}.items()}
        if len(set(counts.values())) != 1 or 0 in counts.values():
            raise refuse(
                self.path, "", f"numbers of samples differ or are zero: {counts}", "give every array as many samples"
            )
        return records, numbers

    def _cast(self, name: str, values: Any, dtype: str, record: tuple[int, ...]) -> np.ndarray:
        values = np.asarray(values)
        if values.dtype.kind not in "fiub":
            raise refuse(self.path, name, f"has dtype {values.dtype}", "give real numbers")
        if values.ndim != len(record) + 1 or values.shape[1:] != record:
            wanted = f"(n, {', '.join(map(str, record))})" if record else "(n,)"
            raise refuse(
                self.path,
                name,
                f"has shape {values.shape}, the description wants {wanted}",
                "reshape it or correct the description",
            )
        with np.errstate(over="ignore"):
            values = values.astype(dtype)
        bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1)) if len(values) else []
        if len(bad):
            wrong = (
                f"{len(bad)} of {len(values)} samples hold NaN or infinity, the first is sample {self._n + int(bad[0])}"
            )
            raise refuse(self.path, name, wrong, "drop those samples or repair their solver")
        return values

    # The end: everything small, then `complete`, then the disk, then the name.

    def _finish(self) -> None:
        if self._n == 0:
            raise refuse(self.path, "", "no samples were given", "append at least one")
        with self._disk():
            hashes = {f"t{self.info.field(k).order}_fields/{k}": h.hexdigest() for k, h in self._hashes.items()}
            scalars = {name: np.concatenate(parts) for name, parts in self._scalars.items()}
            self.info = write_frame(self._file, self.info, self._n, scalars, hashes)
            self._file.close()
            flush_to_disk(self._temporary)
            self._refuse_existing()
            os.replace(self._temporary, self.path)
            flush_to_disk(self.path.parent)

    def _discard(self) -> None:
        """Close what is open and remove the temporary file; nothing here may hide the error that led to it."""
        with suppress(Exception):  # a full disk fails again when HDF5 closes
            if self._file is not None:
                self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if self.path.exists() and not self.overwrite:
            raise refuse(self.path, "", "exists already", "choose another name or say overwrite (--overwrite)")

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Say which file could not be written when the disk or HDF5 refuses."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            kept = ", the file that was there is unchanged" if self.path.exists() else ""
            wrong = f"could not be written{kept}: {one_line(error)}"
            raise refuse(self.path, "", wrong, "free disk space or choose another folder") from error


def flush_to_disk(path: Path) -> None:
    """fsync a file or a folder; a system that cannot fsync a folder is left to its own promises."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_dataset(
    path: str | os.PathLike,
    info: DatasetInfo,
    fields: Values | Iterable[Values],
    scalars: Values | None = None,
    *,
    overwrite: bool = False,
) -> DatasetInfo:
    """Write a whole file; the returned description has the number of samples and the hash.

    `fields`: every field as `(n, *record)`, or an iterable of such dicts, written as they come so that they need not
    all be held (a chunk's numbers per sample go into the same dict). `scalars`: numbers per sample, `(n,)`, for the
    first form. Raises as `DatasetWriter` does.
    """
    chunks: Iterable[Any] = [{**fields, **(scalars or {})}] if isinstance(fields, Mapping) else fields  # pyright: ignore
    with DatasetWriter(path, info, overwrite=overwrite) as writer:
        for chunk in chunks:
            writer.append(chunk)
    return writer.info
