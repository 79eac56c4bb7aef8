"""Fields dealt to devices: the same answers and gradients as on one, by two exchanges a layer."""

import dataclasses
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from pdesurr._runtime import Stopped
from pdesurr.checks import CheckpointError, UsageError
from pdesurr.data.sources import ArraySource
from pdesurr.fields import FourierBasis, Grid, SplitGrid, StencilField, UniformBasis, d
from pdesurr.fields.split import SPACE, Split, halo
from pdesurr.models import FNO, RollOut
from pdesurr.nn.convolution import convolve
from pdesurr.objectives import relative_l2
from pdesurr.pdes import NavierStokes
from pdesurr.solvers import etdrk
from pdesurr.train import TrainConfig, adamw, checkpoint, fit
from pdesurr.train.loop import _Run
from pdesurr.train.shards import ShardedSaver
from pdesurr.train.slices import Sliced, SlicedLayout, mesh_of
from pdesurr.train.step import Engine
from pdesurr.types import Samples, parameter_count

TORUS, WALLS = Grid([FourierBasis(16), FourierBasis(18)]), Grid([UniformBasis(16), UniformBasis(12), FourierBasis(10)])


def model(grid, depth=2, modes=4):
    return FNO(1, 2, (modes,) * grid.ndim, 6, depth, head_width=8, coordinates=(True,) * grid.ndim, key=jax.random.key(0))


def sliced(net, parts=4):
    return Sliced(net, mesh_of(jax.devices()[:4], parts))


def collectives(function, *args):
    """How often each exchange stands in the compiled program."""
    lines = eqx.filter_jit(function).lower(*args).compile().compiled.as_text().splitlines()
    kinds = ("all-to-all", "all-gather", "all-reduce", "collective-permute", "reduce-scatter")
    return {k: n for k in kinds if (n := sum(f" {k}(" in line or f" {k}-start(" in line for line in lines))}


@pytest.mark.parametrize("grid", [TORUS, pytest.param(WALLS, marks=pytest.mark.slow)], ids=["torus", "walls in three dimensions"])
def test_answers_and_gradients_are_those_of_one_device(grid, x64):
    net = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, model(grid))
    a = jax.random.normal(jax.random.key(1), (2, *grid.shape, 1))
    loss = lambda answer: lambda net, v: jnp.sum(jnp.sin(answer(net)(Samples(grid, v, {}))))  # noqa: E731
    whole = eqx.filter_jit(eqx.filter_value_and_grad(loss(lambda net: net.batched)))(net, a)
    dealt = eqx.filter_jit(eqx.filter_value_and_grad(loss(lambda net: sliced(net).batched)))(net, a)
    for x, y in zip(jax.tree.leaves(dealt), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("depth", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_two_exchanges_a_layer_and_two_more_backward(depth):
    net, a = model(TORUS, depth), jnp.ones((2, *TORUS.shape, 1))
    answer = lambda net, v: sliced(net).batched(Samples(TORUS, v, {}))  # noqa: E731
    assert collectives(answer, net, a) == {"all-to-all": 2 * depth}
    both = collectives(eqx.filter_grad(lambda net, v: jnp.sum(answer(net, v) ** 2)), net, a)
    assert both.pop("all-to-all") == 4 * depth and set(both) == {"all-reduce"}  # the gradients of weights that all devices hold


@pytest.mark.parametrize(("grid", "modes", "words"), [(Grid([FourierBasis(14), FourierBasis(16)]), 4, "a multiple of 4 nodes"),
                                                      (TORUS, 3, "a multiple of the 4 devices")])
def test_what_does_not_divide_is_refused(grid, modes, words):
    with pytest.raises(UsageError, match=words):
        sliced(model(grid, modes=modes)).batched(Samples(grid, jnp.ones((1, *grid.shape, 1)), {}))


def small_source(n, seed):
    a = jax.random.normal(jax.random.key(seed), (n, *TORUS.shape, 1))
    return ArraySource(a, jnp.roll(a, 1, 1) ** 2, TORUS)


CONFIG = TrainConfig(epochs=2, batch_size=4)


def trained(net, devices, slices, config=CONFIG, **more):
    return fit(net, small_source(8, 0), relative_l2, config, validate=small_source(4, 1), devices=jax.devices()[:devices], slices=slices,
               **more)


def numbers(result):
    return [np.asarray(v) for v in jax.tree.leaves((result.state.params, result.state.opt_state, result.state.best_metric))]


@pytest.fixture(scope="module")
def net():
    return FNO(1, 1, (4, 4), 6, 2, head_width=8, key=jax.random.key(0))


@pytest.fixture(scope="module")
def alone(net):
    return numbers(trained(net, 1, 1))


@pytest.mark.parametrize(("devices", "slices"), [pytest.param(4, 4, marks=pytest.mark.slow), (4, 2)])
def test_training_on_slices_is_that_on_one_device(net, alone, devices, slices):
    for x, y in zip(numbers(trained(net, devices, slices)), alone, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_ensemble_and_a_roll_out_train_on_slices():
    config = dataclasses.replace(CONFIG, epochs=1, seed=(0, 1))
    one = lambda key: RollOut(FNO(1, 1, (4, 4), 6, 2, head_width=8, key=key), 1)  # noqa: E731
    members = eqx.filter_vmap(one)(jax.random.split(jax.random.key(0), 2))
    for x, y in zip(numbers(trained(members, 4, 2, config)), numbers(trained(members, 1, 1, config)), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)


def test_a_step_on_slices_moves_kept_modes_and_sums_alone(net):
    params, static = eqx.partition(net, eqx.is_inexact_array)
    layout, source = SlicedLayout(jax.devices()[:4], 2, params, False), small_source(4, 0)
    engine = Engine(static, layout.objective(relative_l2), adamw(10), 0.9, layout.mean_of)
    call = lambda p, s, n: engine.loss_and_gradient(p, s.take(n), None)  # noqa: E731
    found = collectives(call, params, layout.source(source), jnp.arange(4))
    assert found.pop("all-to-all") == 4 * len(net.blocks) and set(found) == {"all-reduce"}
    text = jax.jit(call).lower(params, layout.source(source), jnp.arange(4)).compile().as_text()
    assert text is not None
    shapes = [shape for line in text.splitlines() if " all-reduce(" in line
              for shape in re.findall(r"f32\[([\d,]*)\]", line.split(" all-reduce(")[0])]
    numbers = sum(math.prod(int(n) for n in shape.split(",") if n) for shape in shapes)
    assert numbers <= parameter_count(net) + 4 * TORUS.shape[0] * 2 + 32  # gradients, and the norms' sums; no field


def test_slices_refuse_what_they_cannot_deal(net):
    with pytest.raises(UsageError, match="a divisor of 4"):
        trained(net, 4, 3)
    with pytest.raises(UsageError, match="an FNO"):
        trained(eqx.nn.Linear(1, 1, key=jax.random.key(0)), 4, 2)


# Equations on a grid that is dealt out.


def test_a_navier_stokes_step_on_slices_is_that_on_one_device(x64):
    pde = NavierStokes()
    grid = pde.grid(20)
    dealt = SplitGrid(grid, jax.devices()[:4])
    w = pde.sample(jax.random.key(0), grid)[..., 0]

    def after(grid):  # the lowest order has all parts of a step
        step = etdrk(pde.semilinear(grid), 0.05, order=1)
        return jax.jit(jax.value_and_grad(lambda w: jnp.sum(jnp.sin(grid.inverse(step(grid.transform(w)))))))

    (whole, slope), (found, found_slope) = after(grid)(w), after(dealt)(dealt.place(w))
    np.testing.assert_allclose(found, whole, rtol=1e-12)
    np.testing.assert_allclose(found_slope, slope, rtol=0, atol=1e-12)
    step = etdrk(pde.semilinear(dealt), 0.05)
    assert collectives(step, dealt.transform(w)) == {"all-to-all": 4 * 4}  # of each stage two velocities, two products


@pytest.mark.slow
def test_navier_stokes_is_solved_on_slices_as_on_one_device(x64):
    pde = NavierStokes(nu=1e-2, horizon=0.2, intervals=1, history=1)
    grid = pde.grid(32)
    a = pde.sample(jax.random.key(0), grid)
    dealt = SplitGrid(grid, jax.devices()[:4])
    np.testing.assert_allclose(pde.solve(a, dealt), pde.solve(a, grid), rtol=0, atol=1e-12)
    loss = lambda grid: eqx.filter_jit(jax.grad(lambda a: jnp.sum(jnp.sin(pde.evolve(a, grid, (0.1,), 0.05)))))  # noqa: E731
    np.testing.assert_allclose(loss(dealt)(dealt.place(a)), loss(grid)(a), rtol=0, atol=1e-12)


def test_a_dealt_grid_transforms_as_a_whole_one(x64):
    grid = Grid([FourierBasis(8), FourierBasis(6), FourierBasis(10)])
    dealt, u = SplitGrid(grid, jax.devices()[:4]), jax.random.normal(jax.random.key(0), (8, 6, 10, 2))
    found = dealt.transform(u)
    np.testing.assert_allclose(found[:, :, :6], grid.transform(u), rtol=0, atol=1e-13)
    assert not np.any(found[:, :, 6:])
    np.testing.assert_allclose(dealt.inverse(found), u, rtol=0, atol=1e-13)
    np.testing.assert_allclose(dealt.norm_hat(found[..., 0], 1), grid.norm_hat(grid.transform(u[..., 0]), 1), rtol=1e-13)
    assert dealt.with_shape(16, 6, 10).split.parts == 4
    for wrong, words in ((Grid([FourierBasis(8)]), "two Fourier axes"), (Grid([FourierBasis(6), FourierBasis(8)]), "multiple of 4")):
        with pytest.raises(UsageError, match=words):
            SplitGrid(wrong, jax.devices()[:4])


@pytest.mark.parametrize("width", [1, 3])
def test_a_halo_is_what_a_roll_brings(x64, width):
    dealt = SplitGrid(Grid([FourierBasis(12), FourierBasis(6)]), jax.devices()[:4])
    u = jax.random.normal(jax.random.key(0), dealt.shape)

    def total(v):  # of every node with its neighbours, each times another number
        more = halo(v, width, 0, Split(SPACE, 4))
        return sum((k + 1.0) * more[k : k + v.shape[0]] for k in range(2 * width + 1))

    rolled = lambda v: sum((k + 1.0) * jnp.roll(v, width - k, 0) for k in range(2 * width + 1))  # noqa: E731
    parts = jax.jit(dealt.on_slices(total))
    np.testing.assert_allclose(parts(u), rolled(u), rtol=0, atol=1e-13)
    gradient = lambda f: jax.grad(lambda v: jnp.sum(jnp.sin(f(v))))(u)  # noqa: E731
    np.testing.assert_allclose(gradient(parts), gradient(rolled), rtol=0, atol=1e-13)
    with pytest.raises(UsageError, match="from 1 to 3"):
        dealt.on_slices(lambda v: halo(v, 4, 0, Split(SPACE, 4)))(u)


def test_differences_and_convolutions_on_slices_are_those_on_one_device(x64):
    grid = Grid([FourierBasis(12), FourierBasis(6)])
    dealt, u = SplitGrid(grid, jax.devices()[:4]), jax.random.normal(jax.random.key(0), grid.shape)
    slope = lambda grid: lambda v: d(d(StencilField(grid, v, 4), "x", 2), "y").values  # noqa: E731  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(jax.jit(slope(dealt))(dealt.place(u)), slope(grid)(u), rtol=1e-12, atol=1e-12)
    assert collectives(slope(dealt), dealt.place(u)) == {"collective-permute": 2}
    kernel, padding = jax.random.normal(jax.random.key(1), (3, 3, 1, 2)), ("wrap", "wrap")
    part = dealt.on_slices(lambda v: convolve(v[None, ..., None], kernel, padding, split=dealt.split)[0])
    np.testing.assert_allclose(part(u), convolve(u[None, ..., None], kernel, padding)[0], rtol=0, atol=1e-12)


# Checkpoints of what is dealt out.


def half_way(net, folder, monkeypatch, devices=4, slices=4):
    """A run that is stopped after its first epoch."""
    epoch = _Run._epoch

    def first(self, state, books, asked):
        return (state, False) if books["epoch"] == 1 else epoch(self, state, books, asked)

    with monkeypatch.context() as m:
        m.setattr(_Run, "_epoch", first)
        with pytest.raises((Stopped, ValueError)):
            trained(net, devices, slices, folder=folder, checkpoints="orbax")


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "slices"), [(4, 4), (2, 2), (1, 1)])
def test_four_devices_checkpoint_is_restored_on_fewer(net, alone, tmp_path, monkeypatch, devices, slices):
    half_way(net, tmp_path, monkeypatch)
    (newest,) = (tmp_path / "checkpoints").iterdir()
    assert (newest / "SHA256SUMS").is_file() and (newest / "state").is_dir()
    again = trained(net, devices, slices, folder=tmp_path, checkpoints="orbax")
    assert again.resumed_at == 1
    for x, y in zip(numbers(again), alone, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)
    if devices == 4:
        for x, y in zip(numbers(again), numbers(trained(net, 4, 4)), strict=True):
            np.testing.assert_array_equal(x, y)


def test_what_orbax_wrote_is_what_was_there_and_a_flipped_bit_is_found(tmp_path):
    def lying(parts):
        mesh = mesh_of(jax.devices()[:parts])
        return {"w": NamedSharding(mesh, P(None, SPACE)), "key": NamedSharding(mesh, P())}

    tree = {"w": jax.random.normal(jax.random.key(0), (3, 8)), "key": jax.random.key(7)}
    saver = ShardedSaver(tmp_path, keep=2)
    (tmp_path / ".000000000.writing").mkdir()  # of a process that was killed
    for step in (1, 2, 3):
        saver.save(step, jax.tree.map(jax.device_put, tree, lying(4)), {"step": step})
    saver.wait()
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["000000002", "000000003"]
    for parts in (4, 2, 1):
        newest = checkpoint.load_newest(tmp_path, jax.eval_shape(lambda: tree), shardings=lying(parts))
        assert newest is not None
        found, info = newest
        assert info == {"step": 3} and found["w"].sharding == lying(parts)["w"]
        np.testing.assert_array_equal(found["w"], tree["w"])
        assert jax.random.uniform(found["key"]) == jax.random.uniform(tree["key"])
    largest = max((f for f in (tmp_path / "000000003" / "state").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(bytes(data))
    with pytest.warns(UserWarning, match="does not match its sha256"):
        newest = checkpoint.load_newest(tmp_path, jax.eval_shape(lambda: tree), shardings=lying(1))
    assert newest is not None and newest[1] == {"step": 2}
    other = jax.eval_shape(lambda: {**tree, "w": jnp.zeros((3, 4))})
    with pytest.raises(CheckpointError, match="does not hold this model's state"), pytest.warns(UserWarning, match="sha256"):
        checkpoint.load_newest(tmp_path, other, shardings=lying(1))


def test_a_checkpoint_that_cannot_be_written_is_said(tmp_path):
    saver = ShardedSaver(tmp_path / "runs")
    (tmp_path / "runs").write_text("a file, where a folder must be")
    with pytest.raises((CheckpointError, OSError)):
        saver.save(1, {"w": jnp.ones(3)}, {})
        saver.wait()
