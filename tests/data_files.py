"""Small data files for the tests of the data room."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesurr.data import DatasetInfo, Field, write_dataset
from pdesurr.fields import FourierBasis, Grid, UniformBasis


def small_info(**changes: Any) -> DatasetInfo:
    """A coefficient, a state in time and a vector on a 4 x 5 grid that is periodic in x and closed in y."""
    grid = Grid([FourierBasis(4, 0.0, 2.0), UniformBasis(5, -1.0, 1.0, "closed")])
    fields = (Field("a", "m"), Field("u", "m/s", in_time=True), Field("v", "m/s", "vector", in_time=True))
    parts: dict[str, Any] = {
        "name": "small",
        "pde": "Small",
        "grid": grid,
        "fields": fields,
        "input": (("a", None), ("u", 0)),
        "output": (("u", 2), ("v", 1)),
        "parameters": {"nu": 0.1, "order": 2, "forced": True},
        "times": (0.0, 0.5, 1.0),
        "units": {"x": "m", "y": "m", "t": "s", "nu": "m^2/s"},
        "seed": 2**80,
        "reference_error": {"method": "refinement", "figure": 1e-7},
        "scalars": ("force",),
    }
    return DatasetInfo(**{**parts, **changes})


def small_values(n: int = 6, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Values for `small_info`, the same every time."""
    rng = np.random.default_rng(0)
    shapes = {"a": (n, 4, 5), "u": (n, 3, 4, 5), "v": (n, 3, 4, 5, 2), "force": (n,)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def small_file(path: Path, n: int = 6, **changes: Any) -> Path:
    """A whole file of `n` samples."""
    info = small_info(**changes)
    write_dataset(path, info, small_values(n, info.dtype))
    return path


def opened(path: Path, mode: str = "r", **options: Any) -> Any:
    """An HDF5 file whose members a type checker takes as they come."""
    return h5py.File(path, mode, **options)  # pyright: ignore[reportArgumentType]


def line_grid(n: int, kind: str) -> Grid:
    """One axis on (0, 1)."""
    basis: Any = FourierBasis(n, 0.0, 1.0) if kind == "periodic" else UniformBasis(n, 0.0, 1.0, kind)  # pyright: ignore
    return Grid([basis])


def line_file(path: Path, n: int, kind: str) -> tuple[Path, np.ndarray]:
    """The map u -> 2 u on a line, and u."""
    u = np.random.default_rng(1).standard_normal((3, n)).astype("float32")
    info = DatasetInfo(
        name="line",
        pde="Line",
        grid=line_grid(n, kind),
        fields=(Field("u"), Field("w")),
        input=(("u", None),),
        output=(("w", None),),
    )
    write_dataset(path, info, {"u": u, "w": 2 * u})
    return path, u
