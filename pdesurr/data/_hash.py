"""Hashes of what a data file holds: no format here notices every changed bit by itself."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def canonical(value: Any) -> str:
    """JSON with one spelling per value, so that it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class ContentHash:
    """sha256 of an array's type, shape and values, fed record by record; the same however the records are grouped."""

    def __init__(self, dtype: np.dtype, record_shape: tuple[int, ...]):
        self.dtype, self.n = np.dtype(dtype).newbyteorder("<"), 0
        self._hash = hashlib.sha256(f"{self.dtype.str} {tuple(record_shape)};".encode())

    def update(self, records: np.ndarray) -> None:
        """Take in records `(m, *record_shape)`."""
        self._hash.update(np.ascontiguousarray(records, self.dtype).data)
        self.n += len(records)

    def hexdigest(self) -> str:
        """The hash of what was taken in so far."""
        whole = self._hash.copy()
        whole.update(f";{self.n}".encode())
        return whole.hexdigest()


def array_hash(values: Any) -> str:
    """`ContentHash` of a whole array; a scalar counts as one record."""
    values = np.asarray(values)
    content = ContentHash(values.dtype, values.shape[1:])
    content.update(np.atleast_1d(values))
    return content.hexdigest()


def content_hash(description: str, hashes: Mapping[str, str]) -> str:
    """The hash of a file: of its description and of every dataset's hash."""
    return hashlib.sha256(canonical({"description": description, "datasets": dict(hashes)}).encode()).hexdigest()
