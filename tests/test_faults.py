"""What goes wrong around a run: full disks, what a kill leaves, files that say what cannot be, peers that die, NaN in validation."""

import dataclasses
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_files import opened, small_file
from jaxtyping import TypeCheckError
from test_surrogates import build
from test_train import CONFIG, model, run, source

from pdesurr import _files
from pdesurr._files import MANIFEST, new_folder, read_json, sha256, sweep
from pdesurr._runtime import Stopped, locked
from pdesurr.checks import BundleError, CheckpointError, DatasetError, DivergedError, PdesurrError, UsageError
from pdesurr.cli import main
from pdesurr.data import open_dataset
from pdesurr.data._hash import content_hash
from pdesurr.data.sources import ArraySource
from pdesurr.objectives import relative_l2
from pdesurr.surrogates import save_surrogate
from pdesurr.surrogates import spec as specs
from pdesurr.train import checkpoint, fit, loop, processes
from pdesurr.train.books import Log, check_books, plain, unplain

TREE = {"w": jnp.arange(3.0)}


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def full_in_rust(*_, **__):
    from safetensors import SafetensorError

    raise SafetensorError("I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(("where", "failure"), [("safetensors.numpy.save_file", full_in_rust), ("os.fsync", full)])
def test_a_full_disk_at_a_checkpoint_leaves_the_one_before(where, failure, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, TREE, {"n": 1})
    with monkeypatch.context() as patch:
        patch.setattr(where, failure)
        with pytest.raises(CheckpointError, match=r"could not be written \(.*No space left.*the checkpoint before it is intact; free disk"):
            checkpoint.save(tmp_path, 2, TREE, {"n": 2})
    found = checkpoint.load_newest(tmp_path, TREE)
    assert found is not None and found[1] == {"n": 1} and [p.name for p in tmp_path.iterdir()] == ["000000001"]


def test_a_full_disk_at_a_bundle_leaves_the_old_one(tmp_path, monkeypatch):
    bundle = save_surrogate(build(), tmp_path / "bundle")
    before = sha256(bundle / MANIFEST)
    for name, failure in (("safetensors.numpy.save_file", full_in_rust), ("os.fsync", full)):
        with monkeypatch.context() as patch:
            patch.setattr(name, failure)
            with pytest.raises(BundleError, match="could not be written .*free disk space"):
                save_surrogate(build(), bundle, overwrite=True)
    assert sha256(bundle / MANIFEST) == before and [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_is_told_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pdesurr.workflow.run", full)
    assert main(["run", "--preset", "smoke", "--out", str(tmp_path / "x")]) == 1
    assert "No space left on device; free disk space" in capsys.readouterr().err


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    target, replace = tmp_path / "a", os.replace
    with new_folder(target) as new:
        (new / "x").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(_files.os, "replace", lambda a, b: full() if b == target and ".old." not in a.name else replace(a, b))
        with pytest.raises(OSError, match="No space"), new_folder(target, overwrite=True) as new:
            (new / "x").write_text("new")
    assert (target / "x").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_killed_processes_left_is_swept(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, alive = child.pid, os.getpid()
    for name in (f".a.tmp-{dead}", f".a.tmp-{alive}", f".b.old.tmp-{dead}", f".c.old.tmp-{dead}", "c", ".a.tmp-x"):
        (tmp_path / name).mkdir()
    (tmp_path / f".info.json.tmp-{dead}").touch()
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f".a.tmp-{alive}", "b", "c", ".a.tmp-x"}


def test_the_lock_tells_process_and_machine(tmp_path):
    import platform

    with locked(tmp_path), pytest.raises(UsageError, match=f"in use by process {os.getpid()} on {platform.node()}"), locked(tmp_path):
        pass


@pytest.mark.parametrize(("text", "words"), [("[" * 100_000, "deep|Expecting"), ("[" * 9000 + "]" * 9000, "nested too deeply"),
                                             ('{"a": 1e999}', "1e999 is not allowed"), ('{"a": "\\ud800"}', "surrogates not allowed")])
def test_json_that_is_refused(text, words, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_json(tmp_path / "x.json")


def refit(folder, change):
    """Change a checkpoint's info and make its hashes fit."""
    info = json.loads((folder / "info.json").read_text())
    text = change(info)
    (folder / "info.json").write_text(text if isinstance(text, str) else json.dumps(info))
    (folder / MANIFEST).write_text("".join(f"{sha256(f)}  {f.name}\n" for f in sorted(folder.iterdir()) if f.name != MANIFEST))


@pytest.mark.parametrize("text", ["{", "[]", '{"identity": NaN}'])
def test_a_checkpoint_that_cannot_be_read_is_passed_over(tmp_path, text):
    older, newer = (checkpoint.save(tmp_path, n, TREE, {"n": n}) for n in (1, 2))
    refit(newer, lambda info: text)
    with pytest.warns(UserWarning, match="cannot be used .* falling back"):
        found = checkpoint.load_newest(tmp_path, TREE)
    assert found is not None and found[1] == {"n": 1}
    shutil.rmtree(older)
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="no checkpoint is sound"):
        checkpoint.load_newest(tmp_path, TREE)


BOOKS = {"epoch": 2, "partial": [{"loss": 1.0}], "rollbacks": 0, "resumed_at": 0}


@pytest.mark.parametrize("change", [
    {"epoch": 3}, {"epoch": 1}, {"epoch": True}, {"partial": []}, {"rollbacks": -1}, {"partial": [1]}, {"more": 1}])
def test_books_that_do_not_fit_are_refused(change):
    check_books(BOOKS, 10, 4, 4)
    with pytest.raises(CheckpointError, match="a checkpoint's books"):
        check_books(BOOKS | change, 10, 4, 4)
    with pytest.raises(CheckpointError):
        check_books(None, 10, 4, 4)


def test_a_checkpoint_must_say_of_what_run_it_is(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    run(config, tmp_path)
    for name in ("books", "identity"):
        refit(next((tmp_path / "checkpoints").iterdir()), lambda info, name=name: info.pop(name) and None)
        with pytest.raises(CheckpointError, match="books need" if name == "books" else "does not say of what run"):
            run(config, tmp_path)


def test_validation_that_is_never_finite_is_an_error():
    never = lambda m, batch, key: (jnp.nan * relative_l2(m, batch, key)[0], {})  # noqa: E731
    with pytest.raises(DivergedError, match="the validation error was not finite after any epoch"):
        fit(model(), source(), relative_l2, dataclasses.replace(CONFIG, epochs=1), validate=source(8, 1), validation_objective=never,
            devices=jax.devices()[:1])


def test_an_epoch_without_an_update_is_an_error_whatever_the_policy():
    never = lambda m, batch, key: (jnp.nan * relative_l2(m, batch, key)[0], {})  # noqa: E731
    with pytest.raises(DivergedError, match="no update of epoch 1 was finite"):
        fit(model(), source(), never, dataclasses.replace(CONFIG, on_bad="skip"), devices=jax.devices()[:1])


def test_a_stop_after_steps_that_were_dropped_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LONGEST_SEGMENT", 1)
    asked, bad = [], source()
    bad = ArraySource(bad.inputs.at[:, 0, 0].set(100.0), bad.outputs, bad.grid)  # every step is dropped

    def never(m, batch, key):
        return jnp.where(jnp.max(batch.input.values) > 50, jnp.nan, relative_l2(m, batch, key)[0]), {}

    def raising(self, state, *rest):
        asked.append(1)
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return state

    monkeypatch.setattr(loop._Run, "_on_bad", raising)
    with pytest.raises(Stopped):
        fit(model(), bad, never, dataclasses.replace(CONFIG, on_bad="skip"), devices=jax.devices()[:1], folder=tmp_path)
    info = json.loads((next((tmp_path / "checkpoints").iterdir()) / "info.json").read_text())
    assert info["books"]["partial"] == [{"gradient_norm": None, "loss": None}] * 2


def test_numbers_beside_the_fields_are_those_described(tmp_path):
    path = small_file(tmp_path / "small.h5")
    with opened(path, "r+") as file:
        hashes: dict[str, str] = {}
        file.visititems(lambda name, node: hashes.update({name: node.attrs["sha256"].decode()}) if "sha256" in node.attrs else None)
        text = file["description"][()].decode().replace('"nu":0.1', '"nu":0.2')
        del file["description"]
        file["description"] = np.bytes_(text)
        file.attrs["content_sha256"] = np.bytes_(content_hash(text, hashes))
    with pytest.raises(DatasetError, match="scalars/nu: is not what the description says"):
        open_dataset(path)


@pytest.mark.parametrize(("name", "value"), [
    ("pde", ""), ("parameters", {"nu": "x"}), ("parameters", [1]), ("norms", [2.0, 1.0]), ("norms", [-1.0, 1.0]), ("traits", {"a": [1]}),
    ("errors", []), ("errors", {"32": {"mean": 1.0}}), ("errors", {"32x32": "own"}), ("errors", {"a": "own"}), ("licence", 3),
    ("input", []), ("grid", [{"name": 1, "kind": "periodic", "n": 32, "lower": 0.0, "upper": 1.0}]),
    ("reference_error", -1.0), ("reference_error", True), ("training", {"a": {"b": 1}}), ("data", None)])
def test_a_spec_with_a_part_of_another_kind_is_refused(name, value):
    parts = json.loads(specs.to_json(build().spec))
    if value in ({"32x32": "own"}, {"a": "own"}):
        value = dict.fromkeys(value, parts["errors"]["32"])
    with pytest.raises((UsageError, TypeError, ValueError, TypeCheckError)):
        specs.from_json(parts | {name: value})


def test_a_process_that_fails_alone_does_not_wait_for_the_others(monkeypatch):
    registered = []
    monkeypatch.setattr(processes.atexit, "register", registered.append)
    gone = jax.errors.JaxRuntimeError("UNKNOWN: Gloo AllGather failed: Connection closed by peer")
    with pytest.raises(jax.errors.JaxRuntimeError), processes.without_waiting():
        raise gone
    assert not registered
    monkeypatch.setattr(processes.jax, "process_count", lambda: 2)
    with pytest.raises(PdesurrError, match="another of the 2 processes has ended .*start all of them again"), processes.without_waiting():
        raise gone
    with pytest.raises(ValueError), processes.without_waiting():
        raise ValueError
    assert len(registered) == 2
    for alike in (Stopped(15, "kept"), DivergedError("x")):
        with pytest.raises(type(alike)), processes.without_waiting():
            raise alike
    assert len(registered) == 2


def test_a_log_grows_in_parts_and_keeps_what_a_checkpoint_knows(tmp_path):
    log = Log(tmp_path, longest=60)
    records = [{"epoch": n, "loss": 1.0 / n} for n in range(1, 11)]
    for record in records:
        log.append(record)
    parts = sorted(tmp_path.glob("metrics-*.jsonl"))
    assert len(parts) >= 3
    assert log.keep(10) == records
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 11, "lo')  # a kill while it was written
    assert log.keep(10) == records and log.keep(5) == records[:5] and log.keep(5) == records[:5]
    log.append(records[5])
    assert log.keep(6) == records[:6]
    lost = len(parts[0].read_text().splitlines())
    parts[0].unlink()
    with pytest.warns(UserWarning, match=f"records of {lost} epochs .* are missing"):
        assert log.keep(6) == records[lost:6]
    log.restart(records[:2])
    assert log.keep(2) == records[:2] and not list(tmp_path.glob("metrics-*.jsonl"))


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    """It kept its log in the checkpoint; and metrics that were not finite come back as such."""
    config = dataclasses.replace(CONFIG, epochs=2)
    done = run(config, tmp_path)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    refit(newest, lambda info: info["books"].update(history=done.history) and None)
    (tmp_path / "metrics.jsonl").unlink()
    assert run(config, tmp_path).history == done.history
    assert unplain(plain({"a": [math.inf, 1.0]}))["a"] == pytest.approx([math.nan, 1.0], nan_ok=True)
