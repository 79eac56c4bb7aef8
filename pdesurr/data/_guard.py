"""Reading files that may be damaged or hostile: every failure is one `DatasetError` of one line.

HDF5 follows links into other files, reads raw bytes out of files that a dataset names, returns zeros for what was never
written, and believes any size that it is told. None of that is used here: a member is reached through hard links only,
and its storage is checked before its values are asked for.
"""

import math
import mmap
import os
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.checks import DatasetError, UsageError

MIB = 2**20
LONGEST_MESSAGE = 600
# deflate, shuffle, fletcher32, szip, nbit, scale-offset, lzf: what HDF5 and h5py bring; others would load a plug-in.
KNOWN_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
LARGEST_RATIO = 1000  # declared over stored bytes; deflate cannot honestly do more
LARGEST_CHUNK = 1024 * MIB
ALWAYS_SCANNED = 256 * MIB
SEARCHED = 16 * MIB
HEAP, HEAP_HEADER, OBJECT_HEADER = b"GCOL\x01", 16, 16

PRINTABLE = set(string.printable) - set("\t\n\r\x0b\x0c")


def one_line(text: Any) -> str:
    """`text` without line breaks or control characters, cut to a readable length: it may come from a hostile file."""
    flat = " ".join(str(text).split())
    clean = "".join(c if c in PRINTABLE or (ord(c) > 160 and c.isprintable()) else "?" for c in flat)
    return clean if len(clean) <= LONGEST_MESSAGE else clean[: LONGEST_MESSAGE - 3] + "..."


def refuse(path: Any, what: str, wrong: str, fix: str = "") -> DatasetError:
    """The error that names file, member, what is wrong and what to do; the caller raises it."""
    parts = [str(path), *([what] if what else []), wrong]
    return DatasetError(one_line(": ".join(parts) + (f"; {fix}" if fix else "")))


class CallError(UsageError):
    """A wrong argument that showed only when the file was open: it passes a `boundary`."""


@contextmanager
def about_the_call() -> Iterator[None]:
    """Inside a `boundary`: a `UsageError` is about the caller's arguments, not about the file."""
    try:
        yield
    except UsageError as error:
        raise CallError(str(error)) from error


@contextmanager
def boundary(path: Any) -> Iterator[None]:
    """Turn whatever goes wrong inside into one `DatasetError` that names the file."""
    try:
        yield
    except (DatasetError, CallError, Warning):  # a warning made an error is about the caller's choice, not the file
        raise
    except MemoryError as error:
        raise refuse(path, "", "its values do not fit into memory", "read fewer samples with limit=") from error
    except Exception as error:  # damaged HDF5 raises OSError, KeyError, RuntimeError, TypeError, AttributeError ...
        text = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
        fix = "the file is damaged or was not written by pdesurr; generate it or fetch it again"
        raise refuse(path, "", text, fix) from error


def check_is_a_file(path: Any) -> Path:
    """The path, if something non-empty that could be data is there."""
    file = Path(path)
    if not file.exists():
        near = sorted(p.name for p in file.parent.glob(f"*{file.suffix}"))[:5] if file.suffix else []
        raise refuse(path, "", "no such file", f"beside it: {', '.join(near)}" if near else "check the path")
    if not file.is_file():
        raise refuse(path, "", "is not a file", "give the path of one data file")
    with file.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise refuse(path, "", "is empty", "generate it or fetch it again")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise refuse(path, "", "is a web page, not a data file", "its download gave an error page: fetch it again")
    return file


def check_heaps(file: Path) -> None:
    """Refuse a file on which libhdf5 would loop for ever.

    Text of any length and the sources of virtual datasets lie in "global heaps": lists of objects, each with its size.
    The library walks them by those sizes, without end where one is zero. Such a list is found by its signature,
    wherever it is. What was searched is let go, so that a long file takes no more memory than a short one.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for first in range(0, len(data), SEARCHED):
            _check_heaps(file, data, first, min(first + SEARCHED, len(data)))
            if hasattr(mmap, "MADV_DONTNEED"):
                data.madvise(mmap.MADV_DONTNEED, 0, min(first + SEARCHED, len(data)))


def _check_heaps(file: Path, data: mmap.mmap, first: int, last: int) -> None:
    """The same for lists that begin in a part of it."""
    start = data.find(HEAP, first, last + len(HEAP) - 1)
    while start >= 0:
        end = start + int.from_bytes(data[start + 8 : start + 16], "little")
        here = start + HEAP_HEADER
        while end <= len(data) and here + OBJECT_HEADER <= end:  # one longer than the file is noticed by the library
            free = data[here : here + 2] == b"\0\0"
            size = int.from_bytes(data[here + 8 : here + 16], "little")
            step = size if free else OBJECT_HEADER + (size + 7) // 8 * 8
            if not 0 < step <= end - here:
                raise refuse(file, "", "its heap of texts is damaged", "fetch or generate it again")
            here += step
        start = data.find(HEAP, start + 1, last + len(HEAP) - 1)


@contextmanager
def open_hdf5(path: Any, *, scan: bool = True) -> Iterator[h5py.File]:
    """The file, open for reading inside a `boundary`. `scan` searches all of it for heaps that would hang the
    library."""
    with boundary(path):
        file = check_is_a_file(path)
        if not h5py.is_hdf5(file):
            raise refuse(path, "", "is not an HDF5 file", "give a file that pdesurr, h5py or MATLAB (v7.3) wrote")
        if scan or file.stat().st_size <= ALWAYS_SCANNED:
            check_heaps(file)
        try:
            handle = h5py.File(file, "r", locking="best-effort")
        except OSError as error:
            if "truncated" in str(error):
                raise refuse(path, "", "is truncated", "the copy or download was cut short: fetch it again") from error
            raise
        with handle:
            yield handle


def child(group: Any, name: str, path: Any) -> Any:
    """The member of that name, reached through a hard link; None if there is none of that name."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
        raise refuse(
            path,
            f"{group.name.rstrip('/')}/{name}",
            f"is {kind}, which could read another file",
            "links are never followed: copy the array into the file",
        )
    return group[name]


def member(file: h5py.File, name: str, path: Any) -> Any:
    """The group or dataset at a path inside the file; None if it is not there."""
    here: Any = file
    for part in name.strip("/").split("/"):
        here = child(here, part, path) if isinstance(here, h5py.Group) else None
        if here is None:
            return None
    return here


def declared_bytes(dataset: h5py.Dataset) -> int:
    """The size that the header claims."""
    return math.prod(int(n) for n in dataset.shape) * dataset.dtype.itemsize


def filters(dataset: h5py.Dataset) -> set[int]:
    """The numbers of the filters that stored bytes pass through."""
    plist = dataset.id.get_create_plist()
    return {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}


def check_numeric(dtype: np.dtype, name: str, path: Any) -> None:
    """Raise unless the values are plain real numbers (or booleans)."""
    if dtype.kind not in "fiub" or dtype.subdtype is not None or dtype.itemsize > 8:
        what = {"O": "text or objects", "S": "text", "c": "complex numbers", "V": "records"}.get(dtype.kind, str(dtype))
        fix = (
            "store real and imaginary part as two arrays"
            if dtype.kind == "c"
            else "only arrays of real numbers are read"
        )
        raise refuse(path, name, f"holds {what}, not real numbers", fix)


def check_storage(dataset: Any, name: str, path: Any, *, exact: bool = False, text: bool = False) -> h5py.Dataset:
    """The dataset, if its values lie in this file, all of them, at no more than a believable size.

    `exact`: as this package writes, so without compression and with no byte fewer stored than declared. `text`: bytes
    of a fixed length instead of numbers.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise refuse(
            path,
            name,
            "is a group, not an array" if isinstance(dataset, h5py.Group) else "is not an array",
            "name an array inside it",
        )
    plist = dataset.id.get_create_plist()
    if plist.get_external_count() or dataset.is_virtual:
        kind = "virtual" if dataset.is_virtual else "stored externally"
        raise refuse(path, name, f"is {kind}: its values would come from other files", "copy the array into the file")
    if dataset.shape is None:
        raise refuse(path, name, "holds no values", "store an array")
    if not (text and dataset.dtype.kind == "S"):
        check_numeric(dataset.dtype, name, path)
    unknown = filters(dataset) - ({3} if exact else KNOWN_FILTERS)
    if unknown:
        raise refuse(
            path, name, f"uses HDF5 filters {sorted(unknown)}, which are not read here", "store it without them"
        )
    _check_size(dataset, name, path, exact)
    return dataset


def _check_size(dataset: h5py.Dataset, name: str, path: Any, exact: bool) -> None:
    declared, stored = declared_bytes(dataset), dataset.id.get_storage_size()
    on_disk = os.path.getsize(path)
    ratio = 1 if exact else LARGEST_RATIO
    if stored > on_disk or declared > ratio * stored:
        wrong = f"declares {declared:,} bytes, but {min(stored, on_disk):,} are stored"
        raise refuse(path, name, wrong, "the file is half-written or hostile: generate it or fetch it again")
    if dataset.chunks is None:
        return
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if chunk > LARGEST_CHUNK or chunk > max(LARGEST_RATIO * declared, MIB):
        raise refuse(path, name, f"is stored in chunks of {chunk:,} bytes", "store it in smaller chunks")
    needed = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    present = dataset.id.get_num_chunks()
    if present < needed:
        wrong = f"has {present} of its {needed} chunks; the others would read as zeros"
        raise refuse(path, name, wrong, "its writer was interrupted: generate it or fetch it again")


def blocks(n: int, record_bytes: int, size: int = 32 * MIB) -> Iterator[tuple[int, int]]:
    """Ranges of records that are read together: about `size` bytes each."""
    step = max(1, size // max(1, record_bytes))
    for start in range(0, n, step):
        yield start, min(n, start + step)
