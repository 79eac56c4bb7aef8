"""Evolutions: a step repeated, space-time models, windows of trajectories, one scale for all records, wrapped models in bundles."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_surrogates import edit_json, rehash

from pdesurr import metrics
from pdesurr.checks import BundleError, UsageError
from pdesurr.data.augment import AugmentedSource
from pdesurr.data.scaling import ChannelScaler, Scaled, pooled_scalers
from pdesurr.data.sources import ArraySource
from pdesurr.data.windows import WindowSource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.fields.symmetries import reflection
from pdesurr.models import FNO, RollOut, SpaceTime
from pdesurr.objectives import RolledOut, StepwiseL2, relative_l2
from pdesurr.surrogates import Channel, Spec, Surrogate, load_surrogate, save_surrogate
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Samples, apply

GRID = Grid([FourierBasis(16)])
HISTORY, COMPONENTS, RECORDS = 3, 2, 12


class Step(eqx.Module):
    """The next record: each component a combination of all those in the window, moved one node on."""

    weight: jax.Array

    def __call__(self, a, x=None, *, key=None):
        noise = 0.0 if key is None else jax.random.normal(key, (1, 2), a.values.dtype)
        return jnp.tanh(jnp.roll(a.values @ self.weight, 1, 0)) + noise


def step():
    return Step(jax.random.normal(jax.random.key(1), (HISTORY * COMPONENTS, COMPONENTS)))


def fno(key=0, **more):
    return FNO(HISTORY * COMPONENTS, COMPONENTS, (4,), 6, 2, head_width=8, key=jax.random.key(key), **more)


def window(n=4):
    return jax.random.normal(jax.random.key(2), (n, 16, HISTORY * COMPONENTS))


def trajectories(n=6):
    """Two waves, one twice as fast, of other sizes about other means."""
    x, t = GRID.bases[0].nodes, np.arange(RECORDS)
    phase = np.random.default_rng(0).uniform(0, 6, (n, 1, 1))
    waves = [3 + 0.5 * np.sin(x[None, :, None] - 0.3 * t + phase), 40 * np.cos(x[None, :, None] - 0.6 * t + phase)]
    return np.stack(waves, axis=-1).reshape(n, 16, -1).astype(np.float32)


def by_hand(model, a, steps, residual=False):
    """The loop, in Python, of one sample."""
    records = []
    for _ in range(steps):
        record = model(Samples(GRID, a), GRID)
        records.append(record + a[..., -COMPONENTS:] if residual else record)
        a = jnp.concatenate([a[..., COMPONENTS:], records[-1]], -1)
    return jnp.concatenate(records, -1)


# The step repeated.


@pytest.mark.parametrize("residual", [False, True])
def test_it_is_the_step_repeated(residual):
    model = RollOut(step(), 5, COMPONENTS, residual)
    wanted = jnp.stack([by_hand(model.model, a, 5, residual) for a in window()])
    np.testing.assert_allclose(apply(model, Samples(GRID, window()), GRID), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eqx.filter_jit(model)(Samples(GRID, window()[1])), wanted[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.with_steps(1)(Samples(GRID, window()[0])), wanted[0, :, :2], rtol=1e-5, atol=1e-6)


def test_records_follow_one_another_with_their_components_side_by_side():
    double = lambda a, x=None, *, key=None: a.values[..., -2:] * jnp.asarray([2.0, 3.0])[None]  # noqa: E731
    u = RollOut(double, 4, COMPONENTS)(Samples(GRID, jnp.ones((16, 4))))
    np.testing.assert_array_equal(u[0], [2, 3, 4, 9, 8, 27, 16, 81])


def test_its_gradient_is_the_loop_s():
    def gradient(call):
        return eqx.filter_jit(eqx.filter_grad(lambda m, a: jnp.sum(call(m, a) ** 2)))(fno(), window()[0])

    ours = gradient(lambda m, a: RollOut(m, 4, COMPONENTS)(Samples(GRID, a)))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(gradient(lambda m, a: by_hand(m, a, 4))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.max(jnp.abs(b))))


def test_a_key_is_another_for_every_step():
    a, still = Samples(GRID, window()[0]), Step(jnp.zeros((HISTORY * COMPONENTS, COMPONENTS)))
    noisy = RollOut(still, 6, COMPONENTS)(a, key=jax.random.key(0)).reshape(16, 6, 2)
    assert len(np.unique(noisy[0])) == 12 and not RollOut(still, 6, COMPONENTS)(a).any()


@pytest.mark.slow
def test_memory_of_a_gradient_does_not_hold_every_step_s_insides():
    grid, steps, a = Grid([FourierBasis(64), FourierBasis(64)]), 20, jnp.ones((2, 64, 64, 1))
    model, others = eqx.partition(FNO(1, 1, (6, 6), 12, 3, head_width=24, key=jax.random.key(0)), eqx.is_array)

    def plain(m):
        def body(w, _):
            w = apply(m, Samples(grid, w), grid)
            return w, w

        return jax.lax.scan(body, a, None, length=steps)[1]

    def temporaries(call):
        compiled = jax.jit(jax.grad(lambda p: jnp.sum(call(eqx.combine(p, others)) ** 2))).lower(model).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    ours, once = (temporaries(lambda m, n=n: apply(RollOut(m, n), Samples(grid, a), grid)) for n in (steps, 1))
    assert ours < temporaries(plain) / 4 and ours < 3 * once


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: RollOut(step(), 0), "steps, components"),
        (lambda: RollOut(step(), 2, True), "steps, components"),
        (lambda: RollOut(step(), 2, 4)(Samples(GRID, window()[0])), "whole records of 4"),
        (lambda: RollOut(step(), 2, 3)(Samples(GRID, window()[0])), "an answer of one record"),
        (lambda: RollOut(step(), 2, 2)(Samples(GRID, window()[0]), GRID.with_shape(32)), "the input's own points"),
        (lambda: SpaceTime(step(), 2), "at least 3 records"),
        (lambda: SpaceTime(fno(), 3)(Samples(jnp.zeros((9, 1)), jnp.zeros((9, 6)))), "time is one more of its axes"),
        (lambda: SpaceTime(lambda a, x=None, *, key=None: a.values, 4)(Samples(GRID, window()[0])), "an answer of 1 channels"),
        (lambda: WindowSource(trajectories(), GRID, 3, 1, 5), "records of 5 channels"),
        (lambda: WindowSource(trajectories(), GRID, 7, 6, 2), "at least 7 [+] 6 records"),
        (lambda: WindowSource(trajectories(), GRID, 7, 5, 2, size=7), "from 1 to the 6 windows"),
        (lambda: WindowSource(trajectories() * np.nan, GRID, 1, 1), "finite"),
        (lambda: pooled_scalers(trajectories(), trajectories(), 5), "whole records of 5"),
        (lambda: metrics.stepwise_l2(window()[0], window()[0], GRID, 4), "whole records of 4"),
        (lambda: StepwiseL2(0), "components"),
        (lambda: RolledOut(0), "steps, components"),
        (lambda: RolledOut(1, noise=-1.0), "noise"),
        (lambda: RolledOut(3, 2)(step(), pairs(2), None), "outputs of 3 records, 6 channels"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call()


# Space and time.


def test_space_time_repeats_the_input_and_orders_the_answer():
    def model(a, x=None, *, key=None):
        assert x is not None and x == a.points and x.names == ("x", "t")
        t = jnp.asarray(x.bases[1].nodes, jnp.float32)[None, :, None]
        return jnp.concatenate([a.values[..., :1] + t, a.values[..., 1:2] * t], -1)

    a = window()[0]
    u = SpaceTime(model, 3, COMPONENTS)(Samples(GRID, a))
    for k, t in enumerate((0.0, 0.5, 1.0)):
        np.testing.assert_allclose(u[:, 2 * k], a[:, 0] + t, rtol=1e-6)
        np.testing.assert_allclose(u[:, 2 * k + 1], a[:, 1] * t, rtol=1e-6)


@pytest.mark.slow
def test_more_records_within_the_same_horizon():
    """The shared records agree, to the quadrature of the time axis: better with more nodes."""
    inner = FNO(2, 1, (4, 3), 6, 2, head_width=8, coordinates=(False, True), key=jax.random.key(0))
    a = Samples(GRID, jnp.cos(jnp.asarray(GRID.nodes, jnp.float32)) * jnp.ones((1, 2)))
    records = [SpaceTime(inner, 9).with_steps(8 * f + 1)(a)[:, ::f] for f in (1, 2, 4, 8)]
    gaps = [float(jnp.max(jnp.abs(b - c))) for b, c in zip(records, records[1:], strict=False)]
    assert gaps[2] < gaps[1] / 2 < gaps[0] / 4 and gaps[2] < 0.02 * float(jnp.max(jnp.abs(records[-1])))


# Objectives.


def pairs(steps):
    u = trajectories()[..., : (HISTORY + steps) * COMPONENTS]
    cut = HISTORY * COMPONENTS
    return Batch(Samples(GRID, jnp.asarray(u[..., :cut])), Samples(GRID, jnp.asarray(u[..., cut:])))


def test_errors_by_step_and_of_the_whole():
    model, data = RollOut(step(), 4, COMPONENTS), pairs(4)
    fading = data.output.values * jnp.repeat(0.1 ** jnp.arange(4.0), COMPONENTS)[None, None]
    data = Batch(data.input, Samples(GRID, fading))
    loss, found = StepwiseL2(COMPONENTS)(model, data, None)
    u, truth = apply(model, data.input, GRID), data.output.values
    parts = [[metrics.relative_l2(v[:, i : i + 2], w[:, i : i + 2], GRID) for i in (0, 2, 4, 6)] for v, w in zip(u, truth, strict=True)]
    np.testing.assert_allclose(loss, np.mean(parts), rtol=1e-5)
    np.testing.assert_allclose(found["relative_l2"], relative_l2(model, data, None)[0], rtol=1e-5)
    assert found["stepwise_l2"] == loss and abs(float(loss - found["relative_l2"])) > 1e-3


def test_a_rolled_out_step_is_a_roll_out_s_loss():
    for residual in (False, True):
        ours = RolledOut(4, COMPONENTS, residual=residual)(step(), pairs(4), jax.random.key(0))[0]
        key = jax.random.split(jax.random.key(0))[0]
        np.testing.assert_allclose(ours, StepwiseL2(COMPONENTS)(RollOut(step(), 4, COMPONENTS, residual), pairs(4), key)[0], rtol=1e-6)


@pytest.mark.slow
def test_pushforward_is_the_last_step_from_states_held_fixed():
    data = pairs(3)
    reached = jnp.concatenate([data.input.values, apply(RollOut(fno(), 2, COMPONENTS), data.input, GRID)], -1)[..., 4:]
    last = Batch(Samples(GRID, reached), Samples(GRID, data.output.values[..., -2:]))
    pushed, fixed, through = (
        eqx.filter_value_and_grad(lambda m, o=o, d=d: o(m, d, None)[0])(fno())
        for o, d in ((RolledOut(3, COMPONENTS, pushforward=True), data), (RolledOut(1, COMPONENTS), last), (RolledOut(3, COMPONENTS), data))
    )
    for a, b in zip(jax.tree.leaves(pushed), jax.tree.leaves(fixed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not np.allclose(pushed[1].head[1].bias, through[1].head[1].bias)


def test_noise_comes_with_a_key_and_in_the_size_of_each_component():
    class Seen(eqx.Module):
        def __call__(self, a, x=None, *, key=None):
            return a.values[..., -COMPONENTS:]

    grid = Grid([FourierBasis(4096)])
    a = jnp.tile(jnp.cos(jnp.asarray(grid.nodes, jnp.float32))[None] * jnp.asarray([1.0, 50.0])[None, None], (2, 1, 1))
    for component in (0, 1):  # the other is made zero, and weighs nothing
        only = a * jnp.eye(2)[component][None, None]
        batch, objective = Batch(Samples(grid, only), Samples(grid, only)), RolledOut(1, COMPONENTS, noise=0.1)
        assert objective(Seen(), batch, None)[0] == 0
        np.testing.assert_allclose(objective(Seen(), batch, jax.random.key(0))[0], 0.1, rtol=0.05)
        assert objective(Seen(), batch, jax.random.key(0))[0] != objective(Seen(), batch, jax.random.key(1))[0]


# Windows and scales.


def test_windows_are_slices_of_the_trajectories():
    u, steps = trajectories(), 2
    source = WindowSource(u, GRID, HISTORY, steps, COMPONENTS)
    assert (source.starts, source.size) == (RECORDS - HISTORY - steps + 1, 6 * 8)
    batch = source.take(jnp.arange(source.size))
    for i, (a, b) in enumerate(zip(batch.input.values, batch.output.values, strict=True)):
        trajectory, start = divmod(i, source.starts)
        records = u[trajectory].reshape(16, RECORDS, COMPONENTS)[:, start : start + HISTORY + steps].reshape(16, -1)
        np.testing.assert_array_equal(np.concatenate([a, b], -1), records)
    plan = [np.asarray(source.plan(jax.random.key(0), jnp.asarray(e))) for e in (0, 1)]
    assert sorted(plan[0]) == sorted(plan[1]) == list(range(48)) and not np.array_equal(plan[0], plan[1])


def test_an_epoch_of_some_windows_sees_all_of_them_in_time():
    source = AugmentedSource(WindowSource(trajectories(), GRID, HISTORY, 2, COMPONENTS, size=8), (reflection,))
    plans = np.stack([source.plan(jax.random.key(0), jnp.asarray(e)) for e in range(150)])
    assert plans.shape == (150, 8) and all(len(set(p)) == 8 for p in plans)
    images = source.take(jnp.asarray(np.unique(plans))).input.values
    plain = np.asarray(source.base.take(jnp.arange(48)).input.values)
    seen = {i for i, v in enumerate(plain) if any(np.array_equal(v, w) for w in np.asarray(images))}
    assert len(images) == 96 and len(seen) == 48


@pytest.mark.slow
@pytest.mark.parametrize("objective", [RolledOut(2, COMPONENTS), RolledOut(2, COMPONENTS, pushforward=True)], ids=["through", "pushed"])
def test_sharded_is_single(objective):
    source = AugmentedSource(WindowSource(trajectories(), GRID, HISTORY, 2, COMPONENTS, size=16), (reflection,))
    config = TrainConfig(epochs=2, batch_size=8)
    inputs, outputs = np.split(trajectories(4), [HISTORY * COMPONENTS], -1)
    whole = ArraySource(inputs, outputs, GRID)
    one, four = (fit(fno(), source, objective, config, validate=whole, validation_objective=RolledOut(9, COMPONENTS),
                     devices=jax.devices()[:k]) for k in (1, 4))
    np.testing.assert_allclose(one.best_metric, four.best_metric, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(four.state.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_scales_are_those_of_all_records_of_a_component():
    u = trajectories()
    inputs, outputs = np.split(u, [HISTORY * COMPONENTS], -1)
    first, second = pooled_scalers(inputs, outputs, COMPONENTS)
    assert first.mean == second.mean[:2] * HISTORY and first.std == second.std[:2] * HISTORY and len(second.std) == 2 * 9
    np.testing.assert_allclose(first.mean[:2], [u[..., 0::2].mean(), u[..., 1::2].mean()], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(first.std[:2], [u[..., 0::2].std(), u[..., 1::2].std()], rtol=1e-4)
    about_zero, one = pooled_scalers(inputs, outputs, COMPONENTS, centre=False, steps=1)
    assert set(about_zero.mean) == {0.0} and one.std == about_zero.std[:2]
    np.testing.assert_allclose(one.std[0], np.sqrt((u[..., 0::2] ** 2).mean()), rtol=1e-5)
    assert pooled_scalers(0 * inputs, 0 * outputs)[0].std[0] == 1.0


# The two ways to train, and what they leave behind.


def test_one_step_training_is_validated_by_the_roll_out_it_is_for(tmp_path):
    inputs, outputs = np.split(trajectories(), [HISTORY * COMPONENTS], -1)
    scalers = pooled_scalers(inputs, outputs, COMPONENTS, steps=1)
    source, whole = WindowSource(trajectories(), GRID, HISTORY, 1, COMPONENTS), ArraySource(inputs, outputs, GRID)
    result = fit(Scaled(fno(), *scalers), source, RolledOut(1, COMPONENTS, noise=0.01),
                 TrainConfig(epochs=20, batch_size=8, learning_rate=1e-2), validate=whole, validation_objective=RolledOut(9, COMPONENTS),
                 devices=jax.devices()[:1])
    rolled = Scaled(RollOut(result.model.model, 9, COMPONENTS), *pooled_scalers(inputs, outputs, COMPONENTS))
    batch = whole.take(jnp.arange(6))
    best = float(StepwiseL2(COMPONENTS)(rolled, batch, None)[0])
    untrained = Scaled(RollOut(fno(), 9, COMPONENTS), rolled.input, rolled.output)
    assert best < 0.25 * float(StepwiseL2(COMPONENTS)(untrained, batch, None)[0])
    np.testing.assert_allclose(best, result.best_metric, rtol=1e-3)
    surrogate = Surrogate(rolled, spec(6, 18))
    loaded = load_surrogate(save_surrogate(surrogate, tmp_path / "bundle"))
    np.testing.assert_array_equal(loaded(batch.input.values), surrogate(batch.input.values))


def test_training_through_all_steps_is_fit_of_a_roll_out():
    inputs, outputs = np.split(trajectories(), [HISTORY * COMPONENTS], -1)
    model = Scaled(RollOut(fno(), 9, COMPONENTS), *pooled_scalers(inputs, outputs, COMPONENTS))
    history = fit(model, ArraySource(inputs, outputs, GRID), StepwiseL2(COMPONENTS),
                  TrainConfig(epochs=60, batch_size=6, learning_rate=1e-2), devices=jax.devices()[:1]).history
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]


# Bundles.


def spec(inputs, outputs):
    ins, outs = (tuple(Channel(f"{side}{i}", None, "1", -5.0, 5.0) for i in range(c)) for side, c in (("a", inputs), ("u", outputs)))
    return Spec("imported", {}, GRID, ins, outs, (0.0, 100.0), {}, {}, {})


def surrogate_of(model, inputs, outputs):
    return Surrogate(Scaled(model, *(ChannelScaler((0.1,) * c, (1.5,) * c) for c in (inputs, outputs))), spec(inputs, outputs))


@pytest.fixture
def bundle(tmp_path):
    twice = RollOut(RollOut(fno(), 1, COMPONENTS, residual=True), 4, COMPONENTS)
    return save_surrogate(surrogate_of(twice, 6, 8), tmp_path / "bundle")


def test_wrapped_models_are_kept_whole(bundle, tmp_path):
    loaded = load_surrogate(bundle)
    again = load_surrogate(save_surrogate(loaded, tmp_path / "again"))
    np.testing.assert_array_equal(again(window()), loaded(window()))
    outer = loaded.model.model
    assert isinstance(outer, RollOut) and isinstance(outer.model, RollOut) and (outer.steps, outer.model.residual) == (4, True)
    kept = json.loads((bundle / "config.json").read_text())["arguments"]
    assert kept["steps"] == 4 and kept["model"]["arguments"]["model"]["class"] == "FNO"
    card = (bundle / "README.md").read_text()
    assert "Model: RollOut (model = RollOut (model = FNO (in_channels = 6, out_channels = 2" in card
    assert "{" not in card.split("## Error")[0]


def test_only_models_that_can_be_read_again_are_saved(tmp_path):
    deep = fno()
    for _ in range(3):
        deep = RollOut(deep, 1, COMPONENTS)
    impostor = type("FNO", (Step,), {"arguments": {}})(step().weight)
    odd = [(deep, "deeper than 3"), (RollOut(step(), 4, 2), "cannot save a Step"), (RollOut(impostor, 4, 2), "cannot save a FNO")]
    for model, words in odd:
        with pytest.raises(BundleError, match=words):
            save_surrogate(surrogate_of(model, 6, 8), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def inner(change):
    """An attack on the arguments of the innermost model."""
    return lambda config: change(config["arguments"]["model"]["arguments"]["model"])


def deeper(levels):
    def change(described):
        for _ in range(levels):
            inside = dict(described)
            described.clear()
            described.update({"class": "RollOut", "arguments": {"model": inside, "steps": 1, "components": 2, "residual": False}})

    return inner(change)


HOSTILE = {
    "unknown class": (inner(lambda m: m.update({"class": "os.system"})), "unknown model class 'os.system'"),
    "a class that is no name": (inner(lambda m: m.update({"class": ["FNO"]})), "unknown model class"),
    "unknown argument": (inner(lambda m: m["arguments"].update(hook="x")), "arguments: .*hook"),
    "a key": (inner(lambda m: m["arguments"].update(key=0)), "without 'key'"),
    "more than a model": (inner(lambda m: m.update(hook="x")), "not a table of a class and its arguments"),
    "arguments in a list": (inner(lambda m: m.update(arguments=[])), "without 'key'"),
    "enormous": (inner(lambda m: m["arguments"].update(width=10**9)), "beyond any real model"),
    "a table elsewhere": (inner(lambda m: m["arguments"].update(width={"class": "FNO", "arguments": {}})), "'width' is not a number"),
    "a model where none is taken": (inner(lambda m: m["arguments"].update(model=json.loads(json.dumps(m)))), "deeper than 3"),
    "a model in an FNO": (lambda c: c.update({"class": "FNO"}), "arguments: "),
    "a number for a model": (lambda c: c["arguments"].update(model=5), "'model' is not a table"),
    "no model": (lambda c: c["arguments"].pop("model"), "arguments: "),
    "steps of text": (lambda c: c["arguments"].update(steps="4"), "steps"),
    "no steps": (lambda c: c["arguments"].update(steps=0), "steps"),
    "other width": (inner(lambda m: m["arguments"].update(width=7)), "the model's is F32"),
    "four deep": (deeper(1), "deeper than 3"),
    "hundreds deep": (deeper(200), "deeper than 3"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_nested_models_are_refused_in_one_line(bundle, attack):
    change, words = HOSTILE[attack]
    edit_json(bundle, "config.json", change)
    with pytest.raises(BundleError, match=words) as error:
        load_surrogate(bundle)
    assert "\n" not in str(error.value) and str(bundle) in str(error.value)


def test_nesting_beyond_any_reader_is_one_error(bundle):
    text = '{"arguments": ' * 100_000 + "0" + "}" * 100_000
    edit_json(bundle, "config.json", lambda c: None)
    (bundle / "config.json").write_text(text)
    rehash(bundle)
    with pytest.raises(BundleError) as error:
        load_surrogate(bundle)
    assert "\n" not in str(error.value)
