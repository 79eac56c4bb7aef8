"""The training engine: devices, ensembles, exact resume, damaged checkpoints, failures."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr._runtime import Stopped, locked
from pdesurr.checks import CheckpointError, DivergedError, UsageError
from pdesurr.data.sources import ArraySource, PDESource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.models import FNO, MgNO, MoNO
from pdesurr.objectives import relative_l2
from pdesurr.pdes import Burgers
from pdesurr.train import TrainConfig, adamw, fit
from pdesurr.train.parallel import over_devices
from pdesurr.train.state import TrainState
from pdesurr.train.step import Engine, slow_in_loops
from pdesurr.types import Batch, Samples

GRID = Grid([FourierBasis(16)])
CONFIG = TrainConfig(epochs=4, batch_size=8, learning_rate=3e-3, checkpoint_seconds=0.0)


class Tiny(eqx.Module):
    """What the engine is tried on, quick to compile: a perceptron of a node's value and its neighbours'."""

    inner: jax.Array
    outer: jax.Array

    def __call__(self, a, x=None, *, key=None):
        near = jnp.concatenate([jnp.roll(a.values, k, 0) for k in (-1, 0, 1)], -1)
        return jnp.tanh(near @ self.inner) @ self.outer


def model(seed=0):
    inner, outer = jax.random.split(jax.random.key(seed))
    return Tiny(jax.random.normal(inner, (3, 8)), jax.random.normal(outer, (8, 1)))


def fno():
    return FNO(1, 1, (4,), 6, 2, head_width=8, coordinates=(False,), key=jax.random.key(0))


def source(n=32, seed=0):
    a = jax.random.normal(jax.random.key(seed), (n, 16, 1))
    return ArraySource(a, jnp.roll(a, 2, 1) ** 2, GRID)


def run(config=CONFIG, folder=None, devices=1, **more):
    return fit(more.pop("model", None) or model(), more.pop("source", None) or source(), relative_l2, config, validate=source(8, 1),
               folder=folder, devices=jax.devices()[:devices], **more)


def weights(result):
    return [np.asarray(v) for v in jax.tree.leaves(eqx.filter(result.state.params, eqx.is_array))]


def same(a, b, **tolerance):
    for x, y in zip(weights(a), weights(b), strict=True):
        if tolerance:
            np.testing.assert_allclose(x, y, **tolerance)
        else:
            np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def single():
    return run()


def test_a_result_is_one_line(single):
    assert repr(single).startswith(f"FitResult({type(single.model).__name__}, epochs={CONFIG.epochs}, best_metric=")
    assert len(repr(single)) < 150 and "\n" not in repr(single)


@pytest.mark.parametrize(("devices", "parallel"), [(2, "shard_map"), (4, "shard_map"), (8, "shard_map"), (4, "pmap")])
def test_devices_and_adapters_agree(single, devices, parallel):
    other = run(devices=devices, parallel=parallel)
    same(single, other, atol=2e-5)
    np.testing.assert_allclose(other.best_metric, single.best_metric, rtol=1e-4)


def engine_pieces():
    params, static = eqx.partition(fno(), eqx.is_inexact_array)
    data = source(8)
    engine = Engine(static, relative_l2, adamw(10), 0.9)
    return params, data, engine


def test_accumulated_gradients_are_those_of_the_whole_batch(single):
    same(single, run(dataclasses.replace(CONFIG, accumulate=2)), rtol=0, atol=1e-6)
    same(single, run(dataclasses.replace(CONFIG, accumulate=2), devices=2), rtol=0, atol=1e-6)
    with pytest.raises(UsageError, match="times accumulate=4"):
        run(dataclasses.replace(CONFIG, accumulate=4), devices=4)


def test_gradients_over_devices_are_the_single_devices(x64):
    params, data, engine = engine_pieces()
    numbers = jnp.arange(8)
    call = lambda p, s, n: engine.loss_and_gradient(p, s.take(n), None)  # noqa: E731
    found = [over_devices(call, jax.devices()[:k], (None, None, 0))(params, data, numbers) for k in (1, 2, 4, 8)]
    plain = jax.jit(jax.value_and_grad(lambda p: relative_l2(eqx.combine(p, engine.static), data.take(numbers), None)[0]))(params)
    for other in found:
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_model_that_convolves_is_trained_step_by_step_on_a_cpu():
    """A loop of its steps takes several times as long (see `slow_in_loops`); what it learns is the same."""
    config, data = TrainConfig(epochs=2, batch_size=8), source(16)
    net = MgNO(1, 1, (16,), 4, 1, key=jax.random.key(0))
    one = fit(net, data, relative_l2, config, devices=jax.devices()[:1])
    engine = Engine(eqx.partition(net, eqx.is_inexact_array)[1], relative_l2, adamw(4), config.ema_decay, None)
    state = TrainState.create(eqx.filter(net, eqx.is_inexact_array), adamw(4), jax.random.key(0), jnp.asarray(1e-3))
    numbers = jnp.arange(16, dtype=jnp.int32).reshape(2, 8)
    assert slow_in_loops(jax.make_jaxpr(lambda s: engine.segment(s, data, numbers))(state).jaxpr)
    assert not slow_in_loops(jax.make_jaxpr(lambda v: fno()(Samples(data.grid, v)))(data.inputs[0]).jaxpr)
    whole, _ = engine.segment(state, data, numbers)
    for n in numbers:
        state, metrics = engine.segment(state, data, n[None])
    for x, y in zip(jax.tree.leaves(whole.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    assert len(one.history) == 2 and np.isfinite(metrics["loss"])


def test_compiled_step_gathers_nothing():
    """On jax 0.10 and 0.11 plain jit would gather the batch at every FFT."""
    params, data, engine = engine_pieces()
    call = over_devices(lambda p, s, n: engine.loss_and_gradient(p, s.take(n), None), jax.devices()[:4], (None, None, 0))
    text = call.lower(params, data, jnp.arange(8)).compile().as_text()
    assert "all-gather" not in text and "all-to-all" not in text
    assert len(re.findall(r" all-reduce(?:-start)?\(", text)) == 1  # the loss and all gradients together


def test_ensemble_members_are_single_runs(single):
    config = dataclasses.replace(CONFIG, seed=(0, 1))
    members = fit(jax.tree.map(lambda *v: jnp.stack(v) if eqx.is_array(v[0]) else v[0], model(0), model(1)), source(), relative_l2, config,
                  validate=source(8, 1), devices=jax.devices()[:2])
    alone = run(dataclasses.replace(CONFIG, seed=1), model=model(1))
    for i, other in enumerate((single, alone)):
        for x, y in zip(weights(members), weights(other), strict=True):
            np.testing.assert_allclose(x[i], y, atol=2e-5)
    assert members.best_metric.shape == (2,)


def test_learning_rates_as_an_ensemble_axis(single):
    config = dataclasses.replace(CONFIG, learning_rate=(3e-3, 1e-4))
    stacked = jax.tree.map(lambda v: jnp.stack([v, v]) if eqx.is_array(v) else v, model())
    members = run(config, model=stacked)
    for x, y in zip(weights(members), weights(single), strict=True):
        np.testing.assert_allclose(x[0], y, atol=2e-5)
    assert any(not np.allclose(x[0], x[1], atol=1e-4) for x in weights(members))


class Bomb:
    """A source that lets so many plans pass, then raises: a crash at a chosen epoch."""

    def __init__(self, epochs):
        self.left = epochs

    def __call__(self, *_):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 3])
def test_resume_is_bit_identical(single, tmp_path, after, monkeypatch):
    from pdesurr.train import loop

    bomb, epoch = Bomb(after), loop._Run._epoch
    monkeypatch.setattr(loop._Run, "_epoch", lambda self, *a: (bomb(), epoch(self, *a))[1])
    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path)
    monkeypatch.undo()
    resumed = run(folder=tmp_path)
    same(single, resumed)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in lines] == [1, 2, 3, 4]
    assert [r["loss"] for r in lines] == [r["loss"] for r in single.history]
    same(single, run(folder=tmp_path))  # finished: nothing left to do


def test_sigterm_saves_in_the_middle_of_an_epoch_and_resumes(tmp_path, monkeypatch):
    from pdesurr.train import loop, parallel

    monkeypatch.setattr(loop, "LONGEST_SEGMENT", 1)
    whole = run()
    calls, original = [], parallel.over_devices

    def counting(*args, **kwargs):
        compiled = original(*args, **kwargs)

        def call(*a):
            calls.append(1)
            if len(calls) == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return compiled(*a)

        return call

    monkeypatch.setattr(parallel, "over_devices", counting)
    with pytest.raises(Stopped) as stop:
        run(folder=tmp_path)
    assert stop.value.exit_code == 143
    monkeypatch.setattr(parallel, "over_devices", original)
    same(whole, run(folder=tmp_path))


@pytest.mark.parametrize("file", ["state.safetensors", "info.json"])
def test_one_flipped_bit_in_the_newest_checkpoint(single, tmp_path, file):
    run(folder=tmp_path)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1] / file
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    with pytest.warns(UserWarning, match="does not match its sha256.*falling back"):
        same(single, run(folder=tmp_path))


def test_no_sound_checkpoint_is_an_error(tmp_path):
    run(folder=tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        (path / "state.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="no checkpoint is sound"):
        run(folder=tmp_path)


def test_another_run_in_the_folder_is_refused(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"another run: learning_rate 0.003, not 0.001"):
        run(dataclasses.replace(CONFIG, learning_rate=1e-3), tmp_path)
    with locked(tmp_path), pytest.raises(UsageError, match="in use by process"):
        run(folder=tmp_path)


def exploding(at):
    """An objective whose loss is not finite for batches that hold sample values above a threshold."""

    def objective(m, batch, key):
        loss, metrics = relative_l2(m, batch, key)
        return jnp.where(jnp.max(batch.input.values) > at, jnp.nan, loss), metrics

    return objective


def poisoned():
    data = source()
    return ArraySource(data.inputs.at[5, 0, 0].set(100.0), data.outputs, GRID)


def test_on_bad_raise_names_the_step_and_samples():
    with pytest.raises(DivergedError, match=r"not finite at step \d+ \(samples \["):
        fit(model(), poisoned(), exploding(50), CONFIG, devices=jax.devices()[:1])


def test_on_bad_skip_drops_updates_and_gives_up_after_max_bad():
    config = dataclasses.replace(CONFIG, on_bad="skip")
    result = fit(model(), poisoned(), exploding(50), config, devices=jax.devices()[:1])
    assert int(result.state.bad_steps) == 4 and all(np.isfinite(w).all() for w in weights(result))
    assert all(np.isfinite(r["loss"]) for r in result.history)
    with pytest.raises(DivergedError, match="max_bad is 2"):
        fit(model(), poisoned(), exploding(50), dataclasses.replace(config, max_bad=2), devices=jax.devices()[:1])


def test_on_bad_rollback_halves_the_learning_rate():
    config = dataclasses.replace(CONFIG, on_bad="rollback", learning_rate=1e30, clip_norm=1e30, warmup=0.0, weight_decay=0.0)
    with pytest.raises(DivergedError, match="lower learning_rate"):
        fit(model(), source(), relative_l2, config, devices=jax.devices()[:1])
    with pytest.raises(DivergedError):
        fit(model(), poisoned(), exploding(50), dataclasses.replace(CONFIG, on_bad="rollback"), devices=jax.devices()[:1])


def test_a_stream_of_fresh_samples_trains_and_shards():
    pde = Burgers(nu=0.5)
    stream = PDESource(pde, pde.grid(64), 16, seed=3)
    batch = stream.take(jnp.arange(4))
    assert isinstance(batch, Batch) and isinstance(batch.input, Samples)
    np.testing.assert_array_equal(stream.take(jnp.asarray([2])).input.values[0], batch.input.values[2])
    config = dataclasses.replace(CONFIG, epochs=2)
    one, two = (fit(model(), stream, relative_l2, config, devices=jax.devices()[:k]) for k in (1, 2))
    same(one, two, atol=2e-5)
    assert not np.array_equal(stream.plan(jax.random.key(0), jnp.asarray(0)), stream.plan(jax.random.key(0), jnp.asarray(1)))


def test_a_pde_no_route_of_which_is_right_is_refused(monkeypatch):
    pde = Burgers(nu=0.001)  # Cole-Hopf cannot be right at this viscosity
    monkeypatch.setattr(Burgers, "routes", ("cole_hopf",))
    with pytest.raises(UsageError, match="no reference route is right for all of 8 samples"):
        PDESource(pde, pde.grid(16), 16, seed=0, draws=8)


@pytest.mark.parametrize(("change", "words"), [
    ({"batch_size": 6}, "a multiple of the 4 devices"), ({"batch_size": 64}, "from 1 to 32"), ({"epochs": 0}, "epochs"),
    ({"learning_rate": 0.0}, "learning_rate"), ({"on_bad": "ignore"}, "on_bad"), ({"ema_decay": 1.0}, "ema_decay"),
    ({"batch_size": 0}, "batch_size"), ({"warmup": 1.0}, "warmup"), ({"clip_norm": 0.0}, "clip_norm"), ({"accumulate": 0}, "accumulate"),
    ({"learning_rate": ()}, "learning_rate"), ({"seed": (0, 1), "learning_rate": (1e-3, 1e-3, 1e-3)}, "as many as seeds"),
])
def test_bad_settings_are_named(change, words):
    with pytest.raises((UsageError, TypeCheckError), match=words):
        run(dataclasses.replace(CONFIG, **change), devices=4)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("source", (np.zeros((32, 16, 1)),) * 2, r"ArraySource\(data.inputs, data.outputs, data.grid\)$"), ("validate", GRID, "validate: "),
    ("model", FNO, "model: "), ("optimiser", "adamw", "(?s)optimiser.*optax.*GradientTransformation"),
])
def test_what_cannot_be_trained_with_is_named(name, value, words):
    with pytest.raises((UsageError, TypeCheckError), match=words):
        fit(**{"model": model(), "source": source(), "objective": relative_l2, "config": CONFIG, name: value})


def test_samples_that_are_no_numbers_are_counted():
    inputs = np.zeros((5, 16, 1), np.float32)
    inputs[3:, 2] = np.nan
    with pytest.raises(UsageError, match="inputs: .* in 2 of 5 samples, the first is sample 3; repair or drop"):
        ArraySource(inputs, inputs, GRID)


@pytest.mark.slow
def test_kill_minus_nine_ten_times(tmp_path, child_env):
    """Killed at ten random moments, training ends with the same bits as if it had not been."""
    run_cli = [sys.executable, "-m", "pdesurr"]
    subprocess.run([*run_cli, "generate", "burgers_jmlr", "--out", str(tmp_path / "set.h5"), "--samples", "400", "--resolution", "256"],
                   check=True, env=child_env, capture_output=True)
    train = [*run_cli, "train", str(tmp_path / "set.h5"), "--modes", "12", "--width", "32", "--epochs", "60", "--checkpoint-seconds", "0.3"]
    subprocess.run([*train, "--out", str(tmp_path / "whole")], check=True, env=child_env, capture_output=True)
    rng, killed = np.random.default_rng(0), tmp_path / "killed"
    for _ in range(10):
        process = subprocess.Popen([*train, "--out", str(killed)], env=child_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(4.0, 10.0))
        process.kill()
        process.wait()
    subprocess.run([*train, "--out", str(killed)], check=True, env=child_env, capture_output=True)
    newest = [sorted((folder / "checkpoints").iterdir())[-1] / "state.safetensors" for folder in (tmp_path / "whole", killed)]
    assert newest[0].read_bytes() == newest[1].read_bytes()
    assert (tmp_path / "whole/bundle/model.safetensors").read_bytes() == (killed / "bundle/model.safetensors").read_bytes()


def test_an_ensemble_of_models_with_fixed_numbers_is_refused():
    make = eqx.filter_vmap(lambda k: MoNO(1, 1, (3,), 4, 1, codes=2, head_width=4, key=k))
    with pytest.raises(UsageError, match="one by one"):
        run(dataclasses.replace(CONFIG, seed=(0, 1)), model=make(jax.random.split(jax.random.key(0), 2)))
