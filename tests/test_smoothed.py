"""Gaussian averages of a field as further channels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.sources import ArraySource
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO, GNO, Smoothed
from pdesurr.models.smoothed import with_averages
from pdesurr.objectives import SampledL2
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Samples

KEY = jax.random.key(0)


class Same(eqx.Module):
    """What it sees."""

    def __call__(self, a: Samples, x=None, *, key=None):
        return a.values


def test_a_wave_is_damped_as_the_gaussian_damps_it(x64):
    """exp(i k x) -> exp(-(k l)^2 / 2) exp(i k x), on each axis of a periodic box."""
    grid, length = Grid([FourierBasis(32), FourierBasis(24, 0.0, 1.0)]), 0.4
    x, y = grid.nodes[..., 0], grid.nodes[..., 1]
    u = jnp.asarray(np.cos(2 * x) + np.sin(x + 2 * np.pi * y))[..., None]
    both = np.cos(2 * x) * np.exp(-2 * length**2) + np.sin(x + 2 * np.pi * y) * np.exp(-(1 + 4 * np.pi**2) * length**2 / 2)
    found = Smoothed(Same(), (length,))(Samples(grid, u))
    np.testing.assert_array_equal(found[..., 0], u[..., 0])
    np.testing.assert_allclose(found[..., 1], both, atol=1e-12)


def test_averages_are_the_same_on_every_grid(x64):
    """Quadrature, not counting: on Chebyshev nodes and on two uniform grids the averages of one function agree."""
    f = lambda grid: jnp.asarray(np.exp(-grid.nodes) * np.sin(5 * grid.nodes))  # noqa: E731
    fine = Grid([ChebyshevBasis(64, 0.0, 1.0)])
    wanted = with_averages(f(fine)[None], fine, (0.1, 0.3))[0]
    at = jnp.asarray(np.linspace(0, 1, 65)[:, None])
    wanted = fine.evaluate(fine.transform(wanted), at)
    for n, tolerance in ((65, 1e-3), (257, 1e-4)):
        grid = Grid([UniformBasis(n, 0.0, 1.0, "closed")])
        found = with_averages(f(grid)[None], grid, (0.1, 0.3))[0, :: (n - 1) // 64]
        np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_a_normaliser_goes_around_it():
    grid = Grid([FourierBasis(16)])
    u = jax.random.normal(KEY, (16, 1))
    inner, outer, out = ChannelScaler((0.3, 0.3), (2.0, 2.0)), ChannelScaler((0.3,), (2.0,)), ChannelScaler((0.0,), (1.0,))
    model = FNO(2, 1, (4,), 8, 2, key=KEY)
    np.testing.assert_allclose(Smoothed(Scaled(model, inner, out), (0.5,))(Samples(grid, u)),
                               Scaled(Smoothed(model, (0.5,)), outer, out)(Samples(grid, u)), atol=1e-6)


def test_it_answers_where_its_model_does():
    grid, points = Grid([UniformBasis(9, 0.0, 1.0, "closed")]), jnp.asarray([[0.1], [0.52]])
    model = Smoothed(GNO(2, 1, 1, 0.5, 6, 1, kernel=(6, 4), head_width=8, key=KEY), (0.2,))
    assert model(Samples(grid, jnp.ones((9, 1))), points).shape == (2, 1)


@pytest.mark.parametrize("bad", [(), (0.0,), (-1.0,), (float("nan"),), (float("inf"),), 0.1, ("a",), (True,)])
def test_lengths_are_numbers_above_zero(bad):
    with pytest.raises((UsageError, TypeError), match="lengths"):
        Smoothed(Same(), bad)
    with pytest.raises((UsageError, TypeError), match="lengths"):
        with_averages(jnp.ones((1, 8, 1)), Grid([FourierBasis(8)]), bad)


def test_a_graph_is_trained_bare_and_wrapped_afterwards():
    """What its docstring says: the bare graph on averages and the wrapped one on the input alone are one function."""
    grid, lengths = Grid([UniformBasis(24, 0.0, 1.0, "closed")]), (0.05, 0.2)
    a = jax.random.normal(KEY, (8, 24, 2))
    i, o = ChannelScaler((0.1, -0.2), (1.1, 0.9)), ChannelScaler((0.0,), (2.0,))
    wide = ChannelScaler(i.mean * 3, i.std * 3)
    graph = GNO(6, 1, 1, 0.3, 6, 1, kernel=(6, 4), head_width=8, nodes=12, key=KEY)
    seen = with_averages(a, grid, lengths)
    trained = fit(Scaled(graph, wide, o), ArraySource(seen, a[..., :1], grid), SampledL2(12), TrainConfig(epochs=1, batch_size=8)).model
    wrapped = Scaled(Smoothed(trained.model, lengths), i, o)
    np.testing.assert_allclose(wrapped(Samples(grid, a[0])), trained(Samples(grid, seen[0])), atol=1e-5)
    with pytest.raises(UsageError, match="wrapped afterwards"):
        SampledL2(12)(wrapped, Batch(Samples(grid, a), Samples(grid, a[..., :1])), KEY)
    with pytest.raises(UsageError, match="2 channels"):
        Scaled(graph, i, o)(Samples(grid, seen[0]))


def test_scattered_points_are_refused():
    with pytest.raises(UsageError, match="Grid"):
        Smoothed(Same(), (0.1,))(Samples(jnp.ones((5, 1)), jnp.ones((5, 1))))
    with pytest.raises(UsageError, match="a.values"):
        Smoothed(Same(), (0.1,))(Samples(Grid([FourierBasis(8)]), jnp.ones((7, 1))))
