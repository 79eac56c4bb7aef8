"""Metrics against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr import metrics
from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis

pytestmark = pytest.mark.usefixtures("x64")
GRID = Grid([FourierBasis(32), FourierBasis(15, 0.0, 3.0)])


def wave(k):
    return jnp.cos(k * jnp.asarray(GRID.nodes[..., :1]))


def test_relative_errors_of_waves():
    """Of cos(k x) the squared H1 norm is (1 + k^2) times the squared L2 norm."""
    truth, u = wave(3), wave(3) + 0.1 * wave(5)
    np.testing.assert_allclose(metrics.relative_l2(u, truth, GRID), 0.1, rtol=1e-12)
    np.testing.assert_allclose(metrics.relative_h1(u, truth, GRID), 0.1 * np.sqrt(26 / 10), rtol=1e-12)
    np.testing.assert_allclose(metrics.max_error(u, truth), 0.1, rtol=1e-12)


def test_weights_of_a_closed_grid_count_the_walls_half():
    grid = Grid([UniformBasis(3, 0.0, 1.0)])
    u, truth = jnp.asarray([[1.0], [0.0], [0.0]]), jnp.asarray([[0.0], [1.0], [0.0]])
    np.testing.assert_allclose(metrics.relative_l2(u, truth, grid) ** 2, (0.25 + 0.5) / 0.5)


def test_spectrum_puts_each_wave_in_its_band_and_obeys_parseval():
    error, truth = metrics.error_spectrum(wave(3) + 0.1 * wave(7), wave(3), GRID)
    edges = metrics.spectrum_edges(GRID)
    for values, k, size in ((error, 7, 0.1), (truth, 3, 1.0)):
        band = np.digitize(k, edges) - 1
        np.testing.assert_allclose(values[band], size / np.sqrt(2), rtol=1e-10)
        assert np.delete(np.asarray(values), band).max() < 1e-12
    noise = jax.random.normal(jax.random.key(0), (32, 15, 2))
    spectrum = metrics.error_spectrum(noise, jnp.zeros_like(noise), GRID)[0]
    np.testing.assert_allclose(jnp.sum(spectrum**2), jnp.mean(jnp.sum(noise**2, -1)), rtol=1e-10)


def test_bad_shapes_are_named():
    with pytest.raises((UsageError, TypeCheckError), match="the truth's shape|32,15,2"):
        metrics.relative(wave(1), jnp.zeros((32, 15, 2)), GRID, 0)
    with pytest.raises((UsageError, TypeCheckError), match="grid's shape"):
        metrics.relative(jnp.zeros((15, 32, 1)), jnp.zeros((15, 32, 1)), GRID, 0)
