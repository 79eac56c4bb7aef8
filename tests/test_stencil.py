"""The stencil calculus: weights, measured orders on every kind of axis, and PDE texts; manufactured right sides."""

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
    ChebyshevBasis,
    CosineBasis,
    FourierBasis,
    Grid,
    SineBasis,
    SpectralField,
    StencilField,
    UniformBasis,
    d,
    finite_difference_weights,
    known,
    manufactured,
)
from pdesurr.pdes import Burgers

pytestmark = pytest.mark.usefixtures("x64")


def values(field: Any):
    return field.values


def test_weights_are_the_textbook_ones_and_exact_on_polynomials():
    three, five = np.arange(-1.0, 2.0), np.arange(-2.0, 3.0)
    np.testing.assert_allclose(finite_difference_weights(three, 0.0, 2), [1, -2, 1], atol=1e-15)
    np.testing.assert_allclose(12 * finite_difference_weights(five, 0.0, 1), [1, -8, 0, 8, -1], atol=1e-14)
    np.testing.assert_allclose(2 * finite_difference_weights(np.arange(3.0), 0.0, 1), [-3, 4, -1], atol=1e-15)
    x = np.array([0.0, 0.3, 0.35, 1.1, 1.7, 2.0])
    for order in range(5):
        w = finite_difference_weights(x, 0.9, order)
        exact = [np.polynomial.Polynomial.basis(p).deriv(order)(0.9) if order else 0.9**p for p in range(6)]
        np.testing.assert_allclose(w @ x[:, None] ** np.arange(6), exact, atol=1e-9)
    with pytest.raises(UsageError, match="more than 2"):
        finite_difference_weights(three[:2], 0.0, 2)


def rates(make, text, f, accuracy, sizes=(48, 96)):
    """Observed orders of a text, in the maximum norm, up to the walls."""
    errors = []
    for n in sizes:
        grid = Grid([make(n)])
        error = jax.jit(lambda x, g=grid: text(StencilField(g, jax.vmap(f)(x), accuracy)).values - text(AutodiffField(f, ("x",)))(x))
        errors.append(float(np.abs(error(grid.nodes)).max()))
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_burgers_text_has_the_stated_order_on_a_periodic_axis(accuracy):
    pde = Burgers(nu=0.1)
    text = lambda u: pde.linear(u) + pde.nonlinear(u)  # noqa: E731
    found = rates(FourierBasis, text, lambda p: jnp.exp(jnp.sin(p[0])), accuracy)
    assert abs(found[-1] - accuracy) < 0.25, found


@pytest.mark.parametrize("make", [UniformBasis, lambda n: UniformBasis(n, -1.0, 1.0, "cells"), ChebyshevBasis, SineBasis, CosineBasis],
                         ids=["closed", "cells", "chebyshev", "sine", "cosine"])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_order_holds_up_to_the_walls(make, accuracy):
    """The function satisfies no condition at the walls."""
    text = lambda u: d(u, "x", 2) - 0.3 * d(u * u, "x") + d(u, "x", 3) / 50  # noqa: E731
    found = rates(make, text, lambda p: jnp.sin(2 * p[0] + 0.4), accuracy, (64, 128))
    assert found[-1] > accuracy - 0.35, found


def test_stencil_and_spectral_read_the_same_text_on_two_axes():
    grid = Grid([UniformBasis(41, 0.0, 1.0), FourierBasis(48)], ["t", "x"])
    spectral_grid = Grid([ChebyshevBasis(12, 0.0, 1.0), FourierBasis(48)], ["t", "x"])
    text: Any = lambda u: d(u, "t") - d(u, "x", 2) + u**2 / 2 - 1  # noqa: E731

    @jax.jit
    def both(u, v):
        spectral = text(SpectralField(spectral_grid, nodal=v, dealias=1.0)).coefficients
        return text(StencilField(grid, u, 6)).values, spectral_grid.interpolate(spectral, grid)

    stencil, spectral = both(*(np.exp(-g.nodes[..., 0]) * np.sin(g.nodes[..., 1]) for g in (grid, spectral_grid)))
    np.testing.assert_allclose(stencil, spectral, atol=1e-6)


def test_a_known_function_is_the_same_field_in_every_calculus():
    """u_t - (x^2 u_x)_x on a grid without a Fourier axis."""
    grid = Grid([ChebyshevBasis(10, 0.0, 1.0), ChebyshevBasis(11, 0.0, 1.0)], ["t", "x"])
    text: Any = lambda u: d(u, "t") - d(known(u, lambda x: x**2, "x") * d(u, "x"), "x")  # noqa: E731
    t, x = grid.nodes[..., 0], grid.nodes[..., 1]
    u = np.exp(x - t)
    exact = -u - 2 * x * u - x**2 * u
    fields = jax.jit(lambda u: (text(SpectralField(grid, nodal=u, dealias=1.0)).values, text(StencilField(grid, u, 6)).values))
    for found, tolerance in zip(fields(u), (1e-7, 1e-3), strict=True):
        np.testing.assert_allclose(found, exact, atol=tolerance)
    autodiff = text(AutodiffField(lambda p: jnp.exp(p[1] - p[0]), ("t", "x")))
    np.testing.assert_allclose(jax.jit(autodiff)(grid.nodes.reshape(-1, 2)), exact.ravel(), atol=1e-13)
    assert all(v.dtype == jnp.float32 for v in jax.eval_shape(fields, u.astype(np.float32)))


def test_single_precision_vmap_and_grad():
    grid = Grid([UniformBasis(9), FourierBasis(7)])
    loss = lambda u: jnp.sum(values(d(StencilField(grid, u, 4) ** 2, "x")) ** 2) + jnp.sum(values(d(StencilField(grid, u), "y")))  # noqa: E731
    u = jax.random.normal(jax.random.key(0), (2, *grid.shape), jnp.float32)
    slopes = jax.jit(jax.vmap(jax.grad(loss)))(u)
    assert slopes.dtype == jnp.float32
    np.testing.assert_allclose(slopes[1], jax.jit(jax.grad(loss))(u[1].astype(jnp.float64)), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: StencilField(Grid([FourierBasis(8)]), jnp.zeros(8), 3), "order"),  # pyright: ignore[reportArgumentType]
    (lambda: d(StencilField(Grid([UniformBasis(5)]), jnp.zeros(5), 6), "x"), "at least 7 nodes"),
    (lambda: d(StencilField(Grid([FourierBasis(8)]), jnp.zeros(8)), "t"), "one of ('x',)"),
    (lambda: manufactured(lambda u: u, lambda p: p[0], ("x",), jnp.zeros((3, 2))), "one coordinate for each of ('x',)"),
])
def test_bad_arguments_are_named(make, words):
    with pytest.raises((UsageError, TypeCheckError), match=re.escape(words)):
        make()


def test_manufactured_right_sides_are_the_operators_of_the_chosen_solution():
    """-div(a grad u) with a = exp(x), u = sin(pi x) sin(pi y); and on a space-time grid the heat equation's residual."""
    a = AutodiffField(lambda p: jnp.exp(p[0]), ("x", "y"))
    operator = lambda u: -d(a * d(u, "x"), "x") - d(a * d(u, "y"), "y")  # noqa: E731
    points = np.random.default_rng(0).uniform(size=(6, 2))
    f = manufactured(operator, lambda p: jnp.sin(jnp.pi * p[0]) * jnp.sin(jnp.pi * p[1]), ("x", "y"), jnp.asarray(points))
    x, y = points.T
    exact = np.exp(x) * np.sin(np.pi * y) * (2 * np.pi**2 * np.sin(np.pi * x) - np.pi * np.cos(np.pi * x))
    np.testing.assert_allclose(f, exact, atol=1e-12)
    grid = Grid([ChebyshevBasis(5, 0.0, 1.0), FourierBasis(6)], ["t", "x"])
    heat = lambda u: d(u, "t") - d(u, "x", 2)  # noqa: E731
    f = manufactured(heat, lambda p: p[0] * jnp.sin(2 * p[1]), ("t", "x"), grid)
    t, x = grid.nodes[..., 0], grid.nodes[..., 1]
    np.testing.assert_allclose(f, (1 + 4 * t) * np.sin(2 * x), atol=1e-13)


def test_a_solver_fed_with_a_manufactured_right_side_returns_the_chosen_solution():
    """-u'' = f with u = x (1 - x) exp(x), by Chebyshev collocation."""
    basis = ChebyshevBasis(16, 0.0, 1.0)
    exact = lambda p: p[0] * (1 - p[0]) * jnp.exp(p[0])  # noqa: E731
    f = manufactured(lambda u: -d(u, "x", 2), exact, ("x",), Grid([basis]))
    u = np.linalg.solve(-basis.differentiation_matrix(2)[1:-1, 1:-1], f[1:-1])
    np.testing.assert_allclose(u, jax.vmap(exact)(jnp.asarray(basis.nodes[1:-1, None])), atol=1e-12)
