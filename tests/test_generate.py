"""Generation: the same bits whatever the chunk, the devices or the kills; errors certified."""

# pyright: reportOptionalSubscript=false

import hashlib
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr._runtime import Stopped
from pdesurr.checks import DatasetError, DivergedError, UsageError
from pdesurr.data import generate, open_dataset, read_info
from pdesurr.data.sources import sample_key
from pdesurr.pdes import AllenCahn, Burgers, Darcy, GrayScott, NavierStokes, PiecewiseConstant

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
    with pytest.raises(DatasetError, match="other settings"):
        make(path)
    assert list((tmp_path / ".burgers.h5.parts").glob("part-*"))
    make(path, overwrite=True)
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


def test_the_same_samples_have_the_same_hash_under_any_name(tmp_path):
    infos = [generate(Burgers(nu=0.5), tmp_path / f"{name}.h5", samples=4, resolution=32, seed=0, name="set") for name in "ab"]
    assert infos[0].sha256 == infos[1].sha256 and infos[0].name == "set"


@pytest.mark.slow
def test_kill_minus_nine_ten_times(tmp_path, child_env):
    """Killed at ten random moments, generation ends with the same bytes as if it had not been."""
    arguments = [sys.executable, "-m", "pdesurr", "generate", "burgers_jmlr", "--samples", "1600", "--resolution", "2048", "--chunk", "64"]
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


def test_samples_that_no_route_solves_are_left_out_and_named(tmp_path):
    class Picky(AllenCahn):
        """Right for every other sample only."""

        def record(self, key, grid, route):
            fields, right = AllenCahn.record(self, key, grid, route)
            return fields, right & (jax.random.bits(key, dtype=jnp.uint32) % 4 != 0)

    pde = Picky(epsilon=0.01)
    seen = [int(jax.random.bits(sample_key(0, jnp.asarray(i)), dtype=jnp.uint32)) % 4 != 0 for i in range(32)]
    assert 16 <= sum(seen) < 32
    with pytest.warns(UserWarning, match=f"{32 - sum(seen)} of 32 samples are left out"):
        info = generate(pde, tmp_path / "some.h5", samples=32, resolution=64, seed=0)
    assert info.n == sum(seen) and f"{seen.index(False)}" in info.notes
    data = open_dataset(tmp_path / "some.h5")
    with jax.enable_x64(True):
        first = pde.sample(sample_key(0, jnp.asarray(seen.index(True))), pde.grid(64))
    np.testing.assert_allclose(data.inputs[0], first, atol=1e-6)


def test_a_grid_too_coarse_for_the_prior_is_refused_before_the_run(tmp_path):
    with pytest.raises(UsageError, match="resolution: expected nodes enough for the prior"):
        generate(Burgers(), tmp_path / "coarse.h5", samples=16, resolution=8, seed=0)
    assert not (tmp_path / "coarse.h5").exists()


@pytest.mark.parametrize(("pde", "n"), [
    pytest.param(NavierStokes(nu=1e-2, horizon=0.2, intervals=4, history=2, refinement=2), 32, marks=pytest.mark.slow),
    (Darcy(refinement=1), 17),
    (GrayScott(horizon=20.0, intervals=2, length=0.5), 32),
], ids=lambda v: type(v).__name__)
def test_every_kind_of_equation_makes_a_file_whose_error_is_measured(pde, n, tmp_path):
    info = generate(pde, tmp_path / "set.h5", samples=4, resolution=n, seed=0, chunk=16)
    data = open_dataset(tmp_path / "set.h5")
    assert info.n == 4 and info.reference_error is not None and 0 <= info.reference_error["figure"] < 0.05
    assert data.inputs.shape == (4, *pde.grid(n).shape, len(pde.input)) and data.outputs.shape[-1] == len(pde.output)


@pytest.mark.slow
def test_a_replay_states_the_error_of_the_public_scheme(tmp_path):
    pde = Darcy(PiecewiseConstant(low=4.0), refinement=3, cells=True)
    replayed = generate(pde, tmp_path / "replay.h5", samples=4, resolution=15, seed=0, replay=True)
    ours = generate(pde, tmp_path / "ours.h5", samples=4, resolution=15, seed=0)
    assert "replayed" in replayed.generator and replayed.reference_error["figure"] > 3 * ours.reference_error["figure"]
    with pytest.raises(UsageError, match="replay: expected an equation with a published set"):
        generate(AllenCahn(), tmp_path / "none.h5", samples=4, resolution=64, seed=0, replay=True)


def test_a_set_of_wrong_solutions_is_not_written(tmp_path):
    with pytest.raises(DivergedError, match="take more nodes"):
        make(tmp_path / "wrong.h5", pde=Burgers(nu=1e-5), samples=16, resolution=64)
    assert not (tmp_path / "wrong.h5").exists()
