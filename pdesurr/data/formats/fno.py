"""The `.mat` files of the Fourier neural operator's authors, MATLAB v5 or v7.3 (there h5py's axes are the reverse: `Arrays` turns them).

    Burgers        a, u (n, s)                         u(., 0) -> u(., 1), periodic
    Darcy          coeff, sol (n, s, s)                a -> u on the unit square, u = 0 on its boundary
    Navier-Stokes  a (n, s, s), u (n, s, s, T), t (T)  vorticity on the unit torus, t = 0 and T frames

Other variables of these files (a_smooth, Kcoeff ...) are left out. Source: li-zongyi/neural_operator, JMLR 24 (2023), section 6.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pdesurr.data._arrays import Arrays
from pdesurr.data._guard import refuse
from pdesurr.data.formats._layout import Layout, Values, real, stored_dtype, times_of
from pdesurr.data.formats.axes import Axis, Wishes, build_grid
from pdesurr.data.schema import IMPORTED, Channel, DatasetInfo, Field
from pdesurr.fields import Grid

BURGERS_DOMAIN = "domain not given: assuming (0, 2 pi), as in the paper; the published generator has (0, 1)"


def recognise(source: Arrays, path: Any, wishes: Wishes) -> Layout | None:
    """The layout of one of the three files, or None."""
    if not source.format.startswith("matlab"):
        return None
    shapes = source.shapes()
    a, u, coeff, sol = (shapes.get(name) for name in ("a", "u", "coeff", "sol"))
    if coeff and sol and len(coeff) == len(sol) == 3:
        return _darcy(source, path, wishes, coeff)
    if a and u and len(a) == len(u) == 2:
        return _burgers(source, path, wishes, a)
    if a and u and "t" in shapes and len(a) == 3 and len(u) == 4:
        return _navier_stokes(source, path, wishes, u)
    return None


def _burgers(source: Arrays, path: Any, wishes: Wishes, shape: tuple[int, ...]) -> Layout:
    axes = [Axis("x", shape[1], "periodic", upper=2 * np.pi)]
    assumed = () if wishes.domain is not None else (BURGERS_DOMAIN,)
    return _still(source, path, "FNO Burgers", shape, ("a", "u"), build_grid(axes, wishes, path), assumed)


def _darcy(source: Arrays, path: Any, wishes: Wishes, shape: tuple[int, ...]) -> Layout:
    """The generator's nodes are cell centres, but sets that have u = 0 on their outermost nodes have them on the walls."""
    first = source.part("sol", 0, 1)
    edges = [first[:, i] for i in (0, -1)] + [first[:, :, i] for i in (0, -1)]
    kind = "closed" if first.size and not any(np.any(edge) for edge in edges) else "cells"
    grid = build_grid([Axis(name, n, kind) for name, n in zip("xy", shape[1:], strict=True)], wishes, path)
    return _still(source, path, "FNO Darcy", shape, ("coeff", "sol"), grid, ())


def _still(
    source: Arrays, path: Any, name: str, shape: tuple[int, ...], names: tuple[str, str], grid: Grid, assumed: tuple[str, ...]
) -> Layout:
    """The map between two arrays without time."""
    for array in names:
        if source.shapes()[array] != shape:
            wrong = f"has shape {source.shapes()[array]}, {names[0]} has {shape}"
            raise refuse(path, array, wrong, "the two need the same samples and grid")
    channels: list[tuple[Channel, ...]] = [((array, None),) for array in names]
    info = _info(source, name, path, grid, tuple(Field(array) for array in names), channels, ())
    return Layout(name, info, shape[0], lambda start, stop: {k: real(source.part(k, start, stop), k, path) for k in names}, assumed)


def _navier_stokes(source: Arrays, path: Any, wishes: Wishes, shape: tuple[int, ...]) -> Layout:
    n, *grid_shape, frames = shape
    if source.shapes()["a"] != (n, *grid_shape):
        raise refuse(path, "a", f"has shape {source.shapes()['a']}, u has {shape}", "a needs u's samples and grid")
    grid = build_grid([Axis(name, s, "periodic") for name, s in zip("xy", grid_shape, strict=True)], wishes, path)
    times = times_of(source.read("t"), frames, path, "t")
    channels: list[tuple[Channel, ...]] = [(("a", None),), (("u", frames - 1),)]
    info = _info(source, "FNO Navier-Stokes", path, grid, (Field("a"), Field("u", in_time=True)), channels, times)

    def read(start: int, stop: int) -> Values:
        frames_first = np.moveaxis(source.part("u", start, stop), -1, 1)
        return {"a": real(source.part("a", start, stop), "a", path), "u": real(frames_first, "u", path)}

    return Layout("FNO Navier-Stokes", info, n, read)


def _info(source: Arrays, name: str, path: Any, grid: Grid, fields: tuple[Field, ...], channels: Any, times: Any) -> DatasetInfo:
    return DatasetInfo(
        name=Path(path).stem,
        pde=IMPORTED,
        grid=grid,
        fields=fields,
        input=channels[0],
        output=channels[1],
        times=times,
        dtype=stored_dtype([source.dtype(f.name) for f in fields]),
        notes=f"imported from {Path(path).name}, a file of the kind {name}",
    )
