"""Data larger than memory: a file's samples are read by their number while training runs, by Grain's threads.

Needs the package grain: `pip install 'pdesurr[scale]'`.
"""

import dataclasses
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import equinox as eqx
import h5py
import numpy as np
from jaxtyping import Float, Int

from pdesurr.checks import UsageError, is_whole, require
from pdesurr.data._guard import MIB, blocks, boundary, member, open_hdf5, refuse
from pdesurr.data.dataset import check_ranges
from pdesurr.data.reader import check_arguments, coarser, described, place_channels, read_dtype, stream_field
from pdesurr.data.scaling import ChannelScaler
from pdesurr.data.schema import DatasetInfo
from pdesurr.data.sources import AbstractHostSource
from pdesurr.fields import Grid

PIECE = MIB  # about what one of Grain's threads reads at once
_CLOSED: Any = (None, None, None)

Pair = tuple[np.ndarray, np.ndarray]


class FileSource(AbstractHostSource):
    """The map to learn of a data file whose samples stay in the file; `stride` and `dtype` as in `open_dataset`, `rows (start, stop)` a
    part of the samples.

    `verify` reads every value of the fields needed once, a few MiB at a time, and compares hashes; without it damage is found by
    checksums when it is met. `memory`: bytes of samples that training holds at a time on all devices together; four batches at least where
    every bit is to be as from memory. `threads` read at once.
    `split` makes parts for training and validation, `scalers` their normalisers.

    Raises `DatasetError`, one line, for anything that is wrong with the file, also while training reads it: damage, values that are not
    finite, a file that was changed. `UsageError` where grain is not installed.
    """

    records: "Records" = eqx.field(static=True)
    grid: Grid
    first: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, path: "str | os.PathLike | Records", *, rows: tuple[int, int] | None = None, stride: int = 1, dtype: Any = None,
                 verify: bool = True, memory: int = 512 * MIB, threads: int = 4):
        self.records = path if isinstance(path, Records) else Records(path, stride, dtype, verify, memory, threads)
        n = self.records.info.n or 0
        pair = rows is None or (isinstance(rows, tuple | list) and len(rows) == 2 and all(map(is_whole, rows)))
        require(pair, "rows", "(start, stop) or None", rows)
        start, stop = rows or (0, n)
        check_ranges(((start, stop),), n)
        self.grid, self.first, self.size = self.records.grid, start, stop - start

    @property
    def info(self) -> DatasetInfo:
        """The file's description; its own grid may be finer than `grid`."""
        return self.records.info

    @property
    def memory(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.records.memory

    def read(self, numbers: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, "n *grid c_in"], Float[np.ndarray, "n *grid c_out"]]:
        inside = len(numbers) == 0 or (numbers.min() >= 0 and numbers.max() < self.size)
        require(bool(inside), "numbers", f"numbers of samples, 0 to {self.size - 1}", numbers)
        return self.records.read(numbers.astype(np.int64) + self.first)

    def split(self, *ranges: tuple[int, int]) -> tuple["FileSource", ...]:
        """One source per range `(start, stop)` of samples, as `Dataset.split`."""
        check_ranges(ranges, self.size)
        return tuple(FileSource(self.records, rows=(self.first + start, self.first + stop)) for start, stop in ranges)

    def scalers(self, centre: bool = True) -> tuple[ChannelScaler, ChannelScaler]:
        """What `fit_scaler` finds of all inputs and of all outputs, in one pass over the file (Chan's sums, in float64)."""
        total = [_Moments(), _Moments()]
        for start, stop in blocks(self.size, self.records.bytes, 8 * MIB):
            for moments, values in zip(total, self.read(np.arange(start, stop)), strict=True):
                moments.add(values)
        return total[0].scaler(centre), total[1].scaler(centre)


class Records:
    """The samples of one data file by their number in it. The file is opened when first read, once in each process; two of the same
    content have the same `repr`, wherever they lie."""

    def __init__(self, path: str | os.PathLike, stride: int, dtype: Any, verify: bool, memory: int, threads: int):
        require(isinstance(path, str | os.PathLike), "path", "the name of a data file", path)
        require(isinstance(verify, bool), "verify", "True or False", verify)
        require(type(memory) is int and memory >= 1, "memory", "a number of bytes", memory)
        require(type(threads) is int and threads >= 1, "threads", "a whole number >= 1", threads)
        check_arguments(stride, dtype)
        _grain()
        self.path, self.stride, self.memory, self.threads = os.fspath(path), stride, memory, threads
        with open_hdf5(path, scan=verify) as file:
            self._stamp = _stamp(path)
            self.info, hashes = described(file, path)
            self.grid = coarser(self.info.grid, stride, path)
            self.dtype = read_dtype(self.info, dtype, path)
            self.names = list(dict.fromkeys(name for name, _ in (*self.info.input, *self.info.output)))
            if verify:
                for name in self.names:
                    stream_field(file, path, self.info, name, hashes, {}, self.info.n or 0)
        self._times, self._frames = _needed_times(self.info)
        records = [int(np.prod(self._frames.record_shape(self._frames.field(name)))) for name in self.names]
        self.bytes = sum(records) * np.dtype(self.info.dtype).itemsize
        self._lock, self._open = threading.Lock(), _CLOSED

    def __repr__(self) -> str:
        return f"Records({self.info.sha256}, stride={self.stride}, dtype={self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_open")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._open = threading.Lock(), _CLOSED

    def read(self, numbers: Int[np.ndarray, " n"]) -> Pair:
        """Inputs `(n, *grid, c_in)` and outputs `(n, *grid, c_out)`: read in the file's order, put where they belong."""
        whole = self._empty(len(numbers))
        order = np.argsort(numbers, kind="stable")
        parts = [order[start:stop] for start, stop in blocks(len(order), self.bytes, PIECE)]
        for part, values in zip(parts, self._pieces([numbers[part] for part in parts]), strict=True):
            for out, v in zip(whole, values, strict=True):
                out[part] = v
        self._check_unchanged()
        return whole

    def _pieces(self, parts: list[np.ndarray]) -> Iterator[Pair]:
        grain = _grain()
        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=2 * self.threads)
        return iter(grain.MapDataset.source(_Pieces(self, parts)).to_iter_dataset(options))

    def piece(self, numbers: Int[np.ndarray, " n"]) -> Pair:
        """The same of a few ascending numbers, which may repeat, read by the calling thread."""
        rows, again = np.unique(numbers, return_inverse=True)
        values = self._empty(len(rows))
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        with boundary(self.path), np.errstate(over="ignore"):
            file, places = self._file(), place_channels(self._frames, values, self.stride)
            for name in self.names:
                place = f"t{self.info.field(name).order}_fields/{name}"
                dataset, start = member(file, place, self.path), 0
                for run in runs:
                    block = self._frames_of(dataset, place, int(run[0]), int(run[-1]) + 1, self.info.field(name).in_time)
                    for put in places[name]:
                        put(block, start)
                    start += len(run)
        return values if len(rows) == len(numbers) else (values[0][again], values[1][again])

    def _frames_of(self, dataset: h5py.Dataset, place: str, start: int, stop: int, in_time: bool) -> np.ndarray:
        """Records `start` to `stop`, at the needed times, in the dtype of reading, all finite."""
        try:
            block = dataset[start:stop, self._times] if in_time else dataset[start:stop]
        except OSError as error:
            self._check_unchanged()
            wrong = f"samples {start} to {stop - 1} do not match their checksum: the file is damaged"
            raise refuse(self.path, place, wrong, "fetch or generate it again") from error
        block = block.astype(self.dtype, copy=False)
        bad = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if bad.any():
            wrong = f"sample {start + int(bad.argmax())} holds NaN or infinity, as {self.dtype}"
            raise refuse(self.path, place, wrong, "drop it and write the file again")
        return block

    def _empty(self, n: int) -> Pair:
        widths = [self.info.channels(m) for m in (self.info.input, self.info.output)]
        inputs, outputs = (np.empty((n, *self.grid.shape, width), self.dtype) for width in widths)
        return inputs, outputs

    def _file(self) -> h5py.File:
        """The open file of this process."""
        with self._lock:
            process, file, _ = self._open
            if process != os.getpid():
                stack = ExitStack()
                file = stack.enter_context(open_hdf5(self.path, scan=False))
                self._check_unchanged()
                self._open = (os.getpid(), file, stack)
        return file

    def _check_unchanged(self) -> None:
        if _stamp(self.path) != self._stamp:
            raise refuse(self.path, "", "was changed after it was opened", "leave a file alone while it is read, and start again")


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """What Grain's threads ask for: the values of one of `parts` after another."""

    records: Records
    parts: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, i: int) -> Pair:
        return self.records.piece(self.parts[i])


class _Moments:
    """Count, mean and sum of squared deviations of each channel, block by block."""

    def __init__(self):
        self.n, self.mean, self.squares = 0, np.zeros(1), np.zeros(1)

    def add(self, values: Float[np.ndarray, "*rest c"]) -> None:
        flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
        n, mean = self.n + len(flat), flat.mean(0)
        apart = mean - self.mean
        self.squares = self.squares + ((flat - mean) ** 2).sum(0) + apart**2 * (self.n * len(flat) / n)
        self.n, self.mean = n, self.mean + apart * (len(flat) / n)

    def scaler(self, centre: bool) -> ChannelScaler:
        mean = self.mean if centre else np.zeros_like(self.mean)
        std = np.sqrt(self.squares / self.n + (self.mean - mean) ** 2)
        return ChannelScaler(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))


def _needed_times(info: DatasetInfo) -> tuple[Any, DatasetInfo]:
    """Which times the map uses, as an index, and the description of a file that held no others."""
    used = sorted({time for _, time in (*info.input, *info.output) if time is not None})
    if not used:
        return slice(None), info
    own = lambda mapping: tuple((name, None if time is None else used.index(time)) for name, time in mapping)  # noqa: E731
    index = slice(used[0], used[-1] + 1) if used[-1] - used[0] == len(used) - 1 else used
    times = tuple(info.times[i] for i in used)
    return index, dataclasses.replace(info, times=times, input=own(info.input), output=own(info.output))


def _stamp(path: str | os.PathLike) -> tuple[int, int, int]:
    """What changes when a file is replaced, cut or written to."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise refuse(path, "", "cannot be found any more", "put it back") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _grain() -> Any:
    try:
        import grain
    except ImportError:
        raise UsageError("FileSource needs the package grain; pip install 'pdesurr[scale]'") from None
    return grain
