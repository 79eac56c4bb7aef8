"""The Fourier neural operator: one implementation for a sample, a batch and an ensemble; its derivatives; its errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import FFNO, FNO
from pdesurr.models.fno import spare_columns
from pdesurr.nn import Tucker
from pdesurr.types import Samples, StorableModel, parameter_count

KEY = jax.random.key(0)
GRID = Grid([FourierBasis(12), UniformBasis(11)])


def build(key, **more):
    return FNO(2, 3, (4, 3), 6, 2, head_width=10, key=key, **more)


def fno(**more):
    return filled(lambda: build(KEY, **more))


def filled(construct, *leading):
    """A model with numpy's random weights: compiling jax's generator would take longer than the tests."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(0.3 * rng.standard_normal((*leading, *x.shape)), x.dtype), jax.eval_shape(construct))


def batch(n=3, grid=GRID):
    return Samples(grid, jnp.asarray(np.random.default_rng(1).standard_normal((n, *grid.shape, 2))))


BOTH = pytest.mark.parametrize("channel_mlp, lifting_width", [(None, None), (0.5, 12)])


@BOTH
def test_one_sample_a_loop_vmap_and_batched_agree(channel_mlp, lifting_width, x64):
    model, a = fno(channel_mlp=channel_mlp, lifting_width=lifting_width), batch()
    assert isinstance(model, StorableModel) and isinstance(model, FNO)
    together, one = jax.jit(lambda s: model.batched(s))(a), jax.jit(lambda s: model(s, GRID))
    assert together.shape == (3, 12, 11, 3) and together.dtype == jnp.float64
    np.testing.assert_allclose(together, np.stack([one(Samples(GRID, v)) for v in a.values]), atol=1e-13)
    np.testing.assert_allclose(together, jax.jit(jax.vmap(lambda s: model(s, None)))(a), atol=1e-13)


def test_channels_are_kept_off_page_boundaries_without_a_trace(x64):
    """Where a batch would put its channels whole pages apart it gets spare columns; values and gradients are those of one sample."""
    assert [spare_columns(shape, 4) for shape in ((20, 1024), (20, 64, 64), (20, 85, 85), (4, 16))] == [4, 1, 0, 0]
    grid = Grid([FourierBasis(64)])
    model, a = filled(lambda: FNO(2, 1, (8,), 6, 2, channel_mlp=0.5, key=KEY)), batch(16, grid)
    assert spare_columns((16, 64), 8) == 1 and spare_columns((1, 64), 8) == 0

    def value_and_grad(run):
        return jax.tree.leaves(jax.jit(jax.value_and_grad(lambda m: jnp.mean(jnp.sin(run(m)))))(model))

    together, alone = value_and_grad(lambda m: m.batched(a)), value_and_grad(lambda m: jax.vmap(lambda s: m(s, None))(a))
    for x, y in zip(together, alone, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_real_size_jit_equals_eager_in_float32():
    grid = Grid([FourierBasis(64), FourierBasis(64)])
    model = filled(lambda: FNO(1, 1, (12, 12), 20, 1, key=KEY))
    a = Samples(grid, jnp.asarray(np.random.default_rng(1).standard_normal((2, 64, 64, 1))))

    def loss(model):
        return jnp.mean(model.batched(a) ** 2)

    eager, jitted = jax.value_and_grad(loss)(model), jax.jit(jax.value_and_grad(loss))(model)
    for x, y in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * float(np.abs(x).max()))


@BOTH
def test_gradient_equals_finite_differences_and_jvp(channel_mlp, lifting_width, x64):
    model, a = fno(channel_mlp=channel_mlp, lifting_width=lifting_width), batch(2)
    flat, unravel = ravel_pytree(model)

    def loss(flat, values):
        return jnp.mean(jnp.sin(unravel(flat).batched(Samples(GRID, values))))

    point, direction = (flat, a.values), (jnp.cos(flat), jnp.cos(a.values))

    def slopes(step):
        reverse = sum(jnp.vdot(g, d) for g, d in zip(jax.grad(loss, (0, 1))(*point), direction, strict=True))
        ends = [loss(*(p + s * step * d for p, d in zip(point, direction, strict=True))) for s in (1, -1)]
        return reverse, jax.jvp(loss, point, direction)[1], (ends[0] - ends[1]) / (2 * step)

    reverse, forward, difference = jax.jit(slopes)(1e-6)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10)
    np.testing.assert_allclose(reverse, difference, rtol=1e-6)


def test_second_derivative_forward_over_reverse_equals_reverse_over_reverse(x64):
    model, a = fno(), batch(1)
    ct = jnp.cos(a.values)

    def loss(values):
        return jnp.sum(model.batched(Samples(GRID, values)) ** 2)

    forward = jax.jit(lambda v: jax.jvp(jax.grad(loss), (v,), (ct,))[1])(a.values)
    reverse = jax.jit(jax.grad(lambda v: jnp.vdot(jax.grad(loss)(v), ct)))(a.values)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-11)


def test_every_leaf_has_a_gradient():
    gradient = jax.jit(jax.grad(lambda m: jnp.sum(m.batched(batch()) ** 2)))(fno(channel_mlp=0.5, lifting_width=12))
    assert all(np.any(np.asarray(g) != 0) and np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))


def test_ensemble_of_models_under_vmap_equals_loop(x64):
    a, stacked = batch(2), filled(lambda: build(KEY, channel_mlp=0.5), 3)

    @jax.jit
    def value_and_grad(model):
        return jax.value_and_grad(lambda m: jnp.mean(m.batched(a) ** 2))(model)

    together = jax.jit(jax.vmap(value_and_grad))(stacked)
    for i in range(3):
        alone = value_and_grad(jax.tree.map(lambda x, i=i: x[i], stacked))
        for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(x, y[i], rtol=1e-9, atol=1e-12)


def test_sharded_batch_equals_single_device():
    devices = jax.devices()
    if len(devices) < 2:
        pytest.skip("one device")
    mesh = jax.sharding.Mesh(np.array(devices[:2]), ("data",))
    model, a, spec = fno(), batch(4), jax.sharding.PartitionSpec

    def loss(model, values):
        return jnp.mean(model.batched(Samples(GRID, values)) ** 2)

    sharded = jax.shard_map(lambda m, v: jax.lax.pmean(loss(m, v), "data"), mesh=mesh, in_specs=(spec(), spec("data")),
                            out_specs=spec())
    one, two = (jax.jit(jax.grad(f))(model, a.values) for f in (loss, sharded))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * float(np.abs(x).max()))


def test_without_coordinates_the_model_shifts_with_a_periodic_grid():
    with_coordinates, model = fno(coordinates=(True, True)), fno()
    assert with_coordinates.lifting[0].weight.shape == (6, 4) and model.lifting[0].weight.shape == (6, 2)
    assert parameter_count(with_coordinates) == parameter_count(model) + 2 * 6
    shifted = Grid([FourierBasis(12), FourierBasis(11)])
    a = batch(1, shifted)
    rolled, run = Samples(shifted, jnp.roll(a.values, (3, 4), (1, 2))), jax.jit(lambda s: model.batched(s))
    np.testing.assert_allclose(np.roll(run(a), (3, 4), (1, 2)), run(rolled), atol=1e-5)


def test_errors_teach():
    model, a = fno(), batch(1)
    one = Samples(GRID, a.values[0])
    with pytest.raises(UsageError, match="interpolate"):
        model(one, GRID.with_shape(24, 11))
    with pytest.raises(UsageError, match=r"shape \(12, 11, 2\)"):
        model(Samples(GRID, a.values[0, ..., :1]), None)
    with pytest.raises(UsageError, match="2 axes"):
        model(Samples(Grid([FourierBasis(12)]), a.values[0, :, 0]), None)
    with pytest.raises(UsageError, match="at most"):
        model(batch_of_coarse(), None)
    with pytest.raises(UsageError, match="a Grid"):
        model(Samples(jnp.zeros((5, 2)), jnp.zeros((5, 2))), None)
    with pytest.raises(UsageError, match="one bool per axis"):
        fno(coordinates=(True,))


def batch_of_coarse():
    grid = GRID.with_shape(6, 11)
    return Samples(grid, jnp.zeros((*grid.shape, 2)))


@pytest.mark.parametrize("shared", [False, True])
def test_more_modes_leave_the_function_alone(shared):
    grid = Grid([FourierBasis(24), FourierBasis(20)])
    model = FNO(1, 1, (4, 3), 6, 3, shared=shared, key=jax.random.key(0))
    a = Samples(grid, jax.random.normal(jax.random.key(1), (24, 20, 1)))
    wider = model.with_modes((7, 6))
    assert wider.modes == (7, 6) and parameter_count(wider) > parameter_count(model)
    call = eqx.filter_jit(lambda m, a: m(a))
    np.testing.assert_allclose(call(wider, a), call(model, a), atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, wider.with_modes((4, 3)), model)


def test_sharing_and_products_hold_fewer_numbers():
    make = lambda **more: parameter_count(FNO(1, 1, (8, 8), 16, 4, key=jax.random.key(0), **more))  # noqa: E731
    spectral = 15 * 8 * 2 * 16 * 16
    assert make() - make(shared=True) == 3 * spectral
    assert make(shared=True, rank=0.3) - (make(shared=True) - spectral) < 0.45 * spectral
    with pytest.raises(UsageError, match="without rank"):
        FNO(1, 1, (4,), 4, rank=0.5, key=jax.random.key(0)).with_modes((5,))


def test_product_is_the_sum_of_its_terms():
    w = Tucker((5, 2, 4), 0.5, 1.0, key=jax.random.key(0))
    np.testing.assert_allclose(w(), jnp.einsum("abc,ia,kc->ibk", w.core, w.factors[0], w.factors[2]), atol=1e-5)
    many = jnp.stack([Tucker((8, 8), 0.5, 0.7, key=k)() for k in jax.random.split(jax.random.key(1), 200)])
    assert 0.65 < float(jnp.std(many)) < 0.75


def test_factorised_layer_is_the_sum_over_axes():
    """Along one axis it is the one-dimensional Fourier layer of each line."""
    grid = Grid([FourierBasis(16), FourierBasis(12)])
    model = FFNO(1, 1, (4, 3), 3, 1, key=jax.random.key(0))
    v = jax.random.normal(jax.random.key(1), (3, 2, 16, 12))
    lines = model.spectral[0](jnp.moveaxis(v, 2, -1).reshape(3, -1, 16), Grid([grid.bases[0]])).reshape(3, 2, 12, 16)
    rows = model.spectral[1](v.reshape(3, -1, 12), Grid([grid.bases[1]])).reshape(v.shape)
    np.testing.assert_allclose(model._along_axes(v, grid), jnp.moveaxis(lines, -1, 2) + rows, atol=1e-5)
