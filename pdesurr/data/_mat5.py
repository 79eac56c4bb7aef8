"""MATLAB files of versions 5 to 7, read without trust: scipy's reader can crash the process on a damaged one.

After 128 bytes of text, version and byte order come elements: a type, a size, data. A variable is one of type matrix, or one of type
compressed that holds it: flags, shape, name and values, each an element again; values may be stored in a smaller type than they have.
Full real arrays are read; text, cells, structs, objects, sparse and complex arrays are listed and refused.
Source: MathWorks, "MAT-File Format", chapter 1.
"""

import dataclasses
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pdesurr.data._guard import LARGEST_RATIO, check_numeric, refuse

HEADER, HEAD = 128, 4096  # bytes before the first element; bytes that hold any variable's flags, shape and name
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
TEXT, COMPLEX = 4, 0x08
DAMAGED = "the file is damaged or hostile: fetch it again"


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable and where it lies: `size` bytes at `start`, `whole` of them when unpacked; its values are an element at `values`."""

    shape: tuple[int, ...]
    type: str | None  # numpy's, None for what is not a full real array
    refused: str  # a numpy type that stands for what it is instead
    start: int
    size: int
    whole: int
    packed: bool
    values: int


def variables(path: Path) -> tuple[str, dict[str, Variable]]:
    """The file's byte order, and its variables by name. Raises `DatasetError`, `struct.error` or `zlib.error` on a damaged file."""
    found: dict[str, Variable] = {}
    with path.open("rb") as file:
        head = file.read(HEADER)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None:
            raise refuse(path, "", "is no MATLAB file of version 5 or newer", "save it with -v7 or -v7.3")
        for kind, start, size in _elements(file, order, path):
            file.seek(start)
            body, whole = file.read(min(size, HEAD)), size
            if kind == COMPRESSED:
                body = zlib.decompressobj().decompress(body, HEAD)
                kind, whole = struct.unpack_from(f"{order}II", body)
                body = body[8:]
                if whole > max(LARGEST_RATIO * size, HEAD):
                    raise refuse(path, "", f"declares {whole:,} bytes, but {size:,} are stored", DAMAGED)
                name, variable = _variable(body, order, start, size, whole, packed=True)
            elif kind == MATRIX:
                name, variable = _variable(body, order, start, size, whole, packed=False)
            if kind == MATRIX and name:
                found.setdefault(name, variable)
    return order, found


def read(path: Path, order: str, name: str, variable: Variable) -> np.ndarray:
    """The values of a variable, in MATLAB's order of axes. Raises `DatasetError` for all but full real arrays."""
    if variable.type is None:
        check_numeric(np.dtype(variable.refused), name, path)
        raise refuse(path, name, "is not a full real array", "only such arrays are read")
    with path.open("rb") as file:
        file.seek(variable.start)
        body = file.read(variable.size)
    if variable.packed:
        body = zlib.decompressobj().decompress(body, variable.whole + 8)[8:]
    kind, size, at = _tag(body, variable.values, order)
    stored = np.dtype(order + STORED.get(kind, "u1"))
    count = math.prod(variable.shape)
    if kind not in STORED or size != count * stored.itemsize or at + size > len(body):
        raise refuse(path, name, f"declares {count:,} numbers, but {size:,} bytes of type {kind} are stored", DAMAGED)
    values = np.frombuffer(body, stored, count, at).astype(variable.type)
    return values.reshape(variable.shape, order="F")


def _elements(file: BinaryIO, order: str, path: Any) -> Iterator[tuple[int, int, int]]:
    """Type, start and size of the elements after the header."""
    end, at = file.seek(0, 2), HEADER
    while at + 8 <= end:
        file.seek(at)
        kind, size = struct.unpack(f"{order}II", file.read(8))
        if at + 8 + size > end:
            raise refuse(path, "", "is cut short", "fetch it again")
        yield kind, at + 8, size
        at += 8 + size


def _tag(body: bytes, at: int, order: str) -> tuple[int, int, int]:
    """Type, size and start of the element at a place; short ones have all in eight bytes."""
    kind, size = struct.unpack_from(f"{order}II", body, at)
    return (kind & 0xFFFF, kind >> 16, at + 4) if kind >> 16 else (kind, size, at + 8)


def _after(size: int, at: int) -> int:
    """Where the next element starts: at a multiple of eight."""
    return (at + size + 7) // 8 * 8


def _variable(body: bytes, order: str, start: int, size: int, whole: int, packed: bool) -> tuple[str, Variable]:
    """Name and description from the first bytes of a variable."""
    _, length, at = _tag(body, 0, order)
    flags = struct.unpack_from(f"{order}I", body, at)[0]
    _, length, at = _tag(body, _after(length, at), order)
    shape = struct.unpack_from(f"{order}{length // 4}i", body, at)
    _, length, at = _tag(body, _after(length, at), order)
    name = body[at : at + length].decode("latin-1")
    kind = CLASSES.get(flags & 0xFF)
    is_complex = bool((flags >> 8) & COMPLEX)
    refused = "c16" if kind and is_complex else "S1" if flags & 0xFF == TEXT else "O"
    sound = kind is not None and not is_complex and min(shape, default=0) >= 0
    return name, Variable(tuple(shape), kind if sound else None, refused, start, size, whole, packed, _after(length, at))
