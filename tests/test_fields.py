"""Bases, product grids, the calculi and random fields."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr.checks import UsageError
from pdesurr.fields import (
    AutodiffField,
    FourierBasis,
    GaussianRandomField,
    Grid,
    SpectralField,
    StencilField,
    UniformBasis,
    applied,
    d,
    dealias_mask,
)

pytestmark = pytest.mark.usefixtures("x64")
ODD_BOX = Grid([FourierBasis(15, -1.0, 2.0), FourierBasis(12, 0.0, 5.0)])


def wave(grid, *orders):
    """cos(k.(x - lower) + 0.3) with whole wavenumbers, and its gradient."""
    k = np.array([2 * np.pi * m / b.length for m, b in zip(orders, grid.bases, strict=True)])
    phase = (grid.nodes - np.array([b.lower for b in grid.bases])) @ k + 0.3
    return jnp.asarray(np.cos(phase)), jnp.asarray(-np.sin(phase)[..., None] * k)


@pytest.mark.parametrize("grid", [Grid([FourierBasis(16)]), Grid([FourierBasis(33, 0.0, 1.0)]), ODD_BOX,
                                  Grid([FourierBasis(8), FourierBasis(9), FourierBasis(7)])], ids=["even", "odd", "box", "3-D"])
def test_transform_round_trip_derivatives_and_parseval(grid):
    u, gradient = wave(grid, *(1,) * grid.ndim)
    u = u + 0.5
    u_hat = grid.transform(u)
    np.testing.assert_allclose(grid.inverse(u_hat), u, atol=1e-13)
    for i, name in enumerate(grid.names):
        np.testing.assert_allclose(grid.derivative(u, name), gradient[..., i], atol=1e-11)
        np.testing.assert_allclose(grid.inverse(u_hat * grid.symbol(name, 1)), gradient[..., i], atol=1e-11)
    for order in (0, 1):
        np.testing.assert_allclose(grid.norm_hat(u_hat, order), grid.norm(u, order), rtol=1e-12)
    np.testing.assert_allclose(grid.integral(jnp.ones(grid.shape)), grid.volume)
    np.testing.assert_allclose(grid.weights.sum(), grid.volume)


def test_parseval_holds_for_rough_fields_on_even_and_odd_grids():
    for n in (16, 17):
        grid = Grid([FourierBasis(9), FourierBasis(n)])
        u = jax.random.normal(jax.random.key(0), grid.shape)
        np.testing.assert_allclose(grid.norm_hat(grid.transform(u)), grid.norm(u), rtol=1e-12)


def test_second_derivative_and_antiderivative():
    basis = FourierBasis(31, 0.0, 3.0)
    k = 2 * np.pi / 3
    u = jnp.sin(2 * k * jnp.asarray(basis.nodes))
    np.testing.assert_allclose(basis.derivative(u, 0, 2), -((2 * k) ** 2) * u, atol=1e-10)
    np.testing.assert_allclose(basis.derivative(basis.antiderivative(u + 4, 0), 0), u, atol=1e-12)
    np.testing.assert_allclose(basis.shift(u, jnp.asarray(0.7)), jnp.sin(2 * k * (jnp.asarray(basis.nodes) - 0.7)), atol=1e-12)


@pytest.mark.parametrize("n", [10, 11, 40, 41])
def test_resample_keeps_a_band_limited_function(n):
    grid = Grid([FourierBasis(20), FourierBasis(21)])
    u, _ = wave(grid, 2, 3)
    other = grid.with_shape(n, n + 3)
    np.testing.assert_allclose(grid.resample(u, n, n + 3), wave(other, 2, 3)[0], atol=1e-12)


@pytest.mark.parametrize("ends", ["closed", "left", "cells"])
def test_uniform_basis_nodes_weights_and_order_two_derivative(ends):
    errors = []
    for n in (40, 80, 160):
        basis = UniformBasis(n, 0.0, 2.0, ends)
        x = jnp.asarray(basis.nodes)
        np.testing.assert_allclose(basis.weights.sum(), 2.0)
        assert (basis.nodes[0] == 0.0) == (ends != "cells") and (basis.nodes[-1] == 2.0) == (ends == "closed")
        errors.append(float(jnp.max(jnp.abs(basis.derivative(jnp.sin(3 * x), 0) - 3 * jnp.cos(3 * x)))))
    rates = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(rates > 1.8), rates


def test_a_quadratic_has_exact_differences_up_to_the_walls():
    basis = UniformBasis(9, 0.0, 1.0)
    x = jnp.asarray(basis.nodes)
    np.testing.assert_allclose(basis.derivative(x**2, 0), 2 * x, atol=1e-12)


def test_calculi_agree_on_a_nonlinear_text():
    text = lambda u: d(u * u, "x") - 2 * d(u, "y", 2) / 3 + (1 - u) ** 2  # noqa: E731
    grid = Grid([FourierBasis(24), FourierBasis(27)])
    f = lambda p: jnp.sin(p[0]) * jnp.cos(2 * p[1]) + 0.2  # noqa: E731
    points = jnp.asarray(grid.nodes.reshape(-1, 2))
    u = jax.vmap(f)(points).reshape(grid.shape)
    spectral = text(SpectralField(grid, nodal=u)).values
    np.testing.assert_allclose(spectral.ravel(), text(AutodiffField(f, ("x", "y")))(points), atol=1e-11)


def test_a_function_of_a_field_in_every_calculus():
    text: Any = lambda u: d(applied(jnp.exp, u) * d(u, "x"), "x")  # noqa: E731
    f = lambda p: jnp.sin(p[0])  # noqa: E731
    spectral, fine = Grid([FourierBasis(48)]), Grid([FourierBasis(400)])
    exact = lambda grid: text(AutodiffField(f, ("x",)))(jnp.asarray(grid.nodes))  # noqa: E731
    at = lambda grid: jax.vmap(f)(jnp.asarray(grid.nodes))  # noqa: E731
    np.testing.assert_allclose(text(SpectralField(spectral, nodal=at(spectral))).values, exact(spectral), atol=1e-11)
    np.testing.assert_allclose(text(StencilField(fine, at(fine), 6)).values, exact(fine), atol=1e-7)


def test_dealiasing_removes_what_a_product_would_fold_back():
    grid = Grid([FourierBasis(32)])
    x = jnp.asarray(grid.bases[0].nodes)
    u = SpectralField(grid, nodal=jnp.cos(10 * x), dealias=2 / 3)
    aliased = SpectralField(grid, nodal=jnp.cos(10 * x), dealias=1.0)
    # cos^2(10 x) = (1 + cos(20 x)) / 2, and 20 folds to 12 on 32 nodes
    product, kept = aliased * aliased, u * u
    assert isinstance(product, SpectralField) and isinstance(kept, SpectralField)
    assert abs(product.coefficients[12]) > 0.2
    np.testing.assert_allclose(jnp.abs(kept.coefficients), np.eye(17)[0] * 0.5, atol=1e-12)
    assert dealias_mask(grid, 2 / 3).sum() == 11


def test_random_field_has_the_stated_covariance():
    """std(u) = 1.118 for the JMLR prior on (0, 2 pi), 1.044 without the mean mode (from sum_k 625 / (k^2 + 25)^2 / 2 pi)."""
    grid = Grid([FourierBasis(128)])
    k = np.arange(1, 64)
    theory = np.sqrt((1 + 2 * np.sum(625 / (k**2 + 25) ** 2)) / (2 * np.pi))
    assert abs(theory - 1.118) < 1e-3
    for zero_mean, expected in ((False, 1.118), (True, 1.044)):
        field = GaussianRandomField(grid, 25.0, 5.0, 2.0, zero_mean)
        u = jax.vmap(field)(jax.random.split(jax.random.key(0), 8000))
        assert abs(float(jnp.std(u)) - expected) < 0.012
        np.testing.assert_allclose(np.sqrt(field.mean_square), expected, atol=1e-3)
        assert (float(jnp.max(jnp.abs(jnp.mean(u, 1)))) < 1e-12) == zero_mean


def test_random_field_in_two_dimensions_has_the_right_spectrum():
    grid = Grid([FourierBasis(12), FourierBasis(10, 0.0, 3.0)])
    field = GaussianRandomField(grid, 1.0, 3.0, 2.0)
    u_hat = jax.vmap(lambda k: grid.transform(field(k)[..., 0]))(jax.random.split(jax.random.key(1), 20000))
    measured = np.asarray(jnp.mean(jnp.abs(u_hat) ** 2, 0))
    kept = field.variances > 0
    np.testing.assert_allclose(measured[kept], field.variances[kept], rtol=0.08)
    assert measured[~kept].max() < 1e-28


def test_one_key_gives_one_function_at_every_resolution():
    make = lambda n: GaussianRandomField(Grid([FourierBasis(n), FourierBasis(n + 1)]), 1.0, 3.0, 2.5)  # noqa: E731
    key = jax.random.key(5)
    fine, coarse = make(40)(key)[..., 0], make(20)(key)[..., 0]
    projected = Grid([FourierBasis(40), FourierBasis(41)]).resample(fine, 20, 21)
    np.testing.assert_allclose(projected, coarse, atol=1e-12)


def test_random_field_is_the_same_in_both_precisions():
    with jax.enable_x64(False):
        single = GaussianRandomField(Grid([FourierBasis(32)]), 25.0, 5.0, 2.0)(jax.random.key(2))
    double = GaussianRandomField(Grid([FourierBasis(32)]), 25.0, 5.0, 2.0)(jax.random.key(2))
    assert single.dtype == jnp.float32 and double.dtype == jnp.float64
    np.testing.assert_allclose(single, double, atol=1e-5)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: FourierBasis(1), "n: expected a number of nodes >= 2, received 1"),
    (lambda: FourierBasis(8, 1.0, 1.0), "lower < upper"),
    (lambda: UniformBasis(8, 0.0, 1.0, "both"), "ends"),  # pyright: ignore[reportArgumentType]
    (lambda: Grid([FourierBasis(8)]).axis("y"), "one of ('x',)"),
    (lambda: Grid([FourierBasis(8)]).check(jnp.zeros(9)), "jax.vmap"),
    (lambda: GaussianRandomField(Grid([UniformBasis(8)]), 1.0, 1.0, 2.0), "FourierBasis"),
    (lambda: GaussianRandomField(Grid([FourierBasis(8)]), 1.0, 0.0, 2.0), "zero_mean"),
])
def test_bad_arguments_are_named(make, words):
    with pytest.raises((UsageError, TypeCheckError), match=re.escape(words)):
        make()


def test_grids_are_static_and_hashable():
    grid = Grid([FourierBasis(8), UniformBasis(5)])
    assert jax.tree.leaves(grid) == [] and hash(grid) == hash(Grid([FourierBasis(8), UniformBasis(5)]))
