"""Generation: the same bits whatever the chunk, the devices or the kills; errors certified."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr._runtime import Stopped
from pdesurr.checks import DatasetError, UsageError
from pdesurr.data import generate, open_dataset, read_info
from pdesurr.pdes import Burgers

PDE = Burgers()


def make(path, devices=1, **changes):
    settings = {"samples": 40, "resolution": 256, "seed": 3, "chunk": 16, **changes}
    return generate(settings.pop("pde", PDE), path, devices=jax.devices()[:devices], **settings)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "burgers.h5"
    make(path)
    return path


def test_contents_and_certified_error(reference):
    data = open_dataset(reference)
    assert data.inputs.shape == data.outputs.shape == (40, 256, 1) and data.inputs.dtype == np.float32
    assert data.info.pde == "Burgers" and data.info.parameters["nu"] == 0.1 and data.info.times == (0.0, 1.0)
    assert data.info.reference_error and 0 < data.info.reference_error["figure"] < 1e-6
    assert abs(data.inputs.std() - 1.044) < 0.12


@pytest.mark.parametrize("change", [{"chunk": 1000}, {"devices": 4}, {"devices": 2, "chunk": 32}])
def test_chunks_and_devices_do_not_change_a_bit(reference, tmp_path, change):
    make(tmp_path / "burgers.h5", **change)
    assert digest(tmp_path / "burgers.h5") == digest(reference)


def test_ranges_of_one_seed_continue_each_other(reference, tmp_path):
    make(tmp_path / "tail.h5", first=16, samples=24)
    np.testing.assert_array_equal(open_dataset(tmp_path / "tail.h5").inputs, open_dataset(reference).inputs[16:])


def test_resume_after_a_stop_is_bit_identical(reference, tmp_path, monkeypatch):
    module, path = sys.modules["pdesurr.data.generation"], tmp_path / "burgers.h5"
    written, original = [], module._write_part

    def stopping(*args):
        original(*args)
        written.append(1)
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, "_write_part", stopping)
    with pytest.raises(Stopped) as stop:
        make(path)
    assert stop.value.exit_code == 143 and not path.exists() and len(written) == 2
    damaged = sorted((tmp_path / ".burgers.h5.parts").glob("part-*"))[-1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)  # and a bit flips meanwhile
    monkeypatch.setattr(module, "_write_part", original)
    make(path)
    assert digest(path) == digest(reference) and not (tmp_path / ".burgers.h5.parts").exists()


def test_parts_of_another_job_are_not_used(reference, tmp_path, monkeypatch):
    module, path = sys.modules["pdesurr.data.generation"], tmp_path / "burgers.h5"
    monkeypatch.setattr(module, "_certify", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(path, seed=4)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="chunks of another job"):
        make(path)
    assert digest(path) == digest(reference)


def test_small_viscosity_falls_back_sample_by_sample(tmp_path):
    info = make(tmp_path / "thin.h5", pde=Burgers(nu=0.02), samples=16, resolution=512)
    assert info.reference_error and info.reference_error["figure"] < 1e-4
    assert np.isfinite(open_dataset(tmp_path / "thin.h5").outputs).all()


def test_existing_files_and_bad_settings(reference, tmp_path):
    before = digest(reference)
    with pytest.raises(DatasetError, match="exists already"):
        make(reference)
    assert digest(reference) == before
    for change, words in (({"samples": 0}, "samples"), ({"first": 3}, "multiple of 16"), ({"precision": "float16"}, "precision")):
        with pytest.raises((UsageError, TypeCheckError), match=words):
            make(tmp_path / "x.h5", **change)  # pyright: ignore[reportArgumentType]
    assert read_info(reference).n == 40


@pytest.mark.slow
def test_kill_minus_nine_ten_times(tmp_path, child_env):
    """Killed at ten random moments, generation ends with the same bytes as if it had not been."""
    arguments = [sys.executable, "-m", "pdesurr", "generate", "burgers", "--samples", "1600", "--resolution", "2048", "--chunk", "64"]
    subprocess.run([*arguments, "--out", str(tmp_path / "whole" / "set.h5")], check=True, env=child_env, capture_output=True)
    out, rng = tmp_path / "killed" / "set.h5", np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen([*arguments, "--out", str(out)], env=child_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(2.0, 7.0))
        process.kill()
        process.wait()
        if out.exists():
            break
    if not out.exists():
        subprocess.run([*arguments, "--out", str(out)], check=True, env=child_env, capture_output=True)
    assert digest(out) == digest(tmp_path / "whole" / "set.h5")
