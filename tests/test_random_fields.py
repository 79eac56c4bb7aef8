"""Random fields between walls: covariance, boundary conditions, one function at every resolution; maps of fields."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import (
    ChebyshevBasis,
    CosineBasis,
    FourierBasis,
    GaussianRandomField,
    Grid,
    SineBasis,
    UniformBasis,
    lognormal,
    threshold,
)

pytestmark = pytest.mark.usefixtures("x64")
DRAWS = 20000


def variance(field, points):
    """E u(x)^2 from the series over eigenfunctions of mean square 1, written out axis by axis."""
    grid, total = field.grid, np.zeros(points.shape[:-1])
    one = {FourierBasis: lambda b: np.arange(-((b.n - 1) // 2), (b.n - 1) // 2 + 1), SineBasis: lambda b: np.arange(1, b.n + 1),
           CosineBasis: lambda b: np.arange(b.n)}
    for mode in np.stack(np.meshgrid(*(one[type(b)](b) for b in grid.bases), indexing="ij"), -1).reshape(-1, grid.ndim):
        square, k2 = np.ones(points.shape[:-1]), 0.0
        for i, (b, j) in enumerate(zip(grid.bases, mode, strict=True)):
            k = j * np.pi / b.length * (2 if isinstance(b, FourierBasis) else 1)
            s = points[..., i] - b.lower
            k2 += k**2
            if isinstance(b, SineBasis):
                square = square * 2 * np.sin(k * s) ** 2
            elif isinstance(b, CosineBasis) and j > 0:
                square = square * 2 * np.cos(k * s) ** 2
        if not (field.zero_mean and not np.any(mode)):
            total = total + field.sigma**2 * (k2 + field.tau**2) ** -field.gamma / grid.volume * square
    return total


def measured(field):
    return np.asarray(jax.jit(lambda keys: jnp.mean(jax.vmap(field)(keys) ** 2, 0))(jax.random.split(jax.random.key(0), DRAWS)))[..., 0]


@pytest.mark.parametrize("field", [
    GaussianRandomField(Grid([CosineBasis(7), CosineBasis(8)]), 1.0, 3.0, 2.0),
    GaussianRandomField(Grid([SineBasis(7), SineBasis(6, 0.0, 2.0)]), 2.0, 0.0, 1.5),
    GaussianRandomField(Grid([FourierBasis(6), SineBasis(5), CosineBasis(4)]), 1.0, 1.0, 1.0),
    GaussianRandomField(Grid([CosineBasis(6, 0.0, 3.0), FourierBasis(7, -1.0, 1.0)]), 1.0, 0.0, 2.0, True),
], ids=["neumann", "dirichlet", "mixed", "zero-mean"])
def test_pointwise_variance_is_that_of_the_series(field):
    exact = variance(field, field.grid.nodes)
    np.testing.assert_allclose(measured(field), exact, rtol=6 * np.sqrt(2 / DRAWS))
    assert exact.max() > 1.2 * exact.min()
    spread = variance(field, np.random.default_rng(0).uniform([b.lower for b in field.grid.bases],
                                                              [b.upper for b in field.grid.bases], (4000, field.grid.ndim)))
    np.testing.assert_allclose(field.mean_square, spread.mean(), rtol=6 * spread.std() / spread.mean() / np.sqrt(4000) + 1e-12)


def test_the_darcy_prior():
    """Neumann on (0, 1)^2, sigma = 1, tau = 3, gamma = 2: the constant mode alone has variance 3^-4, and corners have the most."""
    field = GaussianRandomField(Grid([CosineBasis(12), CosineBasis(12)]), 1.0, 3.0, 2.0)
    np.testing.assert_allclose(field.variances[0, 0], 3.0**-4)
    np.testing.assert_allclose(field.variances[1, 0], 2 * (np.pi**2 + 9) ** -2)
    np.testing.assert_allclose(field.variances[1, 2], 4 * (5 * np.pi**2 + 9) ** -2)
    g = field(jax.random.key(1))
    assert set(np.unique(threshold(g, 3.0, 12.0))) == {3.0, 12.0}
    np.testing.assert_array_equal(threshold(g, 3.0, 12.0) == 12, g >= 0)
    np.testing.assert_allclose(jnp.log(lognormal(g, 2.0)), 2 * g)
    assert threshold(g.astype(jnp.float32), 3.0, 12.0).dtype == lognormal(g.astype(jnp.float32)).dtype == jnp.float32


def test_ends_are_what_the_bases_say():
    grid = Grid([SineBasis(9), CosineBasis(8)])
    field = GaussianRandomField(grid, 1.0, 3.0, 2.0)
    closed = Grid([UniformBasis(5), UniformBasis(5)])

    @jax.jit
    def draw(key, points):
        u_hat = field.coefficients(key)
        slope = jax.vmap(jax.grad(lambda p: grid.evaluate(u_hat, p[None])[0]))(points)
        return grid.inverse(u_hat) - field(key)[..., 0], grid.interpolate(u_hat, closed), slope

    difference, u, slope = (np.asarray(v) for v in draw(jax.random.key(0), np.array([[0.3, 0.0], [0.6, 1.0]])))
    np.testing.assert_allclose(difference, 0, atol=1e-16)
    np.testing.assert_allclose(u[[0, -1]], 0, atol=1e-15)
    assert np.abs(u[1:-1]).min() > 0
    np.testing.assert_allclose(slope[:, 1], 0, atol=1e-15)
    assert np.abs(slope[:, 0]).min() > 0


def test_one_key_gives_one_function_at_every_resolution():
    fine, coarse = (Grid([SineBasis(n), FourierBasis(n + 1), CosineBasis(n)]) for n in (10, 6))

    @jax.jit
    def draw(key):
        u, v = (GaussianRandomField(g, 1.0, 3.0, 2.5)(key)[..., 0] for g in (fine, coarse))
        return fine.resample(u, *coarse.shape), v

    projected, v = draw(jax.random.key(5))
    np.testing.assert_allclose(projected, v, atol=1e-14)
    assert float(jnp.std(v)) > 1e-3


def test_modes_are_independent():
    """Coefficients of different modes, and of the same mode on different axes, are uncorrelated."""
    grid = Grid([CosineBasis(3), FourierBasis(5)])
    field = GaussianRandomField(grid, 1.0, 2.0, 1.0)
    draws = jax.jit(jax.vmap(field.coefficients))(jax.random.split(jax.random.key(2), DRAWS)).reshape(DRAWS, -1)
    parts = np.concatenate([draws.real, draws.imag], axis=1)
    parts = parts[:, parts.std(0) > 0]
    assert parts.shape[1] == 3 * 5
    assert np.abs(np.corrcoef(parts.T) - np.eye(15)).max() < 5 / np.sqrt(DRAWS)


def test_periodic_draws_are_what_they_were():
    """Values recorded before walls were added: data files and trained surrogates depend on them. (Bits differ by compiler flags.)"""
    for grid, zero_mean, value in ((Grid([FourierBasis(32)]), False, -0.26626936), (Grid([FourierBasis(32)]), True, -0.14453566),
                                   (Grid([FourierBasis(15, 0.0, 3.0), FourierBasis(12)]), False, 0.03598342),
                                   (Grid([FourierBasis(6), FourierBasis(5), FourierBasis(8)]), True, -0.060825337)):
        field = GaussianRandomField(grid, 2.0, 3.0, 2.5, zero_mean)
        u = np.asarray(jax.jit(lambda key, field=field: field(key))(jax.random.key(3)))
        np.testing.assert_allclose(u.ravel()[3], value, rtol=1e-6)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: GaussianRandomField(Grid([ChebyshevBasis(8)]), 1.0, 1.0, 2.0), "a FourierBasis, SineBasis or CosineBasis on every axis"),
    (lambda: GaussianRandomField(Grid([SineBasis(8)]), 1.0, 1.0, 2.0, True), "no constant mode"),
    (lambda: GaussianRandomField(Grid([CosineBasis(8)]), 1.0, 0.0, 2.0), "0 only with zero_mean"),
])
def test_bad_arguments_are_named(make, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        make()
