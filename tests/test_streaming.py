"""Samples that stay in the file: the same training as from memory, bit for bit, and what happens when the file lets it down."""

import copy
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_files import line_grid, opened
from test_processes import start
from test_train import CONFIG, model, same, weights
from test_train import run as fully_in_memory

from pdesurr._runtime import Stopped
from pdesurr.checks import DatasetError, UsageError
from pdesurr.data import DatasetInfo, Field, open_dataset, write_dataset
from pdesurr.data.augment import AugmentedSource
from pdesurr.data.scaling import fit_scaler
from pdesurr.data.sources import ArraySource
from pdesurr.data.streaming import FileSource
from pdesurr.fields.symmetries import reflection
from pdesurr.objectives import relative_l2
from pdesurr.train import fit, parallel
from pdesurr.train.feed import feed
from pdesurr.train.parallel import Layout

STEP = 8 * 2 * 16 * 4  # bytes of a batch
N = 48


def stored(path: Path, n: int = N, dtype: str = "float32") -> Path:
    """u -> its square two nodes on, where u is the second of three times."""
    u = np.random.default_rng(0).standard_normal((n, 3, 16)).astype(dtype)
    info = DatasetInfo("line", "Line", line_grid(16, "periodic"), (Field("u", in_time=True), Field("w")), (("u", 1),), (("w", None),),
                       times=(0.0, 0.5, 1.0), dtype=dtype)
    write_dataset(path, info, {"u": u, "w": np.roll(u[:, 1], 2, -1) ** 2})
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("data") / "line.h5")


def held(path):
    data = open_dataset(path)
    train, test = data.split((0, 40), (40, N))
    return tuple(ArraySource(d.inputs, d.outputs, d.grid) for d in (train, test))


def streamed(path, steps=2, **more):
    """Blocks of so many steps."""
    return FileSource(path, memory=2 * steps * STEP, **more).split((0, 40), (40, N))


def run(sources, config=CONFIG, devices=1, **more):
    return fit(more.pop("model", None) or model(), sources[0], relative_l2, config, validate=sources[1], devices=jax.devices()[:devices],
               **more)


def as_one(a, b):
    same(a, b)
    np.testing.assert_array_equal(a.best_metric, b.best_metric)
    for x, y in zip(jax.tree.leaves(eqx.filter(a.model, eqx.is_array)), jax.tree.leaves(eqx.filter(b.model, eqx.is_array)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def single(path):
    return run(held(path))


@pytest.mark.parametrize("steps", [1, 2, 250])
def test_one_device_trains_as_from_memory(single, path, steps):
    as_one(single, run(streamed(path, steps)))


@pytest.mark.parametrize(("devices", "parallel"), [(2, "shard_map"), (4, "shard_map"), (4, "pmap")])
def test_devices_train_as_from_memory(path, devices, parallel):
    as_one(*(run(s, devices=devices, parallel=parallel) for s in (held(path), streamed(path))))


def test_an_ensemble_trains_as_from_memory(path):
    config = dataclasses.replace(CONFIG, seed=(0, 1))
    members = jax.tree.map(lambda *v: jnp.stack(v), model(0), model(1))
    as_one(*(run(s, config, devices=2, model=members) for s in (held(path), streamed(path, 4))))


def test_augmented_samples_train_as_from_memory(path):
    as_one(*(run((AugmentedSource(s[0], (reflection,)), s[1]), devices=2) for s in (held(path), streamed(path))))


def test_float64_is_read_as_float64(tmp_path, x64):
    """Also by the thread that puts it on the devices."""
    source = FileSource(stored(tmp_path / "line.h5", dtype="float64"))
    ((block, numbers),) = feed(source, lambda epoch: np.arange(N)[::-1].reshape(6, 8), (6, 8), Layout(jax.devices()[:4]), 6)(0)
    data = open_dataset(source.records.path)
    assert isinstance(block, ArraySource)
    assert block.inputs.dtype == block.outputs.dtype == np.float64
    whole = np.asarray(block.inputs).reshape(4, 12, 16, 1)  # of each device
    np.testing.assert_array_equal(whole[1][numbers[3, 2:4]], data.inputs[[N - 1 - 26, N - 1 - 27]])


def test_validation_that_devices_do_not_divide(path):
    sources = [(s[0], t) for s, t in zip((held(path), streamed(path)), (part(open_dataset(path)), FileSource(path, memory=2 * STEP).split(
        (0, 7))[0]), strict=True)]
    as_one(*(run(s, devices=2) for s in sources))


def part(data):
    (own,) = data.split((0, 7))
    return ArraySource(own.inputs, own.outputs, own.grid)


def test_steps_that_no_block_divides(path):
    """Seven steps in blocks of at most five: four and three."""
    config = dataclasses.replace(CONFIG, batch_size=5)
    data = open_dataset(path).split((0, 36))[0]
    memory = ArraySource(data.inputs, data.outputs, data.grid)
    as_one(*(run((s, memory), config) for s in (memory, FileSource(path, memory=10 * STEP * 5 // 8).split((0, 36))[0])))


@pytest.mark.parametrize(("before", "after"), [(2, 2), (1, 3), (1, 250)])
def test_a_stop_in_the_middle_of_an_epoch_and_a_resume_with_other_blocks(single, path, tmp_path, monkeypatch, before, after):
    calls, original = [], parallel.over_devices

    def counting(*args, **kwargs):
        compiled = original(*args, **kwargs)

        def call(*a):
            calls.append(1)
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return compiled(*a)

        return call

    monkeypatch.setattr(parallel, "over_devices", counting)
    with pytest.raises(Stopped):
        run(streamed(path, before), folder=tmp_path)
    monkeypatch.undo()
    moved = tmp_path / "moved.h5"
    moved.write_bytes(path.read_bytes())
    as_one(single, run(streamed(moved, after), folder=tmp_path))


def test_what_is_read_is_what_open_dataset_reads(path, tmp_path):
    data, source = open_dataset(path, stride=2), FileSource(path, stride=2)
    numbers = np.asarray([7, 3, 3, 40, 8, 9])
    for found, wanted in zip(source.read(numbers), (data.inputs, data.outputs), strict=True):
        np.testing.assert_array_equal(found, wanted[numbers])
        assert found.dtype == wanted.dtype
    batch = source.take(jnp.asarray([1, 0]))
    np.testing.assert_array_equal(batch.output.values, data.outputs[[1, 0]])
    assert source.grid == data.grid and source.size == len(data) and source.info.sha256 == data.info.sha256
    other = copy.copy(source.records)  # as another process would get it: it opens the file for itself
    assert other._open[1] is None and repr(other) == repr(source.records)
    np.testing.assert_array_equal(other.read(numbers)[0], data.inputs[numbers])
    with pytest.raises(UsageError, match="numbers of samples, 0 to 47"):
        source.read(np.asarray([48]))
    with pytest.raises(UsageError, match="give the source to fit"):
        jax.jit(source.take)(jnp.arange(2))
    with pytest.raises(UsageError, match="share no sample"):
        source.split((0, 9), (8, 10))


def test_scalers_are_those_of_the_whole(path):
    data = open_dataset(path)
    (source,) = FileSource(path).split((0, N))
    for centre in (True, False):
        for found, values in zip(source.scalers(centre), (data.inputs, data.outputs), strict=True):
            wanted = fit_scaler(values, centre)
            np.testing.assert_allclose((*found.mean, *found.std), (*wanted.mean, *wanted.std), rtol=1e-12, atol=1e-15)


def test_each_of_two_processes_reads_its_own_samples_alone(path, tmp_path):
    """And both train as one of four devices does from memory."""
    said = [p.communicate(timeout=200) for p in start(tmp_path, 4, str(path))]
    alone = weights(fully_in_memory(CONFIG, source=held(path)[0], devices=4))
    for i, (out, error) in enumerate(said):
        assert "samples read: 80\n" in out, error  # half of 40, in each of four epochs
        found = np.load(tmp_path / f"{i}.npz")
        for name, wanted in zip(found.files, alone, strict=True):
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-5)


# What can go wrong.


def damaged(path, tmp_path, value=None):
    """A copy in which one value of sample 5 is another: wrongly written by someone, or a flipped bit."""
    other = tmp_path / "damaged.h5"
    data = bytearray(path.read_bytes())
    if value is None:
        with opened(path) as file:
            offset = file["t0_fields/w"].id.get_chunk_info(5).byte_offset
        data[offset + 8] ^= 1
    other.write_bytes(data)
    if value is not None:
        with opened(other, "r+") as file:
            file["t0_fields/w"][5, 3] = value
    return other


def test_damage_is_found_at_once_or_when_it_is_met(path, tmp_path):
    flipped = damaged(path, tmp_path)
    with pytest.raises(DatasetError, match="t0_fields/w: samples 0 to 47 do not match their checksum"):
        FileSource(flipped)
    with pytest.raises(DatasetError, match=r"damaged.h5: t0_fields/w: samples 4 to 5 do not match"):
        run((FileSource(flipped, verify=False, memory=4 * STEP), None))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_reaches_the_model(path, tmp_path, value):
    poisoned = damaged(path, tmp_path, value)
    with pytest.raises(DatasetError, match="sample 5 holds NaN or infinity"):
        FileSource(poisoned)
    with pytest.raises(DatasetError, match=r"damaged.h5: t0_fields/w: sample 5 holds NaN or infinity"):
        run((FileSource(poisoned, verify=False, memory=4 * STEP), None))


def test_changed_values_are_found_by_their_hash(path, tmp_path):
    with pytest.raises(DatasetError, match="do not match their sha256"):
        FileSource(damaged(path, tmp_path, 0.5))


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("change", [cut, lambda p: os.utime(p, ns=(1, 1)), lambda p: stored(p.with_name("new"), 50).replace(p),
                                    lambda p: p.unlink()])
def test_a_file_that_changes_while_it_is_read(path, tmp_path, change):
    own = tmp_path / "own.h5"
    own.write_bytes(path.read_bytes())
    train, _ = streamed(own)
    train.read(np.arange(3))
    change(own)
    with pytest.raises(DatasetError, match=r"own.h5.*(was changed after it was opened|cannot be found any more)"):
        run((train, None))


def test_hostile_files_are_refused_as_the_reader_does(path, tmp_path):
    other = tmp_path / "hostile.h5"
    other.write_bytes(path.read_bytes())
    with opened(other, "r+") as file:
        del file["t0_fields/w"]
        file["t0_fields/w"] = __import__("h5py").ExternalLink(str(path), "t0_fields/w")
    with pytest.raises(DatasetError, match="external link"):
        FileSource(other)
    cut(other)
    with pytest.raises(DatasetError, match="hostile.h5"):
        FileSource(other)
    with pytest.raises(DatasetError, match="no such file"):
        FileSource(tmp_path / "none.h5")


def test_members_dealt_to_devices_are_trained_from_memory(path):
    members = jax.tree.map(lambda *v: jnp.stack(v), model(0), model(1))
    with pytest.raises(UsageError, match="one on the devices"):
        run(streamed(path), dataclasses.replace(CONFIG, seed=(0, 1)), devices=2, model=members, parallel="members")


def test_too_little_memory_and_no_grain(path, monkeypatch):
    with pytest.raises(UsageError, match=f"at least {2 * STEP} bytes, two batches"):
        run((FileSource(path, memory=2 * STEP - 1), None))
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(UsageError, match=r"pip install 'pdesurr\[scale\]'"):
        FileSource(path)


LARGE = """
import re, sys
from pathlib import Path
import jax, numpy as np
sys.path.insert(0, {tests!r})
import test_train as small
from pdesurr.data.streaming import FileSource
from pdesurr.objectives import relative_l2

def now(name):
    return int(re.search(name + r":\\s*(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024

def train(path, config):
    source = FileSource(path, memory={memory})
    source.scalers()
    return small.fit(small.model(), source, relative_l2, config, devices=jax.devices()[:1])

config = small.dataclasses.replace(small.CONFIG, epochs=1)
for _ in range(2):  # what compiling needs
    train(sys.argv[1], config)
Path("/proc/self/clear_refs").write_text("5")
before = now("VmRSS")
assert np.isfinite(train(sys.argv[2], config).history[0]["loss"])
print(now("VmHWM") - before)
"""


def test_memory_is_bounded_by_what_was_asked_not_by_the_file(tmp_path, child_env):
    limit = 64 * 2**20
    info = DatasetInfo("line", "Line", line_grid(16384, "periodic"), (Field("u"), Field("w")), (("u", None),), (("w", None),))
    values = np.random.default_rng(0).standard_normal((64, 16384)).astype("float32")
    for name, count in (("small", 1), ("large", 33)):
        write_dataset(tmp_path / name, info, ({"u": values + i, "w": values - i} for i in range(count)))
    assert (tmp_path / "large").stat().st_size >= 4 * limit
    script = LARGE.format(tests=str(Path(__file__).parent), memory=8 * 2**20)
    found = subprocess.run([sys.executable, "-c", script, str(tmp_path / "small"), str(tmp_path / "large")],
                           env=child_env | {"MALLOC_ARENA_MAX": "1"}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < limit
