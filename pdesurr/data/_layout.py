"""The Well's groups and attributes around the fields, and what this package adds to them.

Layout: PolymathicAI/the_well, docs/data_format.md, as its format checker enforces it. Its readers want a flag for every
way in which an array may vary, all of t0_fields, t1_fields and t2_fields even if empty, and parameters twice.
"""

import dataclasses
from typing import Any

import h5py
import numpy as np

from pdesurr.data._hash import array_hash, canonical, content_hash
from pdesurr.data.schema import SCHEMA_VERSION, DatasetInfo, axis_kind, to_json

TEXT = h5py.string_dtype()


def expected_paths(info: DatasetInfo) -> dict[str, tuple[int, ...]]:
    """Every dataset of a file and its shape; a file may hold others, which are never read."""
    n = info.n or 0
    paths: dict[str, tuple[int, ...]] = {"dimensions/time": (max(1, len(info.times)),)}
    for name, basis in zip(info.grid.names, info.grid.bases, strict=True):
        paths[f"dimensions/{name}"] = (basis.n,)
        paths[f"boundary_conditions/{wall_name(name, basis)}/mask"] = (basis.n,)
        paths[f"boundary_conditions/{wall_name(name, basis)}/values"] = (2,)
    paths |= {f"scalars/{name}": () for name in info.parameters} | {f"scalars/{name}": (n,) for name in info.scalars}
    return paths | {f"t{f.order}_fields/{f.name}": (n, *info.record_shape(f)) for f in info.fields}


def wall_name(name: str, basis: Any) -> str:
    """x_periodic or x_wall: the layout's convention is dimension and type."""
    return f"{name}_{'periodic' if basis.periodic else 'wall'}"


def write_frame(
    file: h5py.File, info: DatasetInfo, n: int, scalars: dict[str, np.ndarray], hashes: dict[str, str]
) -> DatasetInfo:
    """Write everything but the fields' values; `complete` comes last. Returns the description with `n` and `sha256`."""
    info = dataclasses.replace(info, n=n, sha256=None)
    small = {
        **_write_dimensions(file, info),
        **_write_boundaries(file, info),
        **_write_scalars(file, info, scalars),
    }
    _write_field_attributes(file, info)
    hashes = {**hashes, **{path: array_hash(values) for path, values in small.items()}}
    for path, digest in hashes.items():
        file[path].attrs["sha256"] = np.bytes_(digest)
    description = to_json(info)
    digest = content_hash(description, hashes)
    _write_root(file, info, description, digest)
    file.flush()
    file.attrs["complete"] = np.True_
    return dataclasses.replace(info, sha256=digest)


def _names(values: Any) -> np.ndarray:
    """Names as an array of text even if there are none."""
    return np.array(list(values), dtype=TEXT)


def _flags(dataset: Any, *, sample: bool, time: bool) -> None:
    dataset.attrs["sample_varying"] = np.bool_(sample)
    dataset.attrs["time_varying"] = np.bool_(time)


def _write_dimensions(file: h5py.File, info: DatasetInfo) -> dict[str, np.ndarray]:
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = _names(info.grid.names)
    written = {"dimensions/time": np.asarray(info.times or (0.0,), np.float64)}
    file["dimensions/time"] = written["dimensions/time"]
    _flags(file["dimensions/time"], sample=False, time=True)
    file["dimensions/time"].attrs["unit"] = info.units.get("t", "1")
    for name, basis in zip(info.grid.names, info.grid.bases, strict=True):
        path = f"dimensions/{name}"
        file[path] = written[path] = np.asarray(basis.nodes, np.float64)
        _flags(file[path], sample=False, time=False)
        attributes = {"kind": axis_kind(basis), "lower": float(basis.lower), "upper": float(basis.upper)}
        file[path].attrs.update({**attributes, "unit": info.units.get(name, "1")})
    return written


def _write_boundaries(file: h5py.File, info: DatasetInfo) -> dict[str, np.ndarray]:
    """One boundary per axis, marked on its first and last node. `associated_fields` is empty: `values` mean nothing."""
    file.create_group("boundary_conditions")
    written = {}
    for name, basis in zip(info.grid.names, info.grid.bases, strict=True):
        group = file.create_group(f"boundary_conditions/{wall_name(name, basis)}")
        group.attrs["associated_dims"] = _names([name])
        group.attrs["associated_fields"] = _names([])
        group.attrs["bc_type"] = "periodic" if basis.periodic else "wall"
        _flags(group, sample=False, time=False)
        mask = np.zeros(basis.n, bool)
        mask[[0, -1]] = True
        for part, values in (("mask", mask), ("values", np.zeros(2, np.float32))):
            group[part] = written[f"boundary_conditions/{wall_name(name, basis)}/{part}"] = values
    return written


def _write_scalars(file: h5py.File, info: DatasetInfo, scalars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    group = file.create_group("scalars")
    group.attrs["field_names"] = _names([*info.parameters, *info.scalars])
    written = {}
    for name, values in {**info.parameters, **{name: scalars[name] for name in info.scalars}}.items():
        group[name] = written[f"scalars/{name}"] = np.asarray(values, np.float64)
        _flags(group[name], sample=name in info.scalars, time=False)
        group[name].attrs["unit"] = info.units.get(name, "1")
    return written


def _write_field_attributes(file: h5py.File, info: DatasetInfo) -> None:
    for order in range(3):
        group = file.require_group(f"t{order}_fields")
        fields = [field for field in info.fields if field.order == order]
        group.attrs["field_names"] = _names(field.name for field in fields)
        for field in fields:
            _flags(group[field.name], sample=True, time=field.in_time)
            group[field.name].attrs["dim_varying"] = np.ones(info.grid.ndim, bool)
            group[field.name].attrs["unit"] = field.unit
            if order == 2:
                group[field.name].attrs.update({"symmetric": np.False_, "antisymmetric": np.False_})


def _write_root(file: h5py.File, info: DatasetInfo, description: str, digest: str) -> None:
    """The Well's attributes, ours for people who look into the file, and `description`, which is what is read back.

    What is read back has a fixed length: text of any length lies in a heap, on which libhdf5 hangs if it is damaged.
    """
    attrs = file.attrs
    attrs.update(
        {
            "dataset_name": info.name,
            "grid_type": "cartesian",
            "n_spatial_dims": info.grid.ndim,
            "n_trajectories": info.n,
        }
    )
    attrs["simulation_parameters"] = _names(info.parameters)
    for name, value in info.parameters.items():
        attrs[name] = np.bool_(value) if isinstance(value, bool) else value
    attrs.update({"schema_version": SCHEMA_VERSION, "pde": info.pde, "generator": info.generator, "dtype": info.dtype})
    if info.seed is not None:
        attrs["seed"] = str(info.seed)  # as text: a seed may have more than 64 bits
    attrs["input_mapping"], attrs["output_mapping"] = canonical(info.input), canonical(info.output)
    attrs["reference_error"] = canonical(info.reference_error)
    file["description"] = np.bytes_(description)
    attrs["content_sha256"] = np.bytes_(digest)
