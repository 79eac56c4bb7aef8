"""Solver to disk to batch: the data file, its reader, other people's files, and what training reads.

Names are imported when they are first used, so that this package can be imported where h5py is not installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Dataset": "dataset",
    "DatasetInfo": "schema",
    "DatasetWriter": "store",
    "Field": "schema",
    "PrecisionWarning": "reader",
    "dataset_hash": "reader",
    "export_dataset": "export",
    "generate": "generation",
    "import_arrays": "foreign",
    "inspect_file": "inspect",
    "open_dataset": "reader",
    "read_field": "reader",
    "read_info": "reader",
    "soundness": "inspect",
    "write_dataset": "store",
}

__all__ = [  # noqa: F822  (the names come from __getattr__)
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Field",
    "PrecisionWarning",
    "dataset_hash",
    "export_dataset",
    "generate",
    "import_arrays",
    "inspect_file",
    "open_dataset",
    "read_field",
    "read_info",
    "soundness",
    "write_dataset",
]

if TYPE_CHECKING:
    from pdesurr.data.dataset import Dataset
    from pdesurr.data.export import export_dataset
    from pdesurr.data.foreign import import_arrays
    from pdesurr.data.generation import generate
    from pdesurr.data.inspect import inspect_file, soundness
    from pdesurr.data.reader import PrecisionWarning, dataset_hash, open_dataset, read_field, read_info
    from pdesurr.data.schema import DatasetInfo, Field
    from pdesurr.data.store import DatasetWriter, write_dataset


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdesurr.data' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"pdesurr.data.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What the package offers, imported or not."""
    return sorted({*globals(), *__all__})
