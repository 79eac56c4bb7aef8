"""The door to Flax, both ways, and the U-Net behind it."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from pdesurr.checks import BundleError, UsageError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.sources import ArraySource
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO, LNO, UNet
from pdesurr.models.flax import FlaxModel, Frozen, as_nnx
from pdesurr.nn.convolution import continued, paddings
from pdesurr.objectives import relative_l2
from pdesurr.surrogates import Channel, Spec, Surrogate, load_surrogate, save_surrogate
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Samples, apply, parameter_count

KEY = jax.random.key(0)
LINE = Grid([FourierBasis(16)])
ONCE = ChannelScaler((0.0,), (2.0,))


class Pixels(nnx.Module):
    """Somebody's network: two layers at each point, a table, and a number that is not learned."""

    def __init__(self, rngs):
        self.inner, self.outer = nnx.Linear(1, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)
        self.scale, self.count = nnx.Variable(jnp.float32(1.5)), jnp.arange(3)

    def __call__(self, v):
        return self.outer(nnx.tanh(self.inner(v))) * self.scale[...]


class Corrected(nnx.Module):
    """Somebody's network about one of ours."""

    def __init__(self, coarse, rngs):
        self.coarse, self.fix = coarse, nnx.Linear(1, 1, rngs=rngs)

    def __call__(self, a):
        return self.fix(self.coarse(a))


def surrogate_of(model, grid=LINE):
    ends = (Channel("a", None, "1", -5.0, 5.0),), (Channel("u", None, "1", -5.0, 5.0),)
    return Surrogate(Scaled(model, ONCE, ONCE), Spec("imported", {}, grid, *ends, (0.0, 100.0), {}, {}, {}))


def loss(model, a):
    return jnp.mean((model(a) - jnp.roll(a, 1, 1)) ** 2)


def test_nobody_waits_for_flax(child_env):
    text = "import sys, pdesurr, pdesurr.models, pdesurr.surrogates, pdesurr.train, pdesurr.commands; print('flax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], env=child_env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Their modules as our models.


def test_anyones_module_is_trained_and_given_back():
    a = jax.random.normal(KEY, (8, 16, 1))
    module = Pixels(nnx.Rngs(0))
    model = FlaxModel(module)
    np.testing.assert_allclose(model(Samples(LINE, a[0])), module(a[:1])[0], rtol=1e-6)
    result = fit(model, ArraySource(a, -2 * jnp.sin(a), LINE), relative_l2, TrainConfig(epochs=60, batch_size=8, learning_rate=2e-2))
    assert result.history[-1]["loss"] < 0.3 * result.history[0]["loss"]
    trained = result.model.trained()
    assert isinstance(trained, Pixels) and trained.scale[...] == 1.5 and trained.count.tolist() == [0, 1, 2]
    np.testing.assert_allclose(trained(a), apply(result.model, Samples(LINE, a), LINE), rtol=1e-5, atol=1e-6)
    assert parameter_count(model) == 8 + 8 + 8 + 1


def test_two_of_a_kind_have_one_structure_and_go_into_ensembles():
    make = lambda key: FlaxModel(nnx.Linear(1, 1, rngs=nnx.Rngs(key)))  # noqa: E731
    assert jax.tree.structure(make(KEY)) == jax.tree.structure(make(jax.random.key(1)))
    a = jax.random.normal(KEY, (8, 16, 1))
    members = eqx.filter_vmap(make)(jax.random.split(KEY, 2))
    result = fit(members, ArraySource(a, 2 * a, LINE), relative_l2, TrainConfig(epochs=2, batch_size=8, seed=(0, 1)))
    assert result.model.network.weights["kernel"].shape == (2, 1, 1)


def test_a_module_may_be_called_in_its_own_way():
    """It reads the points, and answers at others."""
    module = nnx.Linear(1, 2, rngs=nnx.Rngs(0))
    model = FlaxModel(module, lambda module, a, x: jnp.mean(a.values, 1, keepdims=True) * module(x)[None])
    x = jnp.linspace(0, 1, 5)[:, None]
    a = jax.random.normal(KEY, (3, 16, 1))
    np.testing.assert_allclose(apply(model, Samples(LINE, a), x)[1], jnp.mean(a[1]) * module(x), rtol=1e-5, atol=1e-6)


def test_a_module_takes_the_precision_of_its_input(x64):
    module = nnx.Sequential(nnx.Linear(1, 4, rngs=nnx.Rngs(0)), nnx.LayerNorm(4, rngs=nnx.Rngs(0)))
    assert FlaxModel(module)(Samples(LINE, jnp.ones((16, 1), jnp.float64))).dtype == jnp.float64


def test_a_module_that_changes_when_called_is_refused():
    for part in (nnx.BatchNorm(1, rngs=nnx.Rngs(0)), nnx.Dropout(0.1, rngs=nnx.Rngs(0))):
        with pytest.raises(UsageError, match="module: expected one whose call changes nothing.*nnx.GroupNorm"):
            FlaxModel(nnx.Sequential(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), part))
    with pytest.raises(UsageError, match="x: expected None or the input's own points"):
        FlaxModel(Pixels(nnx.Rngs(0)))(Samples(LINE, jnp.zeros((16, 1))), jnp.zeros((3, 1)))


def test_a_bundle_holds_only_what_the_package_knows(tmp_path):
    with pytest.raises(BundleError, match="cannot save a FlaxModel; nothing in a file names code to run"):
        save_surrogate(surrogate_of(FlaxModel(Pixels(nnx.Rngs(0)))), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


# Our models in their modules.


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory):
    model = FNO(1, 1, (4,), 4, 1, head_width=4, key=KEY)
    return load_surrogate(save_surrogate(surrogate_of(model), tmp_path_factory.mktemp("flax") / "bundle"))


def test_a_surrogate_is_a_part_of_a_module(surrogate):
    a = jax.random.normal(KEY, (3, 16, 1))
    part, u = as_nnx(surrogate), jax.jit(surrogate)(a)
    np.testing.assert_allclose(nnx.jit(lambda m, v: m(v))(part, a), u, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part(a[0]), u[0], rtol=1e-4, atol=1e-6)
    assert len(jax.tree.leaves(nnx.state(part, nnx.Param))) == len(jax.tree.leaves(eqx.filter(surrogate, eqx.is_inexact_array)))
    assert isinstance(part.inner(), Surrogate) and part.inner().spec == surrogate.spec
    through, wanted = (jax.jit(jax.grad(lambda v, f=f: jnp.sum(f(v) ** 2)))(a) for f in (part, surrogate))
    np.testing.assert_allclose(through, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("frozen", [True, False])
def test_training_the_whole_moves_what_is_not_frozen(surrogate, frozen):
    a = jax.random.normal(KEY, (3, 16, 1))
    whole = Corrected(as_nnx(surrogate, frozen=frozen), nnx.Rngs(0))
    optimiser = nnx.Optimizer(whole, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(whole, optimiser, a):
        value, gradient = nnx.value_and_grad(loss)(whole, a)
        with jax.numpy_dtype_promotion("standard"):  # Optax's Adam
            optimiser.update(whole, gradient)
        return value

    losses = [float(step(whole, optimiser, a)) for _ in range(5)]
    before, after = (jax.tree.leaves(eqx.filter(s, eqx.is_inexact_array)) for s in (surrogate, whole.coarse.inner()))
    assert losses[-1] < losses[0]
    assert all(bool(jnp.array_equal(u, v)) == frozen for u, v in zip(before, after, strict=True))
    assert bool(nnx.state(whole, Frozen)) == frozen


def test_a_model_is_called_with_values_on_its_grid_or_as_it_is():
    model, a = LNO(1, 1, 1, 4, 1, 1, kernel=(4,), head_width=4, key=KEY), jax.random.normal(KEY, (3, 16, 1))
    on_grid, x = as_nnx(model, LINE), jnp.array([[0.1], [0.2]])
    call = nnx.jit(lambda m, v: m(v))
    u = jax.jit(lambda v: apply(model, Samples(LINE, v), LINE))(a)
    np.testing.assert_allclose(call(on_grid, a), u, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(call(on_grid, a[0]), u[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(as_nnx(model)(Samples(LINE, a[0]), x), model(Samples(LINE, a[0]), x), rtol=1e-6)
    gradient = nnx.jit(nnx.grad(lambda m: jnp.sum(m(a) ** 2)))(on_grid)
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(gradient))


# The U-Net.


@pytest.mark.slow
def test_a_periodic_axis_of_even_sizes_may_be_shifted():
    grid, model = Grid([FourierBasis(16), FourierBasis(8)]), UNet(1, 1, 2, 4, 3, groups=2, key=KEY)
    a = jax.random.normal(KEY, (16, 8, 1))
    moved = jnp.roll(a, (4, -4), (0, 1))
    np.testing.assert_allclose(model(Samples(grid, moved)), jnp.roll(model(Samples(grid, a)), (4, -4), (0, 1)), atol=1e-5)
    assert float(jnp.max(jnp.abs(model(Samples(grid, jnp.roll(a, 1, 0))) - jnp.roll(model(Samples(grid, a)), 1, 0)))) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("bases", [[FourierBasis(9)], [UniformBasis(7), CosineBasis(10)],
                                   [FourierBasis(5), UniformBasis(6), ChebyshevBasis(8)]])
def test_any_number_of_axes_and_nodes(bases):
    grid = Grid(bases)
    model = UNet(1, 2, grid.ndim, 2, 3, groups=1, key=KEY)
    a = jax.random.normal(KEY, (*grid.shape, 1))
    u = model(Samples(grid, a))
    assert u.shape == (*grid.shape, 2) and bool(jnp.all(jnp.isfinite(u)))
    np.testing.assert_allclose(eqx.filter_jit(model)(Samples(grid, a)), u, rtol=1e-4, atol=1e-5)


def test_a_period_is_a_period_and_a_wall_a_wall():
    """What one end has is heard at the other on a periodic axis only."""
    model, a = UNet(1, 1, 1, 4, 1, groups=1, key=KEY), jnp.zeros((16, 1)).at[0].set(1.0)
    first = model.network.module().encoder[0].convolutions[0]
    heard = [first(continued(a[None], paddings(Grid([basis]))))[0, -1] for basis in (FourierBasis(16), UniformBasis(16))]
    assert bool(jnp.any(heard[0] != 0)) and bool(jnp.all(heard[1] == 0))
    answers = [model(Samples(Grid([basis]), a)) for basis in (FourierBasis(16), UniformBasis(16))]
    assert float(jnp.max(jnp.abs(answers[0] - answers[1])[-1])) > 1e-3


def test_the_size_is_the_input_s_too():
    """The bypass carries the amplitude that the norms take away."""
    model, a = UNet(1, 1, 1, 4, 2, groups=2, key=KEY), jax.random.normal(KEY, (16, 1))
    small, large = (float(jnp.std(model(Samples(LINE, s * a)))) for s in (10.0, 1000.0))
    assert large > 30 * small


def test_parameters_are_as_many_as_counted_by_hand():
    """One axis, width 2, two levels."""
    blocks = [(1, 2), (2, 4), (4, 2)]
    wanted = sum(3 * i * o + 3 * o * o + 4 * o + i * o for i, o in blocks) + 3 * 2 * 2 + 2 * 4 * 2 + 3
    assert parameter_count(UNet(1, 1, 1, 2, 2, groups=1, key=KEY)) == wanted


def test_refusals_name_the_argument():
    with pytest.raises(UsageError, match="groups: expected a divisor of the width 6"):
        UNet(1, 1, 1, 6, 2, groups=4, key=KEY)
    with pytest.raises(UsageError, match="boundary"):
        UNet(1, 1, 2, 4, 2, groups=2, boundary=("wall", "periodic"), key=KEY)
    with pytest.raises(UsageError, match="levels"):
        UNet(1, 1, 2, 4, 0, groups=2, key=KEY)
    model = UNet(1, 1, 1, 4, 4, groups=2, key=KEY)
    with pytest.raises(UsageError, match="more than 8 nodes per axis for 4 levels"):
        model(Samples(Grid([FourierBasis(8)]), jnp.zeros((8, 1))))
    with pytest.raises(UsageError, match="own grid"):
        model(Samples(LINE, jnp.zeros((16, 1))), Grid([FourierBasis(32)]))
