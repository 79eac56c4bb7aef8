"""What every model must show."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import MODELS

from pdesurr.checks import UsageError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.sources import ArraySource
from pdesurr.fields._basis import along
from pdesurr.objectives import relative_l2
from pdesurr.surrogates import Channel, Spec, Surrogate, load_surrogate, save_surrogate
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Samples, apply


def among(quick):
    """The battery over all cases, those that `quick` does not name among the slow tests."""
    return pytest.mark.parametrize("case", [pytest.param(c, id=n, marks=() if quick(n) else pytest.mark.slow) for n, c in MODELS.items()])


ALL = among(lambda name: True)
CASES = among(lambda name: "," not in name)  # a model's further cases are named after a comma
KINDS = among(lambda name: name in ("FNO", "DeepONet", "GNO", "MgNO", "RollOut"))  # one of each kind
FEW = among(lambda name: name in ("FNO", "GNO"))
KEY = jax.random.key(0)


def inputs(case, n=4, grid=None):
    grid = grid or case.grid
    return jax.random.normal(jax.random.key(7), (n, *grid.shape, case.channels[0]))


def waves(case, n=4):
    """Sums of the lowest wave along each axis."""
    shape = (*case.grid.shape, case.channels[0])
    angles = [2 * np.pi / b.length * along(b.nodes, axis, len(shape)) for axis, b in enumerate(case.grid.bases)]
    parts = [np.broadcast_to(f(angle), shape) for angle in angles for f in (np.sin, np.cos)]
    amounts = jax.random.normal(jax.random.key(7), (n, case.channels[0], len(parts)))
    return jnp.einsum("ncp,p...c->n...c", amounts, jnp.asarray(np.stack(parts), amounts.dtype))


def outputs(case, n=4):
    return jax.random.normal(jax.random.key(8), (n, *case.grid.shape, case.channels[1]))


@ALL
def test_shape_and_dtype(case):
    u = eqx.filter_eval_shape(lambda key: case.make(key)(Samples(case.grid, inputs(case)[0]), case.grid), KEY)
    assert u.shape == (*case.grid.shape, case.channels[1]) and u.dtype == jnp.float32


@KINDS
def test_jit_is_eager(case):
    model, a = case.make(KEY), inputs(case)[0]
    eager = model(Samples(case.grid, a), case.grid)
    np.testing.assert_allclose(eqx.filter_jit(model)(Samples(case.grid, a), case.grid), eager, rtol=1e-4, atol=1e-5)


@KINDS
def test_vmap_is_a_loop_and_so_is_apply(case):
    model, a = case.make(KEY), inputs(case)
    one = jax.jit(lambda v: model(Samples(case.grid, v), case.grid))
    loop = jnp.stack([one(v) for v in a])
    np.testing.assert_allclose(jax.jit(jax.vmap(one))(a), loop, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda v: apply(model, Samples(case.grid, v), case.grid))(a), loop, rtol=1e-4, atol=1e-5)


@KINDS
def test_gradient_is_finite_and_reaches_every_leaf(case):
    model = case.make(KEY)
    batch = Batch(Samples(case.grid, inputs(case)), Samples(case.grid, outputs(case)))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum((apply(m, batch.input, case.grid) - batch.output.values) ** 2)))(model)
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradient)[0]:
        assert bool(jnp.all(jnp.isfinite(leaf))) and bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


@FEW
def test_gradient_is_the_finite_difference(case, x64):
    params, static = eqx.partition(case.make(KEY), eqx.is_inexact_array)
    params = jax.tree.map(lambda v: v.astype(jnp.float64), params)
    batch = Batch(Samples(case.grid, inputs(case).astype(jnp.float64)), Samples(case.grid, outputs(case).astype(jnp.float64)))
    loss = jax.jit(lambda p: relative_l2(eqx.combine(p, static), batch, None)[0])
    keys = jax.random.split(KEY, len(jax.tree.leaves(params)))
    direction = jax.tree.unflatten(jax.tree.structure(params), [jax.random.normal(k, v.shape, v.dtype) for k, v in
                                                                zip(keys, jax.tree.leaves(params), strict=True)])
    shifted = lambda h: loss(jax.tree.map(lambda p, d: p + h * d, params, direction))  # noqa: E731
    slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(jax.grad(loss)(params)), jax.tree.leaves(direction), strict=True))
    np.testing.assert_allclose(slope, (shifted(1e-5) - shifted(-1e-5)) / 2e-5, rtol=1e-6)


@CASES
def test_no_second_compilation(case):
    compiled = []

    @eqx.filter_jit
    def call(model, a):
        compiled.append(1)
        return model(Samples(case.grid, a), case.grid)

    call(case.make(KEY), inputs(case)[0])
    call(case.make(jax.random.key(1)), inputs(case)[1])
    assert len(compiled) == 1


@CASES
def test_save_and_load_are_bit_equal(case, tmp_path):
    scaler = [ChannelScaler((0.1,) * c, (1.5,) * c) for c in case.channels]
    channels = [tuple(Channel(f"{side}{i}", None, "1", -5.0, 5.0) for i in range(c)) for side, c in zip("au", case.channels, strict=True)]
    spec = Spec("imported", {}, case.grid, channels[0], channels[1], (0.0, 100.0), {}, {}, {})
    surrogate = Surrogate(Scaled(case.make(KEY), *scaler), spec)
    loaded = load_surrogate(save_surrogate(surrogate, tmp_path / "bundle"))
    assert loaded.spec == spec
    assert jax.tree.structure(loaded) == jax.tree.structure(surrogate)
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(surrogate), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


@FEW
def test_sharded_is_single(case):
    source = ArraySource(inputs(case, 16), outputs(case, 16), case.grid)
    config = TrainConfig(epochs=2, batch_size=8)
    one, four = (fit(case.make(KEY), source, relative_l2, config, devices=jax.devices()[:k]) for k in (1, 4))
    batch = Batch(Samples(case.grid, source.inputs), Samples(case.grid, source.outputs))
    slopes = jax.tree.leaves(eqx.filter_grad(lambda m: relative_l2(m, batch, None)[0])(one.model))
    felt = [bool(jnp.max(jnp.abs(g)) > 1e-7) for g in slopes]  # a bias before `ZeroMean` has no influence: rounding moves it
    assert any(felt)
    for a, b, compared in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(four.state.params), felt, strict=True):
        if compared:
            np.testing.assert_allclose(a, b, atol=2e-5)


@FEW
def test_fits_one_batch(case):
    """It can learn: a linear map of four samples, to a tenth of the error it starts with."""
    a = waves(case) if case.smooth else inputs(case)
    u = jnp.repeat(jnp.mean(a, -1, keepdims=True), case.channels[1], -1) * 2
    source = ArraySource(a, u, case.grid)
    config = TrainConfig(epochs=150, batch_size=4, learning_rate=1e-2, weight_decay=0.0)
    history = fit(case.make(KEY), source, relative_l2, config, devices=jax.devices()[:1]).history
    assert history[-1]["loss"] < case.fits * history[0]["loss"], (history[0], history[-1])


@KINDS
def test_resolution_change(case):
    """An operator gives the same function at another resolution, for input both grids resolve."""
    if not case.operator:
        assert not all(b.periodic for b in case.grid.bases)
        return
    every_second = (slice(None, None, 2),) * case.grid.ndim
    half = case.grid.with_shape(*(n // 2 for n in case.grid.shape))
    a, model = inputs(case)[0][every_second], eqx.filter_jit(case.make(KEY))
    coarse, fine = (case.grid.with_shape(*(f * n for n in case.grid.shape)) for f in case.factors)
    u, u_fine = (model(Samples(grid, half.resample(a, *grid.shape)), grid) for grid in (coarse, fine))
    shared = u_fine[(slice(None, None, case.factors[1] // case.factors[0]),) * case.grid.ndim]
    assert float(jnp.max(jnp.abs(u - shared))) < case.drift * float(jnp.max(jnp.abs(u)))


@CASES
def test_scattered_points(case):
    """The order of the input's points means nothing, the order of the output's is the output's."""
    if not case.cloud:
        with pytest.raises(UsageError):
            case.make(KEY)(Samples(jnp.zeros((9, case.grid.ndim)), jnp.zeros((9, case.channels[0]))), case.grid)
        return
    low, high = (jnp.array([getattr(b, end) for b in case.grid.bases]) for end in ("lower", "upper"))
    points = low[None] + (high - low)[None] * jax.random.uniform(jax.random.key(2), (40, case.grid.ndim))
    a, order = jax.random.normal(jax.random.key(3), (40, case.channels[0])), jax.random.permutation(jax.random.key(4), 40)
    model = eqx.filter_jit(case.make(KEY))
    u = model(Samples(points, a), points)
    assert u.shape == (40, case.channels[1]) and float(jnp.std(u)) > 0
    np.testing.assert_allclose(model(Samples(points[order], a[order]), points), u, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(Samples(points, a), points[order]), u[order], rtol=1e-4, atol=1e-5)
