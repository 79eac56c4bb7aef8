"""Small files in the layouts of other projects, made as their own scripts make them."""

from pathlib import Path
from typing import Any

import numpy as np
from data_files import opened

RNG = np.random.default_rng(0)
N, NT, NX, NY = 5, 4, 8, 6


def values(*shape: int, dtype: str = "float32") -> Any:
    """Random numbers."""
    return RNG.standard_normal(shape).astype(dtype)


def cells(n: int, lower: float = 0.0, upper: float = 1.0) -> np.ndarray:
    """Cell centres in float32, as PDEBench stores them."""
    return (lower + (upper - lower) / n * (np.arange(n) + 0.5)).astype("float32")


def pdebench_tensor(path: Path) -> np.ndarray:
    """Layout A in one dimension: one time more than there are frames."""
    u = values(N, NT, NX)
    with opened(path, "w") as file:
        file["tensor"], file["x-coordinate"], file["t-coordinate"] = u, cells(NX), np.linspace(0, 2, NT + 1, dtype="float32")
        file.attrs["Nu"] = 0.01
    return u


def pdebench_darcy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Layout A for Darcy."""
    u, a = values(N, 1, NX, NX), values(N, NX, NX)
    with opened(path, "w") as file:
        file["tensor"], file["nu"], file["x-coordinate"], file["y-coordinate"] = u, a, cells(NX), cells(NX)
        file.attrs["beta"] = 1.0
    return a, u[:, 0]


def pdebench_cfd(path: Path) -> dict[str, np.ndarray]:
    """Layout A for compressible flow in two dimensions."""
    fields = {name: values(N, NT, NX, NY) for name in ("density", "pressure", "Vx", "Vy")}
    with opened(path, "w") as file:
        for name, array in fields.items():
            file[name] = array
        file["x-coordinate"], file["y-coordinate"] = cells(NX), cells(NY)
        file["t-coordinate"] = np.linspace(0, 1, NT + 1, dtype="float32")
        file.attrs.update({"eta": 0.01, "zeta": 0.01, "M": 0.1})
    return fields


def pdebench_groups(path: Path, samples: int = N) -> np.ndarray:
    """Layout B: a group per sample, compressed, the grid in one of them only."""
    u = values(samples, NT, NX, NY, 2)
    with opened(path, "w") as file:
        for i in range(samples):
            file.create_dataset(f"{i:04d}/data", data=u[i], compression="lzf")
            file[f"{i:04d}"].attrs["config"] = "sim:\n  seed: !!python/object:os.system rm\n"
        file["0003/grid/x"], file["0003/grid/y"] = cells(NX, -1, 1), cells(NY, -1, 1)
        file["0003/grid/t"] = np.linspace(0, 5, NT, dtype="float32")
    return u


def pdebench_incompressible(path: Path) -> dict[str, np.ndarray]:
    """Layout C."""
    arrays = {"velocity": values(N, NT, NX, NY, 2), "particles": values(N, NT, NX, NY, 1), "force": values(N, NX, NY, 2)}
    with opened(path, "w") as file:
        for name, array in arrays.items():
            chunks = (1, 1, *array.shape[2:]) if name != "force" else None
            file.create_dataset(name, data=array, chunks=chunks, compression="lzf" if chunks else None)
        file["t"] = np.tile(np.arange(NT, dtype="float32") * 0.005, (N, 1))
        file.attrs.update({"config": "NU: 0.01\n", "latestIndex": NT - 1})
    return arrays


def matlab(path: Path, arrays: dict[str, np.ndarray], version: str) -> None:
    """A `.mat` file: "v5", or "v7.3", which is HDF5 behind 512 bytes of MATLAB's, with columns first."""
    if version == "v5":
        import scipy.io

        scipy.io.savemat(path, arrays)
        return
    with opened(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            array = np.atleast_2d(array)
            file.create_dataset(name, data=array.T, chunks=True, compression="gzip")
            file[name].attrs["MATLAB_class"] = np.bytes_("double" if array.dtype == np.float64 else "single")
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: 1-Jan-2020 HDF5 schema 1.00 .".ljust(124) + b"\0\2IM"
    path.write_bytes(content)


def well(path: Path) -> dict[str, np.ndarray]:
    """The Well as its own scripts write it: periodic x without the end, y between walls on cell centres, everything that may vary."""
    arrays = {
        "t0_fields/tracer": values(N, NT, NX, NY),
        "t0_fields/height": values(NX, NY),
        "t0_fields/profile": values(N, NY),
        "t1_fields/velocity": values(N, NT, NX, NY, 2),
        "t2_fields/stress": values(N, NT, NX, NY, 2, 2),
    }
    flags = {"height": (False, False, [True, True]), "profile": (True, False, [False, True])}
    with opened(path, "w") as file:
        file.attrs.update({"dataset_name": "shear", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": N})
        file.attrs["simulation_parameters"], file.attrs["Reynolds"] = ["Reynolds"], 1e4
        file["dimensions/time"] = np.linspace(0, 3, NT, dtype="float32")
        file["dimensions/x"], file["dimensions/y"] = np.linspace(0, 1, NX, endpoint=False, dtype="float32"), cells(NY, -1, 1)
        file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
        for name, array in arrays.items():
            file[name] = array
            sample, time, dims = flags.get(name.split("/")[1], (True, True, [True, True]))
            file[name].attrs.update({"sample_varying": sample, "time_varying": time, "dim_varying": dims})
        file["scalars/Reynolds"], file["scalars/amplitude"], file["scalars/energy"] = 1e4, np.arange(N) / 2, np.ones((N, NT))
        for name, (sample, time) in {"Reynolds": (False, False), "amplitude": (True, False), "energy": (True, True)}.items():
            file[f"scalars/{name}"].attrs.update({"sample_varying": sample, "time_varying": time})
        for dim, kind in (("x", "PERIODIC"), ("y", "WALL")):
            group = file.create_group(f"boundary_conditions/{dim}_{kind.lower()}")
            group.attrs.update({"associated_dims": [dim], "bc_type": kind, "sample_varying": False, "time_varying": False})
    return arrays
