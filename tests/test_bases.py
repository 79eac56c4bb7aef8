"""Spectral bases between walls, and grids that mix them: transforms, derivatives, norms, resampling, evaluation."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, SineBasis, SpectralField, UniformBasis, d, dealias_mask
from pdesurr.nn.spectral_conv import SpectralConv

pytestmark = pytest.mark.usefixtures("x64")
L = 3.0
WALLS = (-1.0, 2.0)


def values(field: Any):
    return field.values


def smooth(basis, x):
    """A function of the basis, its first and its second derivative."""
    s = x - basis.lower
    if isinstance(basis, ChebyshevBasis):
        return np.exp(0.5 * s), 0.5 * np.exp(0.5 * s), 0.25 * np.exp(0.5 * s)
    if isinstance(basis, SineBasis):
        k, m = np.pi / L, 3 * np.pi / L
        return (np.sin(k * s) - 0.5 * np.sin(m * s), k * np.cos(k * s) - 0.5 * m * np.cos(m * s),
                -(k**2) * np.sin(k * s) + 0.5 * m**2 * np.sin(m * s))
    if isinstance(basis, CosineBasis):
        k, m = np.pi / L, 4 * np.pi / L
        return (0.3 + np.cos(k * s) + np.cos(m * s), -k * np.sin(k * s) - m * np.sin(m * s),
                -(k**2) * np.cos(k * s) - m**2 * np.cos(m * s))
    k = 2 * np.pi / L
    return 1 + np.sin(k * s), k * np.cos(k * s), -(k**2) * np.sin(k * s)


def each(*sizes):
    bases = [kind(n, *WALLS) for kind in (ChebyshevBasis, SineBasis, CosineBasis) for n in sizes]
    return pytest.mark.parametrize("basis", bases, ids=lambda b: f"{type(b).__name__}-{b.n}")


@each(20, 21)
def test_round_trip_derivatives_and_evaluation(basis):
    u, du, ddu = smooth(basis, basis.nodes)
    rough = jax.random.normal(jax.random.key(0), (2, basis.n, 3))
    z = jax.lax.complex(rough, rough[::-1])
    x = np.array([WALLS[0], -0.2, 1.7, WALLS[1]])

    @jax.jit
    def everything(u, rough, z, x):
        u_hat = basis.transform(u, 0)
        back = [basis.inverse(basis.transform(v, 1), 1) for v in (rough, z)]
        slopes = basis.derivative(u, 0), basis.derivative(u, 0, 2), basis.inverse(jnp.asarray(basis.derivative_hat(u_hat, 0, 2)), 0)
        return back, slopes, jax.vmap(jax.value_and_grad(lambda x: basis.functions(x[None])[0] @ u_hat))(x)

    back, slopes, (value, gradient) = everything(u, rough, z, x)
    np.testing.assert_allclose(back[0], rough, atol=1e-13)
    np.testing.assert_allclose(back[1], z, atol=1e-13)
    for slope, exact in zip(slopes, (du, ddu, ddu), strict=True):
        np.testing.assert_allclose(slope, exact, atol=1e-10)
    np.testing.assert_allclose(value, smooth(basis, x)[0], atol=1e-12)
    np.testing.assert_allclose(gradient, smooth(basis, x)[1], atol=1e-10)


@each(8, 9)
def test_coefficients_are_those_of_the_stated_functions(basis):
    """The matrix of basis functions at the nodes is the inverse transform, on every mode."""
    table = basis.functions(jnp.asarray(basis.nodes))
    np.testing.assert_allclose(basis.inverse(jnp.eye(basis.n), 0), table, atol=1e-12)
    s = (basis.nodes - WALLS[0]) / L
    stated = {ChebyshevBasis: np.cos(5 * np.arccos(2 * s - 1)), SineBasis: np.sin(6 * np.pi * s), CosineBasis: np.cos(5 * np.pi * s)}
    np.testing.assert_allclose(table[:, 5], stated[type(basis)], atol=1e-12)


@each(20)
def test_norms_are_those_of_plain_l2(basis):
    grid = Grid([basis])
    x, w = np.polynomial.legendre.leggauss(60)
    x, w = WALLS[0] + (x + 1) / 2 * L, w * L / 2
    u, du, _ = smooth(basis, basis.nodes)
    v, dv, _ = smooth(basis, x)
    rough = np.random.default_rng(0).standard_normal(basis.n)

    @jax.jit
    def norms(u, rough):
        u_hat = grid.transform(u)
        both = [jnp.stack([grid.norm_hat(u_hat, order), grid.norm(u, order)]) for order in (0, 1)]
        return both, grid.norm_hat(rough), basis.functions(jnp.asarray(x))

    (plain, sobolev), of_rough, table = norms(u, rough)
    np.testing.assert_allclose(plain, np.sqrt(w @ v**2), rtol=1e-12)
    np.testing.assert_allclose(sobolev, np.sqrt(w @ (v**2 + dv**2)), rtol=1e-10)
    np.testing.assert_allclose(of_rough, np.sqrt(w @ (table @ rough) ** 2), rtol=1e-10)


@each(20)
def test_resampling_up_and_down_keeps_a_resolved_function(basis):
    grid, u = Grid([basis]), jnp.asarray(smooth(basis, basis.nodes)[0])
    for n in (16, 20, 37):
        np.testing.assert_allclose(grid.resample(u, n), smooth(basis, basis.with_n(n).nodes)[0], atol=1e-10)


def test_chebyshev_nodes_weights_and_differentiation_matrix():
    for n in (2, 3, 12, 13):
        basis = ChebyshevBasis(n, *WALLS)
        x = basis.nodes
        assert np.all(np.diff(x) > 0) and (x[0], x[-1]) == WALLS
        powers = (x[:, None] / 2) ** np.arange(n)
        exact = (1.0 - (-0.5) ** np.arange(1, n + 1)) * 2 / np.arange(1, n + 1)
        np.testing.assert_allclose(basis.weights @ powers, exact, rtol=1e-12)
        for order in (1, 2, 3):
            assert np.abs(basis.differentiation_matrix(order).sum(axis=1)).max() < 1e-8
        np.testing.assert_allclose(basis.differentiation_matrix() @ powers[:, -1], (n - 1) / 2 * (x / 2) ** (n - 2), atol=1e-11)
    basis = ChebyshevBasis(24, *WALLS)
    u, du, ddu = smooth(basis, basis.nodes)
    np.testing.assert_allclose(basis.differentiation_matrix() @ u, du, atol=1e-11)
    np.testing.assert_allclose(basis.differentiation_matrix(2) @ u, ddu, atol=1e-10)


@pytest.mark.parametrize("basis", [SineBasis(12, *WALLS), CosineBasis(12, *WALLS)], ids=["sine", "cosine"])
def test_odd_derivatives_leave_the_basis_and_say_so(basis):
    grid = Grid([basis])
    u = SpectralField(grid, nodal=jnp.asarray(smooth(basis, basis.nodes)[0]))
    with pytest.raises(UsageError, match="even derivative on a .*use a ChebyshevBasis"):
        d(u * u, "x")
    np.testing.assert_allclose(values(d(u, "x", 2)), smooth(basis, basis.nodes)[2], atol=1e-10)


MIXED = Grid([ChebyshevBasis(14, 0.0, 2.0), FourierBasis(12, -1.0, 2.0), CosineBasis(9, *WALLS)], ["t", "x", "y"])


def product(grid, points):
    return np.prod([smooth(b, points[..., i])[0] for i, b in enumerate(grid.bases)], axis=0)


@pytest.mark.parametrize("grid", [MIXED, Grid([FourierBasis(8, *WALLS), SineBasis(7, *WALLS)]),
                                  Grid([FourierBasis(9, *WALLS), ChebyshevBasis(17, *WALLS), FourierBasis(8, *WALLS)])],
                         ids=["t-x-y", "fourier-sine", "fourier-chebyshev-fourier"])
def test_any_mix_of_bases(grid):
    rough = jax.random.normal(jax.random.key(0), (*grid.shape, 2))
    z = jax.lax.complex(rough, 1 - rough)
    points = np.random.default_rng(0).uniform([b.lower for b in grid.bases], [b.upper for b in grid.bases], (5, grid.ndim))
    finer = grid.with_shape(*(n + 3 for n in grid.shape))
    other = Grid([UniformBasis(6, b.lower, b.upper) for b in grid.bases])

    @jax.jit
    def everything(u, rough, z, points):
        u_hat = grid.transform(u)
        slopes = [grid.inverse(jnp.asarray(grid.derivative_hat(u_hat, name, 2))) for name in grid.names]
        back = grid.inverse(grid.transform(rough)), grid.inverse(grid.transform(z), half=False)
        return u_hat, back, slopes, grid.evaluate(u_hat, points), grid.interpolate(u_hat, other), grid.resample(u, *finer.shape)

    u_hat, back, slopes, at, on_other, on_finer = everything(product(grid, grid.nodes), rough, z, points)
    assert u_hat.shape == grid.shape_hat() and jnp.iscomplexobj(u_hat)
    np.testing.assert_allclose(back[0], rough, atol=1e-13)
    np.testing.assert_allclose(back[1], z, atol=1e-13)
    for i, slope in enumerate(slopes):
        parts = [smooth(b, grid.nodes[..., j])[2 * (i == j)] for j, b in enumerate(grid.bases)]
        np.testing.assert_allclose(slope, np.prod(parts, axis=0), atol=1e-10)
    np.testing.assert_allclose(at, product(grid, points), atol=1e-9)
    np.testing.assert_allclose(on_other, product(grid, other.nodes), atol=1e-9)
    np.testing.assert_allclose(on_finer, product(finer, finer.nodes), atol=1e-9)


def test_norm_on_a_mixed_grid_is_the_exact_integral():
    """u = exp(t) (2 + sin(x)) on (0, 1) x (0, 2 pi)."""
    grid = Grid([ChebyshevBasis(14, 0.0, 1.0), FourierBasis(9)], ["t", "x"])
    t, x = grid.nodes[..., 0], grid.nodes[..., 1]
    u_hat = grid.transform(jnp.asarray(np.exp(t) * (2 + np.sin(x))))
    time = (np.exp(2) - 1) / 2
    np.testing.assert_allclose(grid.norm_hat(u_hat) ** 2, time * 9 * np.pi, rtol=1e-12)
    np.testing.assert_allclose(grid.norm_hat(u_hat, 1) ** 2, time * (9 + 9 + 1) * np.pi, rtol=1e-12)
    with pytest.raises(UsageError, match="0 .L2. or 1 .H1."):
        grid.norm_hat(u_hat, 2)


def test_half_the_spectrum_is_on_the_last_fourier_axis():
    assert MIXED.half_axis == 1 and MIXED.shape_hat() == (14, 7, 9) and MIXED.shape_hat(half=False) == (14, 12, 9)
    walls = Grid([SineBasis(5), CosineBasis(6)])
    assert walls.half_axis is None and not jnp.iscomplexobj(walls.transform(jnp.ones((5, 6))))
    assert walls.spectral and walls.trigonometric and not walls.fourier
    assert MIXED.spectral and not MIXED.trigonometric


def test_spectral_field_reads_a_text_on_a_space_time_grid():
    """u = exp(-t) sin(x) solves u_t = u_xx; u u_x is its own."""
    grid = Grid([ChebyshevBasis(16, 0.0, 1.0), FourierBasis(16)], ["t", "x"])
    t, x = grid.nodes[..., 0], grid.nodes[..., 1]
    u = SpectralField(grid, nodal=jnp.asarray(np.exp(-t) * np.sin(x)), dealias=1.0)
    np.testing.assert_allclose(values(d(u, "t") - d(u, "x", 2)), 0 * x, atol=1e-10)
    np.testing.assert_allclose(values(u * d(u, "x")), np.exp(-2 * t) * np.sin(x) * np.cos(x), atol=1e-11)


@pytest.mark.parametrize(("kind", "n"), [(ChebyshevBasis, 12), (CosineBasis, 13)])
def test_two_thirds_of_the_modes_make_squares_free_of_aliasing(kind, n):
    """The kept modes of the square of a kept function are right: those of the square on three times the nodes."""
    grid = Grid([kind(n)])
    kept = dealias_mask(grid, 2 / 3)
    assert n // 2 < kept.sum() < n and kept[0] == 1
    fine = grid.with_shape(3 * n)

    @jax.jit
    def squares(u_hat):
        exact = fine.transform(fine.inverse(jnp.pad(u_hat, (0, 2 * n))) ** 2)[:n]
        return grid.transform(grid.inverse(u_hat) ** 2), exact

    square, exact = squares(np.random.default_rng(0).standard_normal(n) * kept)
    np.testing.assert_allclose(square[kept == 1], exact[kept == 1], atol=1e-12)
    assert np.abs(square - exact).max() > 1e-3


@pytest.mark.parametrize("grid", [Grid([ChebyshevBasis(9), FourierBasis(8)]), Grid([SineBasis(5), CosineBasis(6)])],
                         ids=["chebyshev-fourier", "sine-cosine"])
def test_single_precision_stays_single_and_transformations_compose(grid):
    def loss(u):
        u_hat = grid.transform(u)
        slope = grid.inverse(jnp.asarray(grid.derivative_hat(u_hat, "x", 2)))
        at = grid.evaluate(u_hat, jnp.full((2, 2), 0.3, u.dtype))
        finer = grid.resample(u, *(n + 1 for n in grid.shape))
        return slope, at, finer, grid.norm_hat(u_hat, 1), grid.norm(u, 1)

    u = np.random.default_rng(0).standard_normal((3, *grid.shape))
    single, double = jax.jit(jax.vmap(loss))(u.astype(np.float32)), jax.jit(loss)
    assert all(leaf.dtype == jnp.float32 for leaf in single)
    for a, b in zip(single, double(u[1]), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=3e-3, atol=3e-3)
    step = 1e-6 * np.cos(np.arange(u[0].size)).reshape(grid.shape)
    slope = jax.jit(jax.grad(lambda u: loss(u)[3]))(u[0])
    np.testing.assert_allclose(jnp.sum(slope * step), (double(u[0] + step)[3] - double(u[0] - step)[3]) / 2, rtol=1e-4)


def test_the_fourier_layer_takes_a_chebyshev_axis():
    """It reads nodes and weights only: the same operator on Clenshaw-Curtis nodes as on equispaced ones."""
    layer = SpectralConv(1, 1, (3,), key=jax.random.key(0))
    f = lambda x: jnp.asarray(np.exp(-8 * (np.asarray(x) - 0.5) ** 2))[None, None]  # noqa: E731
    coarse, fine = (Grid([ChebyshevBasis(n, 0.0, 1.0)]) for n in (41, 81))
    u, v = (layer(f(g.bases[0].nodes), g, padding=0.5) for g in (coarse, fine))
    np.testing.assert_allclose(u[0, 0], v[0, 0, ::2], atol=1e-7)


@pytest.mark.parametrize(("make", "error", "words"), [
    (lambda: ChebyshevBasis(1), UsageError, "n: expected a number of nodes >= 2, received 1"),
    (lambda: SineBasis(4, 2.0, 1.0), UsageError, "lower < upper"),
    (lambda: Grid([UniformBasis(5)]).transform(jnp.ones(5)), TypeError, "UniformBasis: no transform; use a FourierBasis"),
    (lambda: Grid([ChebyshevBasis(5)]).symbol("x", 1), TypeError, "no wavenumbers"),
    (lambda: Grid([ChebyshevBasis(5)]).derivative_hat(jnp.ones(5), "x", -1), UsageError, "derivatives >= 0"),
    (lambda: Grid([SineBasis(5)]).evaluate(jnp.ones(5), jnp.ones((3, 2))), UsageError, "shape (p, 1)"),
    (lambda: Grid([CosineBasis(5)]).resample(jnp.ones(5), 1), UsageError, "n: expected"),
])
def test_bad_arguments_are_named(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_bases_are_static_and_hashable():
    assert jax.tree.leaves(MIXED) == [] and hash(MIXED) == hash(MIXED.with_shape(*MIXED.shape))
    assert SineBasis(5) != SineBasis(5, 0.0, 2.0)
