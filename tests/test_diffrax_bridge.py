"""Diffrax behind this room's face: against ETDRK, against other people's files, and when it fails."""

import math

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import loadmat

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis
from pdesurr.pdes import Burgers, KuramotoSivashinsky
from pdesurr.solvers import etdrk, repeated, trajectory
from pdesurr.solvers.chebyshev import dirichlet_matrix
from pdesurr.solvers.diffrax_bridge import ExponentialRungeKutta, adaptive, begin

pytestmark = pytest.mark.usefixtures("x64")


def start(pde, n=32):
    grid = pde.grid(n)
    x = 2 * jnp.pi * jnp.asarray(grid.bases[0].nodes) / grid.bases[0].length
    return grid, grid.transform(jnp.sin(x) + 0.5 * jnp.cos(2 * x))


def test_agrees_with_etdrk_on_coefficients():
    pde = Burgers(nu=0.2)
    grid, u = start(pde)
    equation = pde.semilinear(grid)
    truth = jax.jit(repeated(etdrk(equation, 1.0 / 200), 200))(u)
    found, right = jax.jit(repeated(adaptive(equation, 0.5), 2))(begin(u))
    assert bool(right) and float(jnp.max(jnp.abs(found - truth))) < 1e-8
    loose, _ = jax.jit(adaptive(equation, 1.0, rtol=1e-3, atol=1e-5))(begin(u))
    assert 1e-8 < float(jnp.max(jnp.abs(loose - truth))) < 1e-3


@pytest.mark.filterwarnings("ignore:Complex dtype support")
@pytest.mark.parametrize("order", [2, 4])
def test_etdrk_as_a_diffrax_solver(order):
    pde = KuramotoSivashinsky(length=22.0)
    grid, u = start(pde)
    equation = pde.semilinear(grid)
    term = diffrax.ODETerm(lambda t, y, args: equation.nonlinear(y))
    done = diffrax.diffeqsolve(term, ExponentialRungeKutta(equation.symbol, order), 0.0, 2.0, 0.1, u)
    assert done.ys is not None
    np.testing.assert_allclose(done.ys[-1], jax.jit(repeated(etdrk(equation, 0.1, order), 20))(u), atol=1e-11)


@pytest.mark.filterwarnings("ignore:Complex dtype support")
def test_a_step_of_another_length_has_coefficients_of_its_own():
    pde = KuramotoSivashinsky()
    grid, u = start(pde)
    equation = pde.semilinear(grid)
    term = diffrax.ODETerm(lambda t, y, args: equation.nonlinear(y))
    times = diffrax.StepTo(jnp.asarray([0.0, 0.1, 0.2, 0.3, 0.33]))
    done = diffrax.diffeqsolve(term, ExponentialRungeKutta(equation.symbol), 0.0, 0.33, None, u, stepsize_controller=times)
    assert done.ys is not None
    truth = etdrk(equation, 0.03)(repeated(etdrk(equation, 0.1), 3)(u))
    np.testing.assert_allclose(done.ys[-1], truth, atol=1e-13)


def test_failure_is_an_outcome_without_nan():
    """u_t = u^2 from 1 has no solution at t = 1: the state stays, the flag falls, and later steps keep it down."""
    states, right = jax.jit(trajectory(adaptive(lambda u: u * u, 0.4, most=200), 4))(begin(jnp.ones(3)))
    np.testing.assert_array_equal(right, [True, True, False, False])
    np.testing.assert_allclose(states[:2, 0], [1 / 0.6, 1 / 0.2], rtol=1e-6)
    assert bool(jnp.all(jnp.isfinite(states)))
    with pytest.raises(UsageError, match="error estimate"):
        adaptive(lambda u: u, 0.1, solver=diffrax.Euler())
    with pytest.raises(UsageError, match="dt"):
        adaptive(lambda u: u, 0.0)


def test_gradient_is_that_of_the_flow():
    """u(1) = u0 exp(-p): d/dp is -u(1)."""
    flow = lambda p: jnp.sum(adaptive(lambda u: -p * u, 1.0)(begin(jnp.asarray([2.0])))[0])  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.grad(flow))(0.7), -2 * math.exp(-0.7), rtol=1e-7)


@pytest.mark.slow
def test_allen_cahn_between_walls_finds_the_error_of_deepxdes_file(shared_data):
    """w = u + 1 vanishes at the walls; an implicit method, since collocation is stiff. On 256 nodes ours is within 6e-6 of 320's, so that
    the gap of 1.57e-4 over all times is the file's own error."""
    file = loadmat(shared_data / "allen_cahn_deepxde.mat")
    basis = ChebyshevBasis(256)
    second = jnp.asarray(dirichlet_matrix(256))
    x = jnp.asarray(basis.nodes[1:-1])

    def rate(w):
        u = w - 1
        return 0.001 * second @ w + 5 * (u - u**3)

    step = adaptive(rate, 0.01, rtol=1e-5, atol=1e-7, solver=diffrax.Kvaerno5())
    w, right = jax.jit(trajectory(step, 100, include_start=True))(begin(x**2 * jnp.cos(jnp.pi * x) + 1))
    assert bool(right[-1])
    u_hat = basis.transform(jnp.pad(w, ((0, 0), (1, 1))), 1)
    values = u_hat @ basis.functions(jnp.asarray(file["x"][0]), False).T - 1
    error = np.linalg.norm(values - file["u"]) / np.linalg.norm(file["u"])
    assert abs(error - 1.57e-4) < 1e-6, error


def test_burgers_agrees_with_deepxdes_file(shared_data):
    """-sin(pi x) on (-1, 1) is odd, so walls and a period are the same; our grid starts at 0, where theirs has -1."""
    file = np.load(shared_data / "burgers_deepxde.npz", allow_pickle=False)
    pde = Burgers(nu=0.01 / math.pi, length=2.0)
    grid = pde.grid(1536)
    x = jnp.asarray(grid.bases[0].nodes) - 1
    times = tuple(float(t) for t in file["t"].ravel()[[25, 50, 99]])
    u = pde.solve(-jnp.sin(jnp.pi * x)[:, None], grid, times, method="heat_kernel")[..., 0]
    at = jnp.asarray(file["x"].ravel() + 1)[:, None]
    values = jnp.stack([grid.evaluate(grid.transform(v), at) for v in u])
    theirs = file["usol"][:, [25, 50, 99]].T
    assert np.linalg.norm(values - theirs) / np.linalg.norm(theirs) < 1e-9
