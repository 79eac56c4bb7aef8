"""DeepONets: their sums, their sensors, the modes of the data and what training may touch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.data.sources import ArraySource
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import DeepONet, PODDeepONet, pod_modes
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Samples

KEY = jax.random.key(0)
GRID = Grid([FourierBasis(16)])
A = jax.random.normal(KEY, (16, 1))


def test_channels_have_their_own_sums():
    model = DeepONet(1, 2, (16,), 8, 1, 3, key=KEY)
    b, t = model.branch(A.reshape(1, -1)).reshape(2, 3), model.trunk(jnp.asarray(GRID.nodes, jnp.float32)).reshape(16, 2, 3)
    np.testing.assert_allclose(model(Samples(GRID, A)), (t * b[None]).sum(-1), atol=1e-6)


def test_answers_anywhere_and_reads_resampled_sensors():
    model, fine = DeepONet(1, 1, (16,), 8, 1, 3, period=(2 * np.pi,), key=KEY), GRID.with_shape(48)
    u = model(Samples(GRID, A))
    np.testing.assert_allclose(model(Samples(GRID, A), fine)[::3], u, atol=1e-5)
    np.testing.assert_allclose(model(Samples(GRID, A), jnp.asarray(GRID.nodes + 2 * np.pi, jnp.float32)), u, atol=1e-5)
    low = jnp.sin(jnp.asarray(GRID.nodes, jnp.float32))
    np.testing.assert_allclose(model(Samples(fine, GRID.resample(low, 48)), GRID), model(Samples(GRID, low)), atol=1e-5)


def test_between_walls_the_sensors_are_read_off_a_finer_grid():
    """Nested nodes have the sensors among them; elsewhere a bilinear input stays what it is."""
    sensors = Grid([UniformBasis(5), UniformBasis(4, 0.0, 2.0)])
    model = DeepONet(1, 1, (5, 4), 8, 1, 3, key=KEY)
    a = jax.random.normal(KEY, (13, 10, 1))
    nested = Samples(sensors.with_shape(13, 10), a)
    np.testing.assert_allclose(model(nested, sensors), model(Samples(sensors, a[::3, ::3])), atol=1e-6)
    bilinear = lambda grid: Samples(grid, jnp.asarray((1 + grid.nodes).prod(-1, keepdims=True), jnp.float32))  # noqa: E731
    np.testing.assert_allclose(model(bilinear(sensors.with_shape(7, 3)), sensors), model(bilinear(sensors)), atol=1e-5)


@pytest.mark.parametrize("grid", [Grid([ChebyshevBasis(9), FourierBasis(8)]), Grid([UniformBasis(9), UniformBasis(8)])])
def test_modes_are_orthogonal_and_give_the_outputs_back(grid):
    outputs = np.random.default_rng(0).normal(size=(5, 9, 8, 2))
    mean, modes = pod_modes(outputs, grid, 4)
    weights = grid.weights / grid.weights.sum()
    gram = np.einsum("ixyc,jxyc,xy->ij", modes, modes, weights)
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)
    coefficients = np.einsum("nxyc,jxyc,xy->nj", outputs - mean, modes, weights) / np.diag(gram)
    np.testing.assert_allclose((coefficients**2).mean(0), 1.0)
    np.testing.assert_allclose(mean + np.einsum("nj,jxyc->nxyc", coefficients, modes), outputs, atol=1e-12)
    with pytest.raises(UsageError, match="from 1 to 4"):
        pod_modes(outputs, grid, 5)


def pod(grid=GRID):
    outputs = np.random.default_rng(1).normal(size=(5, *grid.shape, 1))
    return PODDeepONet(1, 1, grid.shape, 3, 8, 1, modes=pod_modes(outputs, grid, 3), key=KEY)


def test_modes_between_nodes_are_their_expansion():
    model, points = pod(), jnp.array([[0.1], [2.0]])
    u = model(Samples(GRID, A))
    np.testing.assert_allclose(model(Samples(GRID, A), points), GRID.evaluate(GRID.transform(u), points), atol=1e-5)
    walls = Grid([UniformBasis(16)])
    with pytest.raises(UsageError, match="modes are known"):
        pod(walls)(Samples(walls, A), points)


def test_training_with_decay_leaves_the_modes_alone():
    model = pod()
    a = jax.random.normal(KEY, (8, 16, 1))
    config = TrainConfig(epochs=3, batch_size=4, weight_decay=0.5)
    trained = fit(model, ArraySource(a, a, GRID), relative_l2, config, devices=jax.devices()[:1]).model
    assert eqx.tree_equal((trained.mean, trained.modes), (model.mean, model.modes))
    assert not eqx.tree_equal(trained.branch, model.branch)


def test_the_modes_may_be_constants_of_a_program():
    """As in training, where the rest alone is traced."""
    moving, fixed = eqx.partition(pod(), eqx.is_inexact_array)
    assert jax.eval_shape(lambda m: eqx.combine(m, fixed)(Samples(GRID, A)), moving).shape == (16, 1)


def test_without_modes_nothing_is_a_number():
    """Under jit, where values cannot be looked at; outside it is refused (`test_model_input`)."""
    assert bool(jnp.isnan(eqx.filter_jit(PODDeepONet(1, 1, (16,), 3, 8, 1, key=KEY))(Samples(GRID, A))).all())


def test_refusals_name_the_argument():
    model, mixed = DeepONet(1, 1, (16,), 8, 1, 3, key=KEY), Grid([FourierBasis(20), UniformBasis(20)])
    with pytest.raises(UsageError, match="all have a transform or all are uniform"):
        DeepONet(1, 1, (16, 16), 8, 1, 3, key=KEY)(Samples(mixed, jnp.zeros((20, 20, 1))))
    with pytest.raises(UsageError, match="sensors are a grid's nodes"):
        model(Samples(jnp.zeros((16, 1)), A))
    with pytest.raises(UsageError, match="16, 1"):
        model(Samples(GRID, jnp.zeros((16, 2))))
    with pytest.raises(UsageError, match="pod_modes"):
        PODDeepONet(1, 1, (16,), 3, modes=(np.zeros((16, 1)), np.zeros((2, 16, 1))), key=KEY)
