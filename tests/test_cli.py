"""The command line as a stranger meets it: results, one-line errors, exit codes."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from foreign_files import well

from pdesurr import load_surrogate
from pdesurr.checks import BundleError, UsageError
from pdesurr.cli import main
from pdesurr.data import import_arrays, open_dataset
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.sources import ArraySource
from pdesurr.models import FNO, MgNO
from pdesurr.objectives import relative_l2
from pdesurr.surrogates.assess import make_surrogate
from pdesurr.train import TrainConfig, fit
from pdesurr.workflow import scalers

TINY = ["--samples", "48", "--resolution", "64", "--set", "nu=0.5"]
NETWORK = ["--modes", "5", "--width", "8", "--depth", "2", "--batch-size", "8", "--epochs", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data file and a trained run, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("cli")
    assert main(["generate", "burgers_jmlr", "--out", str(folder / "set.h5"), *TINY]) == 0
    assert main(["train", str(folder / "set.h5"), "--out", str(folder / "run"), *NETWORK]) == 0
    return folder


def fails(capsys, code, words, *arguments):
    """The command ends with that code and one line on standard error that holds the words; nothing on standard output."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    lines = [line for line in err.strip().splitlines() if line.startswith("pdesurr: error")] or err.strip().splitlines()
    assert words in " ".join(err.split()), err
    if code == 1:
        assert len(lines) == 1
    return err


def test_evaluate_predict_inspect(folder, capsys):
    assert main(["evaluate", str(folder / "run"), str(folder / "set.h5"), "--stride", "1", "2", "--json"]) == 0
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert set(errors) == {"64", "32"} and errors["64"]["samples"] == 48
    out = folder / "predictions.npz"
    assert main(["predict", str(folder / "run"), str(folder / "set.h5"), "--out", str(out)]) == 0
    with np.load(out) as file:
        assert file["output"].shape == file["input"].shape == (48, 64, 1)
        np.savez(folder / "inputs.npz", input=file["input"][:3, :, 0])
    assert main(["predict", str(folder / "run" / "bundle"), str(folder / "inputs.npz"), "--out", str(folder / "again.npz")]) == 0
    with np.load(folder / "again.npz") as again, np.load(out) as file:
        np.testing.assert_allclose(again["output"], file["output"][:3], atol=1e-6)
    capsys.readouterr()
    for path in (folder / "set.h5", folder / "run", out):
        assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    for words in ("nu", "sha256", "Burgers", "NaN", "float32", "adamw"):
        assert words.lower() in text.lower(), words


def test_training_again_resumes_what_is_finished(folder, capsys):
    assert main(["train", str(folder / "set.h5"), "--out", str(folder / "run"), *NETWORK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2
    fails(capsys, 1, "another run: learning_rate", "train", folder / "set.h5", "--out", folder / "run", *NETWORK, "--learning-rate", "0.1")


def test_a_spec_is_of_its_model_and_says_no_rate_that_is_not_known(folder):
    data, config = open_dataset(folder / "set.h5"), TrainConfig(epochs=1, batch_size=16)
    source = ArraySource(data.inputs, data.outputs, data.grid)
    for own, told in ((None, {"learning_rate": config.learning_rate, "optimiser": "adamw"}), (optax.sgd(0.1), {"optimiser": "own"})):
        model = Scaled(FNO(1, 1, (2,), 2, 1, head_width=2, key=jax.random.key(0)), *scalers(data))
        result = fit(model, source, relative_l2, config, devices=jax.devices()[:1], optimiser=own)
        training = make_surrogate(result, data, config, folder / "set.h5").spec.training
        assert {k: training[k] for k in ("learning_rate", "optimiser") if k in training} == told
    two = Scaled(FNO(1, 2, (2,), 2, 1, head_width=2, key=jax.random.key(0)), scalers(data)[0], ChannelScaler((0.0, 0.0), (1.0, 1.0)))
    other = Scaled(MgNO(1, 1, (33,), 2, 1, key=jax.random.key(0)), *scalers(data))
    for wrong, words in ((two, r"shape \(64, 1\), received \(64, 2\)"), (other, r"made for \(33,\)")):
        with pytest.raises(UsageError, match=words):
            make_surrogate(dataclasses.replace(result, model=wrong), data, config, folder / "set.h5")


def test_a_run_folder_keeps_to_its_data_and_its_objective(folder, tmp_path, capsys):
    """Other data of the same size must not be given the first run's weights, nor its bundle their provenance."""
    other, run = tmp_path / "other.h5", folder / "run"
    assert main(["generate", "burgers_jmlr", "--out", str(other), *TINY[:-1], "nu=1.0"]) == 0
    before = {f.name: f.read_bytes() for f in (run / "bundle").iterdir()}
    fails(capsys, 1, "another run: data", "train", other, "--out", run, *NETWORK)
    fails(capsys, 1, "another run: objective", "train", folder / "set.h5", "--out", run, *NETWORK, "--objective", "relative_h1")
    fails(capsys, 1, "another run: architecture: width 8, not 16", "train", folder / "set.h5", "--out", run, *NETWORK, "--width", "16")
    assert before == {f.name: f.read_bytes() for f in (run / "bundle").iterdir()}


@pytest.mark.filterwarnings("always::pdesurr.surrogates.RangeWarning")
def test_data_of_another_map_are_noticed(folder, tmp_path, capsys):
    other = tmp_path / "other.h5"
    assert main(["generate", "burgers_jmlr", "--out", str(other), *TINY[:-1], "nu=1.0"]) == 0
    assert main(["evaluate", str(folder / "run"), str(other)]) == 0
    assert "the data have nu = 1.0, the surrogate was trained for 0.5" in capsys.readouterr().err
    np.savez(tmp_path / "fields.npz", a=np.ones((4, 64), np.float32), u=np.ones((4, 64), np.float32))
    arguments = ["--input", "a", "--output", "u", "--axes", "closed", "--domain", "0", "1", "--out", str(tmp_path / "made.h5")]
    assert main(["import", str(tmp_path / "fields.npz"), *arguments]) == 0
    fails(capsys, 2, "axes and box", "evaluate", folder / "run", tmp_path / "made.h5")


def test_evaluate_records_errors_when_told(folder, tmp_path, capsys):
    shutil.copytree(folder / "run" / "bundle", tmp_path / "bundle")
    predict = ["predict", str(tmp_path / "bundle"), str(folder / "set.h5"), "--out"]
    assert main([*predict, str(tmp_path / "one.npz")]) == 0 and "never tested" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "bundle"), str(folder / "set.h5"), "--record"]) == 0
    assert main([*predict, str(tmp_path / "two.npz")]) == 0 and "95 % below" in capsys.readouterr().out
    fails(capsys, 2, "--stride", "evaluate", tmp_path / "bundle", folder / "set.h5", "--stride")


def test_inspect_says_whether_a_data_file_is_sound(folder, tmp_path, capsys):
    import h5py

    assert main(["inspect", str(folder / "set.h5")]) == 0
    assert capsys.readouterr().out.startswith("data file: sound")
    edited = tmp_path / "edited.h5"
    shutil.copy(folder / "set.h5", edited)
    with h5py.File(edited, "r+") as file:
        field = file["t0_fields/u"]
        assert isinstance(field, h5py.Dataset)
        field[0, 0, 0] = 2.0
    assert main(["inspect", str(edited)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("data file: NOT SOUND") and said.err.startswith("pdesurr: error:")
    assert main(["inspect", str(edited), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["data file"].startswith("NOT SOUND")
    assert main(["inspect", "--full", str(folder / "set.h5")]) == 0
    assert "boundary_conditions" in capsys.readouterr().out


def test_system_errors_are_one_line_and_runs_are_not_bundles(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    fails(capsys, 2, "expected the name of a folder", "train", folder / "set.h5", "--out", tmp_path / "file", *NETWORK)
    fails(capsys, 2, "epochs", "run", "--preset", "smoke", "--epochs", "0", "--out", tmp_path / "r")
    fails(capsys, 2, "ends in .npz", "predict", folder / "run", folder / "set.h5", "--out", tmp_path / "p.txt")
    fails(capsys, 1, "no such file", "predict", folder / "run", tmp_path / "none.npz", "--out", tmp_path / "p.npz")
    with pytest.raises(BundleError, match="is a run folder; give the bundle"):
        load_surrogate(folder / "run")
    (tmp_path / "half" / "checkpoints").mkdir(parents=True)
    fails(capsys, 1, "finish the training", "evaluate", tmp_path / "half", folder / "set.h5")
    assert main(["--version"]) == 0 and capsys.readouterr().out.strip()


def test_training_on_the_stream(folder):
    assert main(["train", str(folder / "set.h5"), "--out", str(folder / "stream"), *NETWORK, "--stream"]) == 0


def test_import_then_train_on_two_axes_with_walls(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "fields.npz", a=rng.random((20, 12, 12), np.float32), u=rng.random((20, 12, 12), np.float32))
    made = tmp_path / "fields.h5"
    assert (
        main(
            [
                "import",
                str(tmp_path / "fields.npz"),
                "--input",
                "a",
                "--output",
                "u",
                "--axes",
                "left",
                "--domain",
                "0",
                "1",
                "--out",
                str(made),
            ]
        )
        == 0
    )
    assert (
        main(
            [
                "train",
                str(made),
                "--out",
                str(tmp_path / "run"),
                "--modes",
                "4",
                "--width",
                "8",
                "--depth",
                "2",
                "--epochs",
                "1",
                "--batch-size",
                "8",
                "--objective",
                "relative_h1",
            ]
        )
        == 0
    )
    assert main(["evaluate", str(tmp_path / "run"), str(made)]) == 0
    capsys.readouterr()
    fails(capsys, 1, "b: no such", "import", tmp_path / "fields.npz", "--input", "b", "--output", "u", "--out", tmp_path / "x.h5")
    fails(
        capsys,
        2,
        "only a known PDE can be streamed",
        "train",
        made,
        "--out",
        tmp_path / "r2",
        "--stream",
        "--modes",
        "4",
        "--batch-size",
        "4",
    )


@pytest.mark.filterwarnings("ignore::pdesurr.data.foreign.AssumptionWarning", "ignore::pdesurr.surrogates.RangeWarning")
def test_vectors_and_tensors_are_channels_of_a_surrogate(tmp_path, capsys, one_device):
    """Training, its bundle and its evaluation count the components of a field."""
    well(tmp_path / "shear.hdf5")
    made, run = str(tmp_path / "made.h5"), str(tmp_path / "run")
    info = import_arrays(tmp_path / "shear.hdf5", made, input=["height", "velocity@0"], output="stress@-1")
    assert [part for part, _ in info.components(info.input)] == ["height", "velocity_0", "velocity_1"]
    assert [part for part, _ in info.components(info.output)] == ["stress_00", "stress_01", "stress_10", "stress_11"]
    small = ["--modes", "2", "--width", "4", "--depth", "1", "--epochs", "1", "--batch-size", "4"]
    assert main(["train", made, "--out", run, *small]) == 0 and main(["evaluate", run, made]) == 0
    assert main(["inspect", run]) == 0 and "velocity_1" in capsys.readouterr().out


def test_one_line_for_each_bad_input(folder, tmp_path, capsys):
    for name, content in (
        ("empty.h5", b""),
        ("page.h5", b"<html><body>404</body></html>"),
        ("cut.h5", (folder / "set.h5").read_bytes()[:5000]),
    ):
        (tmp_path / name).write_bytes(content)
        fails(capsys, 1, name, "train", tmp_path / name, "--out", tmp_path / "run")
    fails(capsys, 1, "missing.h5", "evaluate", folder / "run", tmp_path / "missing.h5")
    fails(capsys, 1, "no such bundle", "predict", tmp_path / "none", folder / "set.h5", "--out", tmp_path / "p.npz")
    fails(capsys, 1, "exists already", "generate", "burgers_jmlr", "--out", folder / "set.h5", *TINY)
    fails(capsys, 2, "samples", "generate", "burgers_jmlr", "--out", tmp_path / "x.h5", "--samples", "0", "--resolution", "64")
    fails(capsys, 2, "a number > 0", "generate", "burgers_jmlr", "--out", tmp_path / "x.h5", "--set", "nu=-1")
    fails(capsys, 2, "--modess", "train", folder / "set.h5", "--out", tmp_path / "run", "--modess", "3")
    fails(capsys, 2, "modes: expected at most", "train", folder / "set.h5", "--out", tmp_path / "run", "--modes", "99")
    fails(
        capsys, 2, "a multiple of the 8 devices", "train", folder / "set.h5", "--out", tmp_path / "run", *NETWORK[:6], "--batch-size", "6"
    )
    for values, words in ((np.zeros((2, 5)), "modes"), (np.zeros((2, 64, 3)), "(n, x); channels: u"), (np.full((2, 64), np.nan), "finite"),
                          (np.zeros((0, 64)), "at least one sample")):
        np.savez(tmp_path / "bad.npz", input=values)
        fails(capsys, 2, words, "predict", folder / "run", tmp_path / "bad.npz", "--out", tmp_path / "p.npz")
    np.savez(tmp_path / "objects.npz", input=np.array([{"a": 1}], dtype=object))
    fails(capsys, 1, "objects.npz", "predict", folder / "run", tmp_path / "objects.npz", "--out", tmp_path / "p.npz")
    assert not (tmp_path / "p.npz").exists() and not (tmp_path / "x.h5").exists()


def test_help_is_quick_and_does_not_import_jax(child_env):
    code = "import sys; from pdesurr.cli import main; main(['--help']); assert 'jax' not in sys.modules and 'h5py' not in sys.modules"
    times = []
    for _ in range(3):
        began = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True, text=True)
        times.append(time.perf_counter() - began)
        assert result.returncode == 0, result.stderr
    assert "generate" in result.stdout
    print("seconds", times)


@pytest.mark.slow
def test_smoke_run_reports_and_is_reused(tmp_path, capsys, one_device):
    assert main(["run", "--preset", "smoke", "--out", str(tmp_path / "run")]) == 0
    first = capsys.readouterr()
    for words in (
        "test error at 64 nodes",
        "test error at 128 nodes",
        "test error at 512 nodes",
        "surrogate:",
        "reference solver",
        "report:",
    ):
        assert words in first.out, first.out
    run = tmp_path / "run"
    text = (run / "report.md").read_text()
    for name in ("predictions", "distribution", "spectrum", "training", "recovery"):
        assert (run / "figures" / f"{name}.png").stat().st_size > 5000 and f"figures/{name}.png" in text
    results = json.loads((run / "results.json").read_text())
    assert {"command", "config", "environment", "seed", "dataset_sha256", "errors", "cost", "recovery"} <= set(results)
    found = results["recovery"]  # three epochs leave a surrogate that claims a lot: the solver has the last word
    assert found["corrected"] < found["verified"] and found["verified"] > 10 * found["claimed"] and found["solves"] <= 20
    assert main(["run", "--preset", "smoke", "--out", str(run), "--json"]) == 0
    again = capsys.readouterr()
    assert results["command"] == "python -m pdesurr run --preset smoke --out run"
    assert "finished already" in again.err and json.loads(again.out)["errors"] == results["errors"]
    (run / "figures" / "distribution.png").unlink()  # what is missing is made again
    assert main(["run", "--preset", "smoke", "--out", str(run)]) == 0 and (run / "figures" / "distribution.png").is_file()
    fails(capsys, 1, "training.seed 0, not 5", "run", "--preset", "smoke", "--out", run, "--seed", "5")


def test_another_model_by_name(folder, tmp_path, capsys):
    """Trained, told from another in the same folder, evaluated, inspected."""
    train = ["train", str(folder / "set.h5"), "--out", str(tmp_path / "run"), "--model", "GNO", "--batch-size", "8", "--epochs", "1"]
    small = ["--depth", "1", "--set", "width=4", "kernel=[4]", "nodes=64", "head_width=4"]
    assert main([*train, *small]) == 0
    fails(capsys, 1, "another run: architecture: radius ", *train, *small, "radius=0.5")
    fails(capsys, 1, "another run: architecture: class GNO, not LNO", *train, "--model", "LNO")
    fresh = ["train", str(folder / "set.h5"), "--out", str(tmp_path / "none"), "--model", "GNO", *small]
    assert "training on" not in fails(capsys, 1, "radius: expected", *fresh, "radius=0.001") and not (tmp_path / "none").exists()
    assert main(["evaluate", str(tmp_path / "run"), str(folder / "set.h5"), "--json"]) == 0
    assert main(["predict", str(tmp_path / "run"), str(folder / "set.h5"), "--out", str(tmp_path / "p.npz")]) == 0
    assert main(["inspect", str(tmp_path / "run")]) == 0
    for words, options in (("model: expected one of", ["--model", "Nope"]), ("argument of GNO", ["--set", "deep=3"]),
                           ("width: expected a whole number", ["--set", "width=wide"]), ("NAME=VALUE", ["--set", "width"]),
                           ("give each once", ["--set", "depth=2", "--depth", "1"])):
        fails(capsys, 2, words, *train, *options)
