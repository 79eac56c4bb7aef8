"""What is written is read, in The Well's layout, with the same bytes every time, all of it or nothing."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from data_files import line_file, opened, small_file, small_info, small_values

from pdesurr.checks import DatasetError, UsageError
from pdesurr.data import (
    DatasetWriter,
    Field,
    PrecisionWarning,
    dataset_hash,
    open_dataset,
    read_field,
    read_info,
    write_dataset,
)
from pdesurr.data.schema import from_json, to_json
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, SineBasis


def test_round_trip(tmp_path):
    path = small_file(tmp_path / "small.h5")
    values = small_values()
    data = open_dataset(path)
    assert data.inputs.shape == (6, 4, 5, 2) and data.outputs.shape == (6, 4, 5, 3)
    np.testing.assert_array_equal(data.inputs[..., 0], values["a"])
    np.testing.assert_array_equal(data.inputs[..., 1], values["u"][:, 0])
    np.testing.assert_array_equal(data.outputs[..., 0], values["u"][:, 2])
    np.testing.assert_array_equal(data.outputs[..., 1:], values["v"][:, 1])
    np.testing.assert_array_equal(data.scalars["force"], values["force"].astype(float))
    assert data.grid == small_info().grid
    assert dataclasses.replace(data.info, n=None, sha256=None) == small_info()
    assert data.info.n == len(data) == 6


def test_info_and_single_fields(tmp_path):
    path = small_file(tmp_path / "small.h5")
    info = read_info(path)
    assert info.sha256 == dataset_hash(path) == dataset_hash(path, verify=False)
    np.testing.assert_array_equal(read_field(path, "v"), small_values()["v"])
    np.testing.assert_array_equal(read_field(path, "u", limit=2), small_values()["u"][:2])
    with pytest.raises(DatasetError, match="no such field.*the file has a, u, v"):
        read_field(path, "w")


def test_description_survives_json():
    info = small_info()
    assert from_json(to_json(info)) == info


@pytest.mark.parametrize("pieces", [[6], [1, 5], [2, 2, 2], [1] * 6])
def test_pieces_make_the_same_bytes(tmp_path, pieces):
    whole = small_file(tmp_path / "whole.h5")
    values, start = small_values(), 0
    with DatasetWriter(tmp_path / "pieces.h5", small_info()) as writer:
        for count in pieces:
            writer.append({name: v[start : start + count] for name, v in values.items()})
            start += count
    assert (tmp_path / "pieces.h5").read_bytes() == whole.read_bytes()
    assert writer.info.sha256 == dataset_hash(whole)


def test_the_same_content_is_the_same_bytes_in_another_process(tmp_path, child_env):
    path = small_file(tmp_path / "here.h5")
    code = "import sys; from pathlib import Path; from data_files import small_file; small_file(Path(sys.argv[1]))"
    child_env["PYTHONPATH"] += os.pathsep + os.path.dirname(__file__)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there.h5")], env=child_env, check=True, timeout=120)
    assert path.read_bytes() == (tmp_path / "there.h5").read_bytes()


def test_an_iterator_of_chunks(tmp_path):
    values = small_values()
    chunks = ({name: v[i : i + 2] for name, v in values.items()} for i in (0, 2, 4))
    info = write_dataset(tmp_path / "stream.h5", small_info(), chunks)
    assert info.n == 6 and info.sha256 == dataset_hash(tmp_path / "stream.h5")


def test_a_long_description(tmp_path):
    """Thousands of times do not fit into an HDF5 attribute of fixed size."""
    times = tuple(np.linspace(0, 1, 5000).tolist())
    info = small_info(times=times, fields=(Field("u", in_time=True),), scalars=(), grid=Grid([FourierBasis(4)]),
                      input=(("u", 0),), output=(("u", 4999),))  # fmt: skip
    write_dataset(tmp_path / "long.h5", info, {"u": np.ones((2, 5000, 4))})
    assert open_dataset(tmp_path / "long.h5").outputs.shape == (2, 4, 1)


def test_a_long_record_is_chunked_by_frame(tmp_path):
    info = small_info(fields=(Field("u", in_time=True),), scalars=(), grid=Grid([FourierBasis(256), FourierBasis(512)]),
                      input=(("u", 0),), output=(("u", 2),))  # fmt: skip
    u = np.random.default_rng(0).standard_normal((2, 3, 256, 512)).astype("float32")
    write_dataset(tmp_path / "big.h5", info, {"u": u})
    with opened(tmp_path / "big.h5") as file:
        assert file["t0_fields/u"].chunks == (1, 1, 256, 512)
    np.testing.assert_array_equal(open_dataset(tmp_path / "big.h5").outputs[..., 0], u[:, 2])


# Parts of the data.


@pytest.mark.parametrize(
    ("kind", "n", "stride", "left"), [("periodic", 12, 3, 4), ("left", 12, 4, 3), ("closed", 13, 4, 4)]
)
def test_stride(tmp_path, kind, n, stride, left):
    path, u = line_file(tmp_path / "line.h5", n, kind)
    data = open_dataset(path, stride=stride)
    np.testing.assert_array_equal(data.inputs[..., 0], u[:, ::stride])
    fine = open_dataset(path)
    assert data.grid.shape == (left,) and type(data.grid.bases[0]) is type(fine.grid.bases[0])
    np.testing.assert_allclose(data.grid.nodes, fine.grid.nodes[::stride])


@pytest.mark.parametrize(
    ("kind", "n", "stride"), [("periodic", 12, 5), ("closed", 12, 3), ("left", 12, 7), ("cells", 12, 2)]
)
def test_a_stride_that_does_not_fit(tmp_path, kind, n, stride):
    path, _ = line_file(tmp_path / "line.h5", n, kind)
    with pytest.raises(
        DatasetError, match=f"axis x: stride {stride} does not fit 12 nodes of kind '{kind}'; allowed are 1"
    ):
        open_dataset(path, stride=stride)


def test_limit_and_split(tmp_path):
    path = small_file(tmp_path / "small.h5")
    whole = open_dataset(path)
    for verify in (True, False):
        few = open_dataset(path, limit=4, verify=verify)
        np.testing.assert_array_equal(few.inputs, whole.inputs[:4])
        assert len(few.scalars["force"]) == 4
    train, test = whole.split((0, 4), (4, 6))
    np.testing.assert_array_equal(test.outputs, whole.outputs[4:])
    assert np.shares_memory(train.inputs, whole.inputs) and len(train) == 4
    with pytest.raises(UsageError, match="share no sample"):
        whole.split((0, 4), (3, 6))
    with pytest.raises(UsageError, match="0 <= start < stop <= 6"):
        whole.split((0, 7))
    with pytest.raises(DatasetError, match="holds 6 samples, limit=7"):
        open_dataset(path, limit=7)
    with pytest.raises(UsageError, match="limit"):
        open_dataset(path, limit=0)


def test_losing_digits_is_said(tmp_path):
    path = small_file(tmp_path / "double.h5", dtype="float64")
    with pytest.warns(PrecisionWarning, match="stored float64 is read as float32"):
        assert open_dataset(path).inputs.dtype == np.float32
    with pytest.warns(PrecisionWarning):
        open_dataset(path, dtype="float32")
    data = open_dataset(path, dtype="float64")
    np.testing.assert_array_equal(data.inputs[..., 0], small_values(dtype="float64")["a"])


def test_float64_is_kept_where_jax_computes_in_it(tmp_path, x64):
    assert open_dataset(small_file(tmp_path / "double.h5", dtype="float64")).outputs.dtype == np.float64


# The Well's layout, rule by rule, as its format checker has them.


def check_varying(file, node, *, spatial=False, field=False, order=0):
    for flag in ("sample_varying", "time_varying"):
        assert isinstance(node.attrs[flag], bool | np.bool_)
    shape = (file.attrs["n_trajectories"],) * bool(node.attrs["sample_varying"])
    shape += (file["dimensions/time"].shape[-1],) * bool(node.attrs["time_varying"])
    if field:
        dims = file["dimensions"].attrs["spatial_dims"]
        assert len(node.attrs["dim_varying"]) == file.attrs["n_spatial_dims"]
        assert node.attrs["dim_varying"].dtype == bool
        shape += tuple(
            file["dimensions"][d].shape[-1] for d, on in zip(dims, node.attrs["dim_varying"], strict=True) if on
        )
        shape += (int(file.attrs["n_spatial_dims"]),) * order
    assert (node.shape[:-1] if spatial else node.shape) == shape


def test_the_wells_rules(tmp_path):
    with opened(small_file(tmp_path / "small.h5")) as file:
        attrs = file.attrs
        assert isinstance(attrs["dataset_name"], str) and isinstance(attrs["grid_type"], str)
        assert isinstance(attrs["n_spatial_dims"], np.integer) and attrs["n_trajectories"] == 6
        assert set(attrs["simulation_parameters"]) == {"nu", "order", "forced"}
        for name in attrs["simulation_parameters"]:
            assert isinstance(name, str) and name in attrs and name in file["scalars"]
        dims = file["dimensions"].attrs["spatial_dims"]
        assert list(dims) == ["x", "y"] and all(isinstance(d, str) for d in dims)
        check_varying(file, file["dimensions/time"])
        assert file["dimensions/time"].attrs["time_varying"]
        for dim in dims:
            check_varying(file, file["dimensions"][dim], spatial=True)
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert set(group.attrs["field_names"]) == set(group)
            for name in group:
                check_varying(file, group[name], field=True, order=order)
        assert set(file["scalars"].attrs["field_names"]) == set(file["scalars"]) == {"nu", "order", "forced", "force"}
        for name in file["scalars"]:
            check_varying(file, file["scalars"][name])
        assert file["scalars/force"].attrs["sample_varying"] and not file["scalars/nu"].attrs["sample_varying"]


def test_the_wells_boundaries(tmp_path):
    with opened(small_file(tmp_path / "small.h5")) as file:
        assert set(file["boundary_conditions"]) == {"x_periodic", "y_wall"}
        for name, boundary in file["boundary_conditions"].items():
            dim, kind = name.split("_")
            assert list(boundary.attrs["associated_dims"]) == [dim] and boundary.attrs["bc_type"] == kind
            assert isinstance(boundary.attrs["associated_fields"], np.ndarray)
            for flag in ("sample_varying", "time_varying"):
                assert isinstance(boundary.attrs[flag], bool | np.bool_) and not boundary.attrs[flag]
            mask = boundary["mask"]
            assert mask.dtype == bool and mask.shape == file["dimensions"][dim].shape and mask[0] and mask[-1]
            assert boundary["values"].shape == (np.sum(mask),) and boundary["values"].dtype == np.float32


def test_our_attributes(tmp_path):
    with opened(small_file(tmp_path / "small.h5")) as file:
        assert file.attrs["complete"] and file.attrs["schema_version"] == 1 and file.attrs["pde"] == "Small"
        assert file.attrs["generator"].startswith("pdesurr ") and file.attrs["seed"] == str(2**80)
        assert file["t0_fields/u"].attrs["unit"] == "m/s" and file["dimensions/x"].attrs["unit"] == "m"
        assert file["t0_fields/u"].chunks == (1, 3, 4, 5) and file["t0_fields/u"].fletcher32
        assert len(file["t1_fields/v"].attrs["sha256"]) == 64


# What is refused when it is written.


def test_refuses_to_overwrite(tmp_path):
    path = small_file(tmp_path / "small.h5")
    before = path.read_bytes()
    with pytest.raises(DatasetError, match="small.h5: exists already; .*overwrite"):
        small_file(path)
    assert path.read_bytes() == before
    write_dataset(path, small_info(name="other"), small_values(2), overwrite=True)
    assert read_info(path).n == 2


BAD_VALUES = [
    ("u", lambda v: v[:, :2], "shape"),
    ("u", lambda v: v[:5], "numbers of samples differ"),
    ("u", lambda v: v + 1j, "complex"),
    ("a", lambda v: v.astype(str), "dtype"),
    ("force", lambda v: v[:, None], r"the description wants \(n,\)"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD_VALUES)
def test_refuses_values_that_do_not_fit(tmp_path, name, change, message):
    values = small_values()
    values[name] = change(values[name])
    with pytest.raises(DatasetError, match=message) as caught:
        write_dataset(tmp_path / "bad.h5", small_info(), values)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_values_that_are_not_finite(tmp_path, bad):
    values = small_values()
    values["v"][4, 1, 2, 3, 0] = bad
    with pytest.raises(DatasetError, match="v: 1 of 6 samples hold NaN or infinity, the first is sample 4"):
        write_dataset(tmp_path / "bad.h5", small_info(), values)
    values = small_values(dtype="float64")
    values["a"][1] = 1e300
    with pytest.raises(DatasetError, match="a: 1 of 6 samples"):
        write_dataset(tmp_path / "bad.h5", small_info(), values)
    assert not list(tmp_path.iterdir())


def test_missing_and_unknown_names(tmp_path):
    values = small_values()
    with pytest.raises(DatasetError, match="a: no values were given; given were: u, v, force"):
        write_dataset(tmp_path / "bad.h5", small_info(), {k: v for k, v in values.items() if k != "a"})
    with pytest.raises(DatasetError, match="numbers per sample are"):
        write_dataset(tmp_path / "bad.h5", small_info(), {**values, "typo": values["force"]})
    with pytest.raises(DatasetError, match="no samples were given"):
        write_dataset(tmp_path / "bad.h5", small_info(), iter(()))


BAD_DESCRIPTIONS = [
    ({"dtype": "float16"}, "dtype: expected one of"),
    ({"pde": "os.system('x')"}, "pde: expected a name"),
    ({"fields": (Field("a"), Field("a"))}, "different names"),
    ({"input": (("a", 0),)}, "time index of a: expected None"),
    ({"input": (("u", None),)}, "time index of u: expected an integer in 0..2"),
    ({"input": (("u", 3),)}, "time index of u"),
    ({"output": ()}, "output: expected at least one"),
    ({"output": (("w", None),)}, "no field 'w'; the file has a, u, v"),
    ({"times": (0.0, 0.0, 1.0)}, "times: expected finite increasing"),
    ({"times": ()}, "in time"),
    ({"parameters": {"nu": float("nan")}}, "parameter nu: expected a finite number"),
    ({"parameters": {"complete": 1.0}}, "a name that the layout does not use"),
    ({"parameters": {"force": 1.0}}, "names that are not parameters"),
    ({"reference_error": {"figure": 1.0}}, "how it was measured"),
    ({"reference_error": {"method": "x", "figure": -1.0}}, ">= 0"),
    ({"grid": Grid([FourierBasis(4)], ["time"])}, "any name but 'time'"),
]


@pytest.mark.parametrize(("change", "message"), BAD_DESCRIPTIONS)
def test_descriptions_are_checked_when_made(change, message):
    with pytest.raises(UsageError, match=message):
        small_info(**change)


# Faults.

KILLED = """
import os, sys, time
from pathlib import Path
from data_files import small_info, small_values
from pdesurr.data import DatasetWriter
with DatasetWriter(Path(sys.argv[1]), small_info(), overwrite=True) as writer:
    writer.append(small_values())
    writer._file.flush()
    print("half", flush=True)
    time.sleep(60)
"""

FULL = """
import resource, signal, sys
from pathlib import Path
from data_files import small_info, small_values
from pdesurr.data import write_dataset
from pdesurr.checks import DatasetError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_dataset(Path(sys.argv[1]), small_info(), (small_values(100) for _ in range(50)), overwrite=True)
except DatasetError as error:
    print(error)
"""


def run_writer(code, path, env):
    env["PYTHONPATH"] += os.pathsep + os.path.dirname(__file__)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("there", [False, True])
def test_a_killed_writer_leaves_no_readable_half_file(tmp_path, child_env, there):
    path = tmp_path / "small.h5"
    before = small_file(path, 3).read_bytes() if there else None
    with run_writer(KILLED, path, child_env) as child:
        assert child.stdout and child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
    assert (path.read_bytes() if path.exists() else None) == before
    halves = [p for p in tmp_path.iterdir() if p != path]
    assert halves, "the kill came too late to test anything"
    for half in halves:
        with pytest.raises(DatasetError, match="truncated|half-written|not a pdesurr data file"):
            open_dataset(half)


def test_a_full_disk_leaves_the_old_file(tmp_path, child_env):
    path = small_file(tmp_path / "small.h5")
    before = path.read_bytes()
    with run_writer(FULL, path, child_env) as child:
        said, errors = child.communicate(timeout=120)
    assert "could not be written, the file that was there is unchanged" in said and said.count("\n") == 1, said + errors
    assert child.returncode == 0, errors
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["small.h5"]


def test_an_error_in_the_caller_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), DatasetWriter(tmp_path / "small.h5", small_info()) as writer:
        writer.append(small_values())
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_reading_is_quick(tmp_path):
    """A thousand samples of a thousand nodes: well under a second, hash included."""
    info = small_info(fields=(Field("u"),), scalars=(), grid=Grid([FourierBasis(1024)]), input=(("u", None),),
                      output=(("u", None),))  # fmt: skip
    write_dataset(tmp_path / "line.h5", info, {"u": np.ones((1000, 1024), "float32")})
    started = time.perf_counter()
    open_dataset(tmp_path / "line.h5")
    assert time.perf_counter() - started < 5


def test_spectral_axes_come_back_as_they_were_stored(tmp_path):
    """Chebyshev, sine and cosine axes: kind, nodes and values; every second Gauss-Lobatto node is such a grid, of the others none."""
    grid = Grid([ChebyshevBasis(5, 0.0, 2.0), SineBasis(4, -1.0, 1.0), CosineBasis(3)], ["t", "x", "y"])
    u = np.random.default_rng(0).standard_normal((2, *grid.shape)).astype("float32")
    parts = {"fields": (Field("u"),), "input": (("u", None),), "output": (("u", None),), "scalars": (), "times": ()}
    info = small_info(grid=grid, **parts)
    assert from_json(to_json(info)).grid == grid
    write_dataset(tmp_path / "walls.h5", info, {"u": u})
    data = open_dataset(tmp_path / "walls.h5")
    assert data.grid == grid
    np.testing.assert_array_equal(data.inputs[..., 0], u)
    with pytest.raises(DatasetError, match="axis x: stride 2 does not fit 4 nodes of kind 'sine'; allowed are 1"):
        open_dataset(tmp_path / "walls.h5", stride=2)
    write_dataset(tmp_path / "line.h5", small_info(grid=Grid([ChebyshevBasis(9)]), **parts), {"u": u.reshape(2, -1)[:, :9]})
    assert open_dataset(tmp_path / "line.h5", stride=2).grid == Grid([ChebyshevBasis(5)])
