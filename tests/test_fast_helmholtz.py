"""Fast diagonalisation: rounding at many nodes, mixed axes, gradients, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, SineBasis, UniformBasis
from pdesurr.pdes import Helmholtz
from pdesurr.pdes.helmholtz import distance_to_spectrum
from pdesurr.solvers import fast_helmholtz
from pdesurr.solvers.chebyshev import dirichlet_matrix, dirichlet_modes

PI = np.pi


def test_exact_to_rounding_at_many_nodes(x64):
    """(10, 10) waves, the hard one of PINN papers, and the lowest eigenvalues, at 160 nodes: no n^4 roundings are lost."""
    pde, grid = Helmholtz(), Helmholtz().grid(160)
    x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    u = fast_helmholtz(grid, 1.0)(pde.source(x, y, 10, 10))
    np.testing.assert_allclose(u, pde.exact(x, y, 10, 10), atol=2e-13)
    np.testing.assert_allclose(dirichlet_modes(160)[2][:20], -((np.arange(1, 21) * PI / 2) ** 2), rtol=1e-12)


def test_matrix_is_the_second_derivative(x64):
    basis = ChebyshevBasis(20)
    s = basis.nodes[1:-1]
    np.testing.assert_allclose(dirichlet_matrix(20) @ ((1 - s**2) * np.exp(s)), (-1 - 4 * s - s**2) * np.exp(s), atol=1e-9)
    np.testing.assert_allclose(dirichlet_matrix(20), basis.differentiation_matrix(2)[1:-1, 1:-1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("other", ["fourier", "sine", "cosine"])
def test_axes_of_different_kinds(other, x64):
    """Walls along x, another basis along y, walls of another length along z."""
    k = {"fourier": 2 * PI, "sine": PI, "cosine": PI}[other]
    basis = {"fourier": FourierBasis(8, 0.0, 1.0), "sine": SineBasis(8), "cosine": CosineBasis(8)}[other]
    wave = {"fourier": lambda y: jnp.cos(k * y), "sine": lambda y: jnp.sin(k * y), "cosine": lambda y: jnp.cos(k * y)}[other]
    grid = Grid([ChebyshevBasis(20), basis, ChebyshevBasis(20, 0.0, 2.0)])
    x, y, z = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    u = jnp.sin(PI * x) * wave(y) * jnp.sin(PI * z)
    f = (-2 * PI**2 - k**2 + 3.0) * u
    np.testing.assert_allclose(jax.jit(fast_helmholtz(grid, 3.0))(f), u, atol=1e-12)


def test_gradient_in_the_wavenumber(x64):
    grid = Helmholtz().grid(12)
    f = Helmholtz().sample(jax.random.key(0), grid)
    objective = jax.jit(lambda k: jnp.sum(Helmholtz(k=k).solve(f, grid) ** 2))
    slope, k, h = jax.grad(objective)(jnp.asarray(1.0)), jnp.asarray(1.0), 1e-4
    np.testing.assert_allclose(slope, (objective(k + h) - objective(k - h)) / (2 * h), rtol=1e-6)


def test_float32():
    grid = Helmholtz().grid(48)
    x, y = jnp.moveaxis(jnp.asarray(grid.nodes, jnp.float32), -1, 0)
    u = fast_helmholtz(grid, 1.0)(Helmholtz().source(x, y))
    assert u.dtype == jnp.float32 and float(jnp.max(jnp.abs(u - Helmholtz.exact(x, y)))) < 2e-5


def test_the_spectrum_and_wrong_grids_are_refused():
    assert distance_to_spectrum(0.0) == float("inf")
    np.testing.assert_allclose(distance_to_spectrum(1.01 * 5 * PI**2 / 4), 1 - 1 / 1.01, rtol=1e-9)
    with pytest.raises(UsageError, match="eigenvalues"):
        Helmholtz(k=float(5**0.5 * PI / 2))
    with pytest.raises(UsageError, match="grid"):
        fast_helmholtz(Grid([UniformBasis(8)]))
    with pytest.raises(UsageError, match="nodes"):
        fast_helmholtz(Grid([ChebyshevBasis(3)]))
