"""Other people's arrays, in every format they come in, end up in a data file with the numbers they had."""

import numpy as np
import pytest
import scipy.io
from data_files import opened

from pdesurr.checks import DatasetError, UsageError
from pdesurr.data import dataset_hash, import_arrays, inspect_file, open_dataset
from pdesurr.data.foreign import AssumptionWarning
from pdesurr.fields import FourierBasis, UniformBasis

RNG = np.random.default_rng(0)
A = (RNG.random((7, 6, 5)) > 0.5).astype(np.uint8)
U = RNG.standard_normal((7, 6, 5)).astype(np.float32)


@pytest.fixture
def unit_square():
    return {"axes": "left", "domain": (0, 1)}


def write_hdf5(path):
    with opened(path, "w") as file:
        file.create_dataset("train/a", data=A, compression="gzip", shuffle=True)
        file["train/u"] = U


def write_npz(path):
    np.savez_compressed(path, **{"train/a": A, "train/u": U})


@pytest.mark.parametrize(("name", "write"), [("set.h5", write_hdf5), ("set.npz", write_npz), ("noending", write_hdf5)])
def test_hdf5_and_npz(tmp_path, unit_square, name, write):
    write(tmp_path / name)
    if name == "noending":
        assert not (tmp_path / name).suffix
    info = import_arrays(tmp_path / name, tmp_path / "out.h5", input="a", output="u", group="train", **unit_square)
    data = open_dataset(tmp_path / "out.h5")
    np.testing.assert_array_equal(data.inputs[..., 0], A.astype("float32"))
    np.testing.assert_array_equal(data.outputs[..., 0], U)
    assert data.grid.bases == (UniformBasis(6, 0.0, 1.0, "left"), UniformBasis(5, 0.0, 1.0, "left"))
    assert info.pde == "imported" and info.reference_error is None and name in info.notes
    assert data.info == info and info.sha256 == dataset_hash(tmp_path / "out.h5")


def test_matlab_5(tmp_path, unit_square):
    scipy.io.savemat(tmp_path / "set.mat", {"coeff": A, "sol": U.astype(float), "text": "hello"})
    info = import_arrays(tmp_path / "set.mat", tmp_path / "out.h5", input="coeff", output="sol", **unit_square)
    assert info.dtype == "float64"
    np.testing.assert_array_equal(open_dataset(tmp_path / "out.h5", dtype="float64").outputs[..., 0], U.astype(float))
    with pytest.raises(DatasetError, match="text: holds"):
        import_arrays(tmp_path / "set.mat", tmp_path / "o.h5", input="text", output="sol", **unit_square)


def test_matlab_73(tmp_path, unit_square):
    """MATLAB stores by columns: the axes in the file are the reverse of those in MATLAB."""
    with opened(tmp_path / "set.mat", "w", userblock_size=512) as file:
        file["a"], file["u"] = A.T, U.T
    content = bytearray((tmp_path / "set.mat").read_bytes())
    content[:20] = b"MATLAB 7.3 MAT-file,"
    (tmp_path / "set.mat").write_bytes(content)
    import_arrays(tmp_path / "set.mat", tmp_path / "out.h5", input="a", output="u", **unit_square)
    np.testing.assert_array_equal(open_dataset(tmp_path / "out.h5").outputs[..., 0], U)
    assert inspect_file(tmp_path / "set.mat")["format"] == "matlab v7.3"


@pytest.mark.parametrize("axis", [-1, 1])
def test_channels(tmp_path, axis):
    values = RNG.standard_normal((4, 8, 8, 3)).astype("float32")
    np.savez(tmp_path / "set.npz", u=np.moveaxis(values, -1, axis), v=np.moveaxis(values[..., :1], -1, axis))
    info = import_arrays(
        tmp_path / "set.npz",
        tmp_path / "out.h5",
        input=["u"],
        output="v",
        axes=["periodic", "closed"],
        domain=[(0, 2), (-1, 1)],
        channel_axis=axis,
        units={"u_1": "Pa", "x": "m"},
        names={"v": "speed"},
        limit=3,
    )
    data = open_dataset(tmp_path / "out.h5")
    np.testing.assert_array_equal(data.inputs, values[:3])
    assert data.grid.bases == (FourierBasis(8, 0.0, 2.0), UniformBasis(8, -1.0, 1.0, "closed"))
    assert [f.name for f in info.fields] == ["u_0", "u_1", "u_2", "speed"]
    assert info.field("u_1").unit == "Pa" and info.units == {"x": "m"}


def test_the_other_byte_order_keeps_its_digits(tmp_path, unit_square):
    np.savez(tmp_path / "set.npz", a=A, u=(U.astype(float) + 1e-12).astype(">f8"))
    assert import_arrays(tmp_path / "set.npz", tmp_path / "out.h5", input="a", output="u", **unit_square).dtype == "float64"
    np.testing.assert_array_equal(open_dataset(tmp_path / "out.h5", dtype="float64").outputs[..., 0], U.astype(float) + 1e-12)


def test_several_inputs(tmp_path, unit_square):
    np.savez(tmp_path / "set.npz", a=A, u=U, b=A > 0)
    import_arrays(tmp_path / "set.npz", tmp_path / "out.h5", input=["a", "b"], output=["u", "a"], **unit_square)
    data = open_dataset(tmp_path / "out.h5")
    assert data.inputs.shape[-1] == 2 and data.outputs.shape[-1] == 2 and len(data.info.fields) == 3


def test_what_is_assumed_is_said(tmp_path):
    np.savez(tmp_path / "set.npz", a=A, u=U)
    with pytest.warns(AssumptionWarning, match=r"axes and domain not given: assuming axes='closed' on \(0, 1\)"):
        import_arrays(tmp_path / "set.npz", tmp_path / "out.h5", input="a", output="u")


def test_errors_name_what_is_there(tmp_path, unit_square):
    write_hdf5(tmp_path / "set.h5")
    out = tmp_path / "out.h5"
    with pytest.raises(DatasetError, match=r"train/b: no such array; .*the arrays there are: train/a, train/u"):
        import_arrays(tmp_path / "set.h5", out, input="b", output="u", group="train", **unit_square)
    with pytest.raises(DatasetError, match=r"did you mean train/u\?"):
        import_arrays(tmp_path / "set.h5", out, input="train/a", output="tran/u", **unit_square)
    with pytest.raises(DatasetError, match="train: no such array"):
        import_arrays(tmp_path / "set.h5", out, input="train", output="train/u", **unit_square)
    assert not out.exists()


def test_arrays_that_cannot_be_used(tmp_path, unit_square):
    path, out = tmp_path / "set.npz", tmp_path / "out.h5"
    bad = U.copy()
    bad[3, 1, 1] = np.nan
    np.savez(path, u=U, fewer=U[:5], bad=bad, c=U + 1j, big=np.full(U.shape, 2**40 + 1), one=np.ones(7), none=U[:0])
    for name, message in [
        ("fewer", "shapes differ"),
        ("bad", "bad: 1 of 7 samples hold NaN or infinity, the first is sample 3"),
        ("c", "c: holds complex numbers.*real and imaginary part"),
        ("big", "float32 cannot hold; convert the array to float64"),
        ("one", r"one: has shape \(7,\), wanted is \(n, \*grid\)"),
        ("none", "shapes differ|zero"),
    ]:
        with pytest.raises(DatasetError, match=message) as caught:
            import_arrays(path, out, input=name, output="u", **unit_square)
        assert "\n" not in str(caught.value) and not out.exists()


def test_arguments_that_cannot_be_used(tmp_path, unit_square):
    np.savez(tmp_path / "set.npz", u=U)
    wrong = [({"axes": "open"}, "axes: expected one of"), ({"axes": ["left"]}, "one kind for all or 2"),
             ({"domain": [(0, 1)]}, "2 such pairs"), ({"domain": (1, 0)}, "lower < upper")]  # fmt: skip
    for change, message in wrong:
        with pytest.raises(UsageError, match=message):
            import_arrays(tmp_path / "set.npz", tmp_path / "o.h5", input="u", output="u", **{**unit_square, **change})


def test_refuses_to_overwrite(tmp_path, unit_square):
    np.savez(tmp_path / "set.npz", u=U, v=U)
    (tmp_path / "out.h5").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="exists already"):
        import_arrays(tmp_path / "set.npz", tmp_path / "out.h5", input="u", output="v", **unit_square)
    assert (tmp_path / "out.h5").read_bytes() == b"mine"


def test_a_map_of_an_array_to_itself_is_refused(tmp_path, unit_square):
    np.savez(tmp_path / "set.npz", u=U)
    with pytest.raises(UsageError, match="another array than the input"):
        import_arrays(tmp_path / "set.npz", tmp_path / "out.h5", input="u", output="u", **unit_square)


def test_inspect(tmp_path):
    bad = U.astype(float)
    bad[0, 0, :2] = np.nan, np.inf
    with opened(tmp_path / "set.h5", "w") as file:
        file["g/u"], file["g/text"], file["g/count"], file["g/nothing"] = bad, "hello", 3, np.empty((0, 4))
        file["g/u"].attrs["unit"] = "m/s"
        file.attrs["made by"] = "someone\nelse"
    tree = inspect_file(tmp_path / "set.h5")
    u = tree["members"]["g"]["members"]["u"]
    assert (u["shape"], u["dtype"], u["unit"], u["nan"]) == ([7, 6, 5], "float64", "m/s", 2)
    finite = bad[np.isfinite(bad)]
    assert u["min"] == finite.min() and u["max"] == finite.max()
    assert tree["attributes"] == {"made by": "someone else"} and tree["format"] == "hdf5"
    assert tree["members"]["g"]["members"]["text"]["kind"] == "refused"
    assert tree["members"]["g"]["members"]["count"]["min"] == 3
    assert tree["members"]["g"]["members"]["nothing"]["min"] is None
    assert "min" not in inspect_file(tmp_path / "set.h5", statistics=False)["members"]["g"]["members"]["u"]


# Files that were made elsewhere.


def test_the_darcy_file_of_neuraloperator(tmp_path, shared_data):
    source, out = shared_data / "darcy_neuraloperator.h5", tmp_path / "darcy16.h5"
    info = import_arrays(
        source, out, input="train_16/coefficient", output="train_16/solution", axes="left", domain=(0, 1), name="darcy"
    )
    data = open_dataset(out)
    assert info.n == 1000 and data.grid.shape == (16, 16) and data.inputs.dtype == np.float32
    with opened(source) as file:
        np.testing.assert_array_equal(data.inputs[..., 0], file["train_16/coefficient"][()].astype("float32"))
        np.testing.assert_array_equal(data.outputs[..., 0], file["train_16/solution"][()])
    assert open_dataset(out, stride=2, limit=5).inputs.shape == (5, 8, 8, 1)
    tree = inspect_file(source)
    assert tree["members"]["test_32"]["members"]["coefficient"]["max"] == 1


def test_the_files_of_deepxde_can_be_inspected(shared_data):
    burgers = inspect_file(shared_data / "burgers_deepxde.npz")
    assert burgers["members"]["usol"]["shape"] == [256, 100] and burgers["members"]["usol"]["nan"] == 0
    allen_cahn = inspect_file(shared_data / "allen_cahn_deepxde.mat")
    assert allen_cahn["members"]["u"]["shape"] == [101, 201] and allen_cahn["format"] == "matlab v5"


@pytest.mark.parametrize("compressed", [False, True])
def test_every_matlab_5_array_is_read_as_scipy_reads_it(tmp_path, compressed):
    from pdesurr.data._arrays import open_arrays

    types = ("float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")
    arrays = {t: (RNG.random((3, 4, 2)) * 100).astype(t) for t in types}
    arrays |= {"small": np.float64(3), "whole": np.arange(7.0), "e": np.zeros((0, 3))}
    others = {"text": "hello", "complex": U[0] + 1j, "cell": np.array([1, "a"], object), "struct": {"x": 1.0}}
    scipy.io.savemat(tmp_path / "set.mat", arrays | others, do_compression=compressed)
    theirs = scipy.io.loadmat(tmp_path / "set.mat")
    with open_arrays(tmp_path / "set.mat") as source:
        assert set(source.shapes()) == set(arrays | others)
        for name in arrays:
            np.testing.assert_array_equal(source.read(name), theirs[name])
            assert source.shapes()[name] == theirs[name].shape and name in ("bool", "e") or source.dtype(name) == theirs[name].dtype
    for name, message in (("text", "holds text"), ("complex", "complex"), ("cell", "objects"), ("struct", "objects")):
        with pytest.raises(DatasetError, match=message), open_arrays(tmp_path / "set.mat") as source:
            source.read(name)


def test_damaged_matlab_5_files(tmp_path):
    from pdesurr.data._arrays import open_arrays

    path = tmp_path / "set.mat"
    scipy.io.savemat(path, {"a": U}, do_compression=True)
    content = path.read_bytes()
    for cut in (64, 130, 200, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(DatasetError), open_arrays(path) as source:
            source.read("a")
    rng = np.random.default_rng(1)
    scipy.io.savemat(path, {"a": U[:2], "b": U[:1]})
    content = path.read_bytes()
    for _ in range(300):  # scipy's own reader crashes on some of these
        damaged = bytearray(content)
        for at in rng.integers(100, 320, size=3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with open_arrays(path) as source:
                for name in source.shapes():
                    source.read(name)
        except DatasetError as error:
            assert "\n" not in str(error)
