"""Files of other projects are recognised and read with their numbers, grid and times; ours are written so that theirs read them."""

import json

import numpy as np
import pytest
from data_files import line_file, opened, small_file, small_info, small_values
from foreign_files import (
    NT,
    NX,
    NY,
    N,
    cells,
    matlab,
    pdebench_cfd,
    pdebench_darcy,
    pdebench_groups,
    pdebench_incompressible,
    pdebench_tensor,
    values,
    well,
)

from pdesurr.checks import DatasetError, UsageError
from pdesurr.cli import main
from pdesurr.data import Field, export_dataset, import_arrays, inspect_file, open_dataset, read_field, read_info, write_dataset
from pdesurr.data.foreign import AssumptionWarning
from pdesurr.data.formats._layout import Layout
from pdesurr.data.formats.axes import ends, guess_kind, snap
from pdesurr.data.inspect import _inspect, _parts
from pdesurr.fields import FourierBasis, Grid, UniformBasis


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.h5"


# PDEBench.


def test_pdebench_tensor(tmp_path, out):
    u = pdebench_tensor(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5")
    info = import_arrays(tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5", out)
    np.testing.assert_array_equal(read_field(out, "u"), u)
    assert info.grid.bases == (FourierBasis(NX, 0.0625, 1.0625),)  # the stored nodes are cell centres of a periodic box
    assert info.times == (0.0, 0.5, 1.0, 1.5) and info.parameters == {"Nu": 0.01} and info.pde == "imported"
    data = open_dataset(out, stride=2)
    np.testing.assert_array_equal(data.inputs[..., 0], u[:, 0, ::2])
    np.testing.assert_array_equal(data.outputs[..., 0], u[:, -1, ::2])


def test_channels_and_the_grid_can_be_chosen(tmp_path, out):
    u = pdebench_tensor(tmp_path / "set.hdf5")
    info = import_arrays(tmp_path / "set.hdf5", out, input=["u@0", "u@1"], output="u@-2", axes="cells", units={"u": "m/s", "x": "m"},
                         name="mine", limit=3)  # fmt: skip
    assert info.input == (("u", 0), ("u", 1)) and info.output == (("u", 2),) and info.n == 3 and info.name == "mine"
    assert info.grid.bases == (UniformBasis(NX, 0.0, 1.0, "cells"),) and info.field("u").unit == "m/s" and info.units == {"x": "m"}
    np.testing.assert_array_equal(open_dataset(out).outputs[..., 0], u[:3, 2])
    for channel, message in (("w@0", "no field 'w'"), ("u@4", r"index in -4\.\.3"), ("u@x", "index"), ("u@", "index")):
        with pytest.raises(UsageError, match=message):
            import_arrays(tmp_path / "set.hdf5", tmp_path / "no.h5", input=channel)
    with pytest.raises(UsageError, match="group: expected None"):
        import_arrays(tmp_path / "set.hdf5", tmp_path / "no.h5", group="x")
    with pytest.raises(UsageError, match="axes: expected one of"):
        import_arrays(tmp_path / "set.hdf5", tmp_path / "no.h5", axes="open")


def test_named_arrays_come_before_the_layout(tmp_path, out):
    pdebench_tensor(tmp_path / "set.hdf5")
    with opened(tmp_path / "set.hdf5", "r+") as file:
        file["later"] = file["tensor"][:]
    info = import_arrays(tmp_path / "set.hdf5", out, input="tensor", output="later", axes="closed", domain=(0, 1))
    assert info.grid.shape == (NT, NX) and info.times == ()


def test_pdebench_darcy(tmp_path, out):
    a, u = pdebench_darcy(tmp_path / "2D_DarcyFlow_beta1.0_Train.hdf5")
    info = import_arrays(tmp_path / "2D_DarcyFlow_beta1.0_Train.hdf5", out)
    assert info.input == (("nu", None),) and info.output == (("u", None),) and info.parameters == {"beta": 1.0}
    assert info.grid.bases == (UniformBasis(NX, 0.0, 1.0, "cells"),) * 2
    np.testing.assert_array_equal(open_dataset(out).inputs[..., 0], a)
    np.testing.assert_array_equal(open_dataset(out).outputs[..., 0], u)


def test_pdebench_compressible_flow(tmp_path, out):
    fields = pdebench_cfd(tmp_path / "2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_128_Train.hdf5")
    info = import_arrays(tmp_path / "2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_128_Train.hdf5", out)
    assert set(info.parameters) == {"eta", "zeta", "M"} and info.grid.spectral and info.grid.shape == (NX, NY)
    for name, array in fields.items():
        np.testing.assert_array_equal(read_field(out, name), array)
    pdebench_cfd(tmp_path / "renamed.hdf5")
    with pytest.warns(AssumptionWarning, match="does not say periodic"):
        assert not import_arrays(tmp_path / "renamed.hdf5", tmp_path / "walls.h5").grid.spectral


def test_pdebench_groups(tmp_path, out):
    u = pdebench_groups(tmp_path / "2D_diff-react_NA_NA.h5")
    info = import_arrays(tmp_path / "2D_diff-react_NA_NA.h5", out)
    assert info.grid.bases == (UniformBasis(NX, -1.0, 1.0, "cells"), UniformBasis(NY, -1.0, 1.0, "cells"))
    np.testing.assert_array_equal(read_field(out, "v"), u[..., 1])
    data = open_dataset(out)
    np.testing.assert_array_equal(data.inputs, u[:, 0])
    np.testing.assert_array_equal(data.outputs, u[:, -1])


def test_pdebench_incompressible_flow(tmp_path, out):
    arrays = pdebench_incompressible(tmp_path / "ns_incom_inhom_2d_512-0.h5")
    with pytest.warns(AssumptionWarning, match="stores no coordinates"):
        import_arrays(tmp_path / "ns_incom_inhom_2d_512-0.h5", tmp_path / "assumed.h5")
    info = import_arrays(tmp_path / "ns_incom_inhom_2d_512-0.h5", out, domain=(0, 2))
    assert info.grid.bases[0] == UniformBasis(NX, 0.0, 2.0, "cells") and info.input == (("force", None), ("velocity", 0), ("particles", 0))
    np.testing.assert_array_equal(read_field(out, "velocity"), arrays["velocity"])
    np.testing.assert_array_equal(read_field(out, "particles"), arrays["particles"][..., 0])
    assert open_dataset(out).inputs.shape == (N, NX, NY, 5)


# The files of the Fourier neural operator, in both versions of MATLAB's format.


@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_fno_burgers(tmp_path, out, version):
    a, u = values(N, NX), values(N, NX, dtype="float64")
    matlab(tmp_path / "burgers_data_R10.mat", {"a": a, "u": u, "a_smooth": a}, version)
    with pytest.warns(AssumptionWarning, match=r"\(0, 2 pi\), as in the paper"):
        info = import_arrays(tmp_path / "burgers_data_R10.mat", out)
    assert info.grid.bases == (FourierBasis(NX, 0.0, 2 * np.pi),) and info.dtype == "float64"
    data = open_dataset(out, dtype="float64")
    np.testing.assert_array_equal(data.inputs[..., 0], a)
    np.testing.assert_array_equal(data.outputs[..., 0], u)
    info = import_arrays(tmp_path / "burgers_data_R10.mat", tmp_path / "unit.h5", domain=(0, 1), limit=2)
    assert info.grid.bases == (FourierBasis(NX, 0.0, 1.0),) and info.n == 2


@pytest.mark.parametrize("version", ["v5", "v7.3"])
@pytest.mark.parametrize("walls", [False, True])
def test_fno_darcy(tmp_path, out, version, walls):
    a, u = values(N, NX, NX), values(N, NX, NX)
    if walls:
        u[:, [0, -1]] = u[:, :, [0, -1]] = 0
    matlab(tmp_path / "piececonst.mat", {"coeff": a, "sol": u, "Kcoeff": a}, version)
    info = import_arrays(tmp_path / "piececonst.mat", out)
    assert info.grid.bases == (UniformBasis(NX, 0.0, 1.0, "closed" if walls else "cells"),) * 2
    np.testing.assert_array_equal(open_dataset(out).inputs[..., 0], a)
    np.testing.assert_array_equal(open_dataset(out).outputs[..., 0], u)


@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_fno_navier_stokes(tmp_path, out, version, monkeypatch):
    a, u = values(N, NX, NX), values(N, NX, NX, NT)
    matlab(tmp_path / "ns_V1e-3_N5000_T50.mat", {"a": a, "u": u, "t": np.arange(1.0, NT + 1)}, version)
    read = []
    part = Layout.blocks
    monkeypatch.setattr("pdesurr.data.formats._layout.blocks", lambda n, record: ((i, min(n, i + 2)) for i in range(0, n, 2)))
    monkeypatch.setattr(Layout, "blocks", lambda self, limit: (read.append(1) or block for block in part(self, limit)))
    info = import_arrays(tmp_path / "ns_V1e-3_N5000_T50.mat", out, input=["a", "u@0"], output="u@-1")
    assert len(read) == 3  # two samples at a time
    assert info.times == (1.0, 2.0, 3.0, 4.0) and info.grid.bases == (FourierBasis(NX, 0.0, 1.0),) * 2
    np.testing.assert_array_equal(read_field(out, "u"), np.moveaxis(u, -1, 1))
    np.testing.assert_array_equal(open_dataset(out).inputs[..., 0], a)


# The Well.


@pytest.mark.filterwarnings("ignore::pdesurr.data.foreign.AssumptionWarning")
def test_the_well_of_others(tmp_path, out):
    arrays = well(tmp_path / "shear.hdf5")
    info = import_arrays(tmp_path / "shear.hdf5", out)
    assert info.grid.bases == (FourierBasis(NX, 0.0, 1.0), UniformBasis(NY, -1.0, 1.0, "cells"))
    assert info.name == "shear" and info.parameters == {"Reynolds": 1e4} and info.scalars == ("amplitude",)
    assert info.times == (0.0, 1.0, 2.0, 3.0)
    for name in ("t0_fields/tracer", "t1_fields/velocity", "t2_fields/stress"):
        np.testing.assert_array_equal(read_field(out, name.split("/")[1]), arrays[name])
    np.testing.assert_array_equal(read_field(out, "height"), np.broadcast_to(arrays["t0_fields/height"], (N, NX, NY)))
    np.testing.assert_array_equal(read_field(out, "profile"), np.broadcast_to(arrays["t0_fields/profile"][:, None], (N, NX, NY)))
    np.testing.assert_array_equal(open_dataset(out).scalars["amplitude"], np.arange(N) / 2)


def test_what_the_well_does_not_say_is_told(tmp_path, out):
    well(tmp_path / "shear.hdf5")
    with pytest.warns(AssumptionWarning, match="assuming 'cells' for y"):
        import_arrays(tmp_path / "shear.hdf5", out)
    info = import_arrays(tmp_path / "shear.hdf5", tmp_path / "other.h5", axes=["periodic", "closed"])
    assert info.grid.bases[1].lower == pytest.approx(-1 + 1 / NY)


def test_the_well_that_breaks_its_rules(tmp_path, out):
    well(tmp_path / "shear.hdf5")
    with opened(tmp_path / "shear.hdf5", "r+") as file:
        file["t0_fields/tracer"].attrs["time_varying"] = False
    with pytest.raises(DatasetError, match=r"t0_fields/tracer: has shape .* its flags and the dimensions say"):
        import_arrays(tmp_path / "shear.hdf5", out)


def check_well(path):
    """The Well's format checker, written again from its rules."""
    with opened(path) as file:
        dims, attrs = list(file["dimensions"].attrs["spatial_dims"]), file.attrs
        frames, n = file["dimensions/time"].shape[-1], attrs["n_trajectories"]
        assert isinstance(attrs["dataset_name"], str) and isinstance(attrs["grid_type"], str) and isinstance(n, np.integer)
        assert attrs["n_spatial_dims"] == len(dims) > 0 and isinstance(dims[0], str)
        assert all(name in attrs and name in file["scalars"] for name in attrs["simulation_parameters"])
        varying = ("sample_varying", "time_varying")
        for node in (file["dimensions/time"], *(file["dimensions"][d] for d in dims)):
            assert all(isinstance(node.attrs[flag], np.bool_) for flag in varying)
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert isinstance(group.attrs["field_names"], np.ndarray) and set(group.attrs["field_names"]) == set(group)
            for node in group.values():
                assert all(isinstance(node.attrs[flag], np.bool_) for flag in varying) and node.dtype == np.float32
                wanted = (n,) * int(node.attrs["sample_varying"]) + (frames,) * int(node.attrs["time_varying"])
                on = node.attrs["dim_varying"]
                assert len(on) == len(dims) and on.dtype == bool
                wanted += tuple(file["dimensions"][d].shape[-1] for d, varies in zip(dims, on, strict=True) if varies)
                assert node.shape == wanted + (len(dims),) * order
        for name in file["scalars"].attrs["field_names"]:
            node = file["scalars"][name]
            assert node.ndim == sum(node.attrs[flag] for flag in varying)
        for group in file["boundary_conditions"].values():
            assert group.attrs["bc_type"] in ("wall", "open", "periodic") and "associated_fields" in group.attrs
            for dim in group.attrs["associated_dims"]:
                assert dim in dims and group["mask"].shape == file["dimensions"][dim].shape
                assert group["values"].shape == (group["mask"][()].sum(),) and group["values"].dtype == np.float32


# Out, and back again.


def test_to_the_well_and_back(tmp_path, out):
    path = small_file(tmp_path / "small.h5")
    export_dataset(path, tmp_path / "well.h5", "well")
    check_well(tmp_path / "well.h5")
    ours = open_dataset(tmp_path / "well.h5")
    np.testing.assert_array_equal(ours.inputs, open_dataset(path).inputs)
    info = import_arrays(tmp_path / "well.h5", out)  # as a stranger's file
    assert info.grid == small_info().grid and info.times == small_info().times and info.units == small_info().units
    assert info.parameters == small_info().parameters and info.scalars == ("force",) and set(info.fields) == set(small_info().fields)
    for field in info.fields:
        np.testing.assert_array_equal(read_field(out, field.name), small_values()[field.name])


def test_float64_goes_to_the_well_as_float32(tmp_path):
    from pdesurr.data import PrecisionWarning

    path = small_file(tmp_path / "double.h5", dtype="float64")
    with pytest.warns(PrecisionWarning, match="written as float32"):
        export_dataset(path, tmp_path / "well.h5", "well")
    check_well(tmp_path / "well.h5")
    assert read_info(tmp_path / "well.h5").dtype == "float32"


GRIDS = [
    Grid([FourierBasis(6)]),
    Grid([UniformBasis(5, -0.3, 2**0.5, "closed"), FourierBasis(4, 0.0, 3.7)]),
    Grid([UniformBasis(4, 0.0, 1.0, "cells"), UniformBasis(3, 0.0, 1.0, "left"), FourierBasis(4, -1.0, 1.0)]),
]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.ndim}D")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("names", [("u",), ("a", "u"), ("u", "v"), ("a", "u", "v")])
def test_to_pdebench_and_back(tmp_path, out, grid, dtype, names):
    """Arrays, grid, times, units, parameters and the map survive; `a` is without time."""
    fields = tuple(Field(name, "m", in_time=name != "a") for name in names)
    info = small_info(grid=grid, fields=fields, input=((names[0], None if names[0] == "a" else 0),), output=((names[-1], 1),), dtype=dtype)
    arrays = {f.name: values(N, *info.record_shape(f), dtype=dtype) for f in fields} | {"force": np.arange(N)}
    write_dataset(tmp_path / "set.h5", info, arrays)
    places = export_dataset(tmp_path / "set.h5", tmp_path / "set.hdf5", "pdebench")
    with opened(tmp_path / "set.hdf5") as file:
        moving = [name for name in names if name != "a"]
        assert places[moving[0]] == ("tensor" if len(moving) == 1 else moving[0])
        np.testing.assert_array_equal(file[places[moving[0]]], arrays[moving[0]])
        assert file["t-coordinate"].shape == (4,) and file["x-coordinate"].shape == grid.shape[:1] and file.attrs["nu"] == 0.1
    back = import_arrays(tmp_path / "set.hdf5", out)
    assert back.grid == grid and back.times == info.times and back.dtype == dtype and back.parameters == info.parameters
    assert set(back.fields) == set(fields) and back.n == N and (back.input, back.output) == (info.input, info.output)
    for name in names:
        np.testing.assert_array_equal(read_field(out, name, dtype=dtype), arrays[name])
    np.testing.assert_array_equal(open_dataset(out, dtype=dtype).scalars["force"], np.arange(N))


@pytest.mark.parametrize("said", ["u@9", "w@0", "u", "u@-1", ""])
def test_a_map_that_does_not_fit_is_not_taken(tmp_path, out, said):
    info = small_info(fields=(Field("u", in_time=True),), input=(("u", 0),), output=(("u", 1),))
    write_dataset(tmp_path / "set.h5", info, {"u": values(N, *info.record_shape(info.fields[0])), "force": np.arange(N)})
    export_dataset(tmp_path / "set.h5", tmp_path / "set.hdf5", "pdebench")
    with opened(tmp_path / "set.hdf5", "r+") as file:
        file.attrs["output"] = said
    assert import_arrays(tmp_path / "set.hdf5", out).output == (("u", len(info.times) - 1),)


def test_a_map_without_time_to_pdebench_and_back(tmp_path, out):
    path, u = line_file(tmp_path / "line.h5", 8, "closed")
    assert export_dataset(path, tmp_path / "line.hdf5", "pdebench") == {"u": "nu", "w": "tensor"}
    with opened(tmp_path / "line.hdf5") as file:
        assert file["tensor"].shape == (3, 1, 8) and file["nu"].shape == (3, 8)
    info = import_arrays(tmp_path / "line.hdf5", out)
    assert info.grid == read_info(path).grid and info.input == (("u", None),) and info.output == (("w", None),)
    np.testing.assert_array_equal(open_dataset(out).outputs[..., 0], 2 * u)


def test_export_refuses(tmp_path):
    path, target = small_file(tmp_path / "small.h5"), tmp_path / "there.h5"
    target.write_bytes(b"mine")
    for layout in ("well", "pdebench"):
        with pytest.raises(DatasetError, match="there.h5: exists already"):
            export_dataset(line_file(tmp_path / f"{layout}.h5", 8, "closed")[0], target, layout)
    assert target.read_bytes() == b"mine"
    with pytest.raises(DatasetError, match="v: PDEBench's layout holds scalars .*use --layout well"):
        export_dataset(path, tmp_path / "no.hdf5", "pdebench")
    with pytest.raises(UsageError, match="layout: expected one of"):
        export_dataset(path, tmp_path / "no.hdf5", "netcdf")
    with opened(path, "r+") as file:
        file["t0_fields/u"][0, 0, 0, 0] = 7.0
    for layout in ("well", "pdebench"):
        with pytest.raises(DatasetError, match="sha256"):
            export_dataset(path, tmp_path / "no.hdf5", layout)
    assert not list(tmp_path.glob("no*"))


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    path, _ = line_file(tmp_path / "line.h5", 8, "closed")
    monkeypatch.setattr("pdesurr.data.export._append", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_dataset(path, tmp_path / "line.hdf5", "pdebench")
    assert [p.name for p in tmp_path.iterdir()] == ["line.h5"]


# What is refused.


def test_nothing_outside_a_recognised_file_is_read(tmp_path, out):
    (tmp_path / "secret").write_bytes(bytes(8 * N * NT * NX))
    pdebench_tensor(tmp_path / "secret.h5")

    def external(file):
        file.create_dataset("tensor", (N, NT, NX), "float64", external=[(str(tmp_path / "secret"), 0, 8 * N * NT * NX)])

    def link(file):
        import h5py

        file["tensor"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "tensor")

    def virtual(file):
        import h5py

        layout = h5py.VirtualLayout((N, NT, NX), "float32")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "tensor", (N, NT, NX))
        file.create_virtual_dataset("tensor", layout)

    def huge(file):
        file.create_dataset("tensor", (10**9, NT, NX), "float32", chunks=(1, NT, NX))

    attacks = ((external, "stored externally"), (link, "is an external link|has shape"), (virtual, "is virtual"), (huge, "declares"))
    for attack, message in attacks:
        pdebench_tensor(tmp_path / "set.hdf5")
        with opened(tmp_path / "set.hdf5", "r+") as file:
            del file["tensor"]
            attack(file)
        with pytest.raises(DatasetError, match=message) as caught:
            import_arrays(tmp_path / "set.hdf5", out)
        assert "\n" not in str(caught.value) and not out.exists()


DAMAGE = {
    "a device axis": (lambda f: f["tensor"][()][None], r"tensor: has shape \(1, 5, 4, 8\)"),
    "NaN": (lambda f: np.where(np.arange(N)[:, None, None] == 3, np.nan, f["tensor"][()]), "hold NaN or infinity, the first is sample 3"),
    "text": (lambda f: np.full((N, NT, NX), b"rm"), "holds text"),
    "complex": (lambda f: f["tensor"][()] + 1j, "complex"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_pdebench_files_that_cannot_be_used(tmp_path, out, name):
    change, message = DAMAGE[name]
    pdebench_tensor(tmp_path / "set.hdf5")
    with opened(tmp_path / "set.hdf5", "r+") as file:
        changed = change(file)
        del file["tensor"]
        file["tensor"] = changed
    with pytest.raises(DatasetError, match=message) as caught:
        import_arrays(tmp_path / "set.hdf5", out)
    assert "\n" not in str(caught.value) and not out.exists()


def test_coordinates_that_cannot_be_used(tmp_path, out):
    for name, nodes, message in (
        ("x-coordinate", np.linspace(0, 1, NX) ** 2, "not increasing and equispaced"),
        ("x-coordinate", np.full(NX, np.nan), "finite"),
        ("t-coordinate", np.zeros(NT + 1), "times: expected finite increasing"),
        ("t-coordinate", np.zeros(2), "one time per frame"),
    ):
        pdebench_tensor(tmp_path / "set.hdf5")
        with opened(tmp_path / "set.hdf5", "r+") as file:
            del file[name]
            file[name] = nodes
        with pytest.raises(DatasetError, match=message):
            import_arrays(tmp_path / "set.hdf5", out)


def test_groups_of_different_shapes(tmp_path, out):
    pdebench_groups(tmp_path / "set.h5")
    with opened(tmp_path / "set.h5", "r+") as file:
        del file["0002/data"]
        file["0002/data"] = values(NT, NX, NY, 1)
    with pytest.raises(DatasetError, match="0002/data: has shape"):
        import_arrays(tmp_path / "set.h5", out)


def test_an_unknown_layout_says_what_is_there(tmp_path, out):
    np.savez(tmp_path / "set.npz", usol=values(NX, NT), x=cells(NX))
    with pytest.raises(DatasetError, match=r"is of no known layout \(PDEBench .*its arrays are usol, x; .*--input NAME --output NAME"):
        import_arrays(tmp_path / "set.npz", out)


# Axes.


def test_ends_are_found_from_nodes():
    assert snap(0.30000001, 1e-7) == 0.3 and snap(2 * np.pi + 1e-15, 1e-14) == 2 * np.pi and snap(np.sqrt(2), 1e-15) == np.sqrt(2)
    third = cells(6).astype(float)  # 1/12, 3/12 ... are not short, their distance is
    assert ends(third, "periodic", "file", "x") == (third[0], third[0] + 1.0) and ends(third, "cells", "file", "x") == (0.0, 1.0)
    for kind in ("closed", "left", "cells"):
        for lower, upper, n in ((0, 1, 64), (-1, 1, 101), (0, 2 * np.pi, 48), (-2.5, 2.5, 128)):
            for dtype in ("float32", "float64"):
                    nodes = UniformBasis(n, float(lower), float(upper), kind).nodes
                    assert guess_kind(nodes.astype(dtype)) == kind, (kind, lower, upper, n, dtype)


# Looking into files, and the command line.


def test_inspect_tells_the_layout(tmp_path):
    u = pdebench_tensor(tmp_path / "set.hdf5")
    tree = _inspect(tmp_path / "set.hdf5", True)
    assert tree["layout"]["name"] == "PDEBench A" and tree["layout"]["input"] == ["u@0"] and tree["layout"]["samples"] == N
    node = tree["members"]["tensor"]
    assert node["mean"] == pytest.approx(u.mean(dtype=float)) and node["std"] == pytest.approx(u.std(dtype=float)) and node["nan"] == 0
    with opened(tmp_path / "set.hdf5", "r+") as file:
        del file["t-coordinate"]
    assert "tensor: has shape" in _inspect(tmp_path / "set.hdf5", False)["layout"]
    np.savez(tmp_path / "set.npz", u=u)
    assert inspect_file(tmp_path / "set.npz")["layout"] is None


def test_inspect_tells_what_a_data_file_says_of_itself(tmp_path):
    tree = inspect_file(small_file(tmp_path / "small.h5"))
    assert tree["data"]["reference_error"] == {"method": "refinement", "figure": 1e-7} and tree["data"]["parameters"]["nu"] == 0.1
    assert tree["members"]["description"]["kind"] == "text" and json.loads(json.dumps(tree)) == tree


def test_statistics_in_pieces(tmp_path, monkeypatch):
    """Pieces shorter than one record give the numbers of the whole."""
    big = values(3, 4, 50, dtype="float64") + 1e6
    big[1, 2, 3] = np.nan
    with opened(tmp_path / "set.h5", "w") as file:
        file["u"] = big
    monkeypatch.setattr("pdesurr.data.inspect.PIECE", 100)
    node = _inspect(tmp_path / "set.h5", True)["members"]["u"]
    finite = big[np.isfinite(big)]
    assert node["nan"] == 1 and node["mean"] == pytest.approx(finite.mean(), rel=1e-14)
    assert node["std"] == pytest.approx(finite.std(), rel=1e-9)
    assert len(list(_parts(big.shape, 8))) == 12 * 5


def test_on_the_command_line(tmp_path, capsys):
    pdebench_tensor(tmp_path / "set.hdf5")
    made, back = str(tmp_path / "made.h5"), str(tmp_path / "back.hdf5")
    assert main(["import", str(tmp_path / "set.hdf5"), made]) == 0 and "u@0 -> u@3" in capsys.readouterr().out
    assert main(["export", made, back, "--layout", "pdebench"]) == 0 and "u as tensor" in capsys.readouterr().out
    assert main(["export", made, back, "--layout", "pdebench"]) == 1 and "exists already" in capsys.readouterr().err
    assert main(["export", made, str(tmp_path / "well.h5"), "--layout", "well", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrays"] == {"u": "t0_fields/u"}
    assert main(["inspect", str(tmp_path / "well.h5")]) == 0 and ", mean 0." in capsys.readouterr().out
    assert main(["inspect", back, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"]["name"] == "PDEBench A"
    assert main(["import", str(tmp_path / "set.hdf5")]) == 2 and "OUT" in capsys.readouterr().err


def test_files_of_no_known_layout_that_were_made_elsewhere(shared_data, out):
    for name in ("burgers_deepxde.npz", "allen_cahn_deepxde.mat", "darcy_neuraloperator.h5"):
        with pytest.raises(DatasetError, match="is of no known layout"):
            import_arrays(shared_data / name, out)
        assert inspect_file(shared_data / name)["layout"] is None
