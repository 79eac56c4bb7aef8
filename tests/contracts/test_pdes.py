"""What every evolution equation must show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import EVOLUTIONS

from pdesurr.fields import AutodiffField, GaussianRandomField, SpectralField
from pdesurr.solvers import etdrk, repeated, trajectory

pytestmark = pytest.mark.usefixtures("x64")
CASES = pytest.mark.parametrize("case", EVOLUTIONS.values(), ids=EVOLUTIONS)


def smooth(case, n=None):
    """A random band-limited function as nodal values and as a function of a point (t, x)."""
    grid = case.pde.grid(n or case.n)
    u = GaussianRandomField(grid.with_shape(16), 3.0, 2.0, 3.0)(jax.random.key(1))[:, 0]
    coarse = grid.with_shape(16)
    u_hat, k = coarse.transform(u), coarse.wavenumbers()[0]

    def at(point):
        phase = jnp.asarray(k) * (point[1] - grid.bases[0].lower)
        twice = jnp.asarray(coarse.bases[0].multiplicity(half=True))
        return jnp.sum(twice * (jnp.real(u_hat) * jnp.cos(phase) - jnp.imag(u_hat) * jnp.sin(phase)))

    return coarse.resample(u, *grid.shape), at, grid


def points(grid, t=0.0):
    x = jnp.asarray(grid.bases[0].nodes)
    return jnp.stack([jnp.full_like(x, t), x], axis=-1)


@CASES
@pytest.mark.parametrize("half", ["linear", "nonlinear"])
def test_autodiff_and_spectral_read_the_same_text(case, half):
    u, at, grid = smooth(case)
    spectral = getattr(case.pde, half)(SpectralField(grid, nodal=u)).values
    autodiff = getattr(case.pde, half)(AutodiffField(at, ("t", "x")))(points(grid))
    np.testing.assert_allclose(spectral, autodiff, atol=1e-10 * float(jnp.max(jnp.abs(autodiff))))


@CASES
def test_linear_is_linear(case):
    u, _, grid = smooth(case)
    v = jnp.roll(u, 5) ** 2
    apply = lambda w: case.pde.linear(SpectralField(grid, nodal=w, dealias=1.0)).values  # noqa: E731
    np.testing.assert_allclose(apply(2 * u - 3 * v), 2 * apply(u) - 3 * apply(v), atol=1e-9)


@CASES
def test_exact_solution_has_no_residual(case):
    field = AutodiffField(lambda p: case.exact(p[0], p[1]), ("t", "x"))
    at = jnp.asarray([[0.1, 0.3], [0.7, 2.0], [0.4, 5.5]])
    assert float(jnp.max(jnp.abs(case.pde.residual(field)(at)))) < 1e-12
    wrong = AutodiffField(lambda p: 1.1 * case.exact(p[0], p[1]), ("t", "x"))
    assert float(jnp.max(jnp.abs(case.pde.residual(wrong)(at)))) > 1e-4


def stepped(case, n, steps, order=4):
    grid = case.pde.grid(n)
    x = jnp.asarray(grid.bases[0].nodes)
    step = etdrk(case.pde.semilinear(grid), case.horizon / steps, order)
    u = grid.inverse(repeated(step, steps)(grid.transform(case.exact(0.0, x))))
    return float(jnp.max(jnp.abs(u - case.exact(case.horizon, x))))


@CASES
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_order_in_time(case, order):
    steps = np.array([8, 16, 32]) if order == 4 else np.array([16, 32, 64])
    errors = [stepped(case, case.n, int(s), order) for s in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.25, (slope, errors)


@CASES
def test_spectral_convergence_in_space(case):
    errors = [stepped(case, n, 400) for n in (12, 24, 48)]
    assert errors[1] < errors[0] / 30 and errors[2] < max(errors[1] / 300, 1e-11), errors


@CASES
def test_invariants_along_a_trajectory(case):
    u, _, grid = smooth(case)
    step = etdrk(case.pde.semilinear(grid), case.horizon / 200)
    states = np.asarray(jax.vmap(grid.inverse)(trajectory(step, 200, include_start=True)(grid.transform(u))))
    for functional in case.invariants:
        values = [functional(s) for s in states]
        np.testing.assert_allclose(values, values[0], atol=1e-12)
    for functional in case.decaying:
        assert np.all(np.diff([functional(s) for s in states[::20]]) < 0)


@CASES
def test_residual_of_the_solvers_own_trajectory_vanishes(case):
    """u_t by fourth-order differences against the equation's right side: the data and the physics agree, at that order."""
    u, _, grid = smooth(case)
    found = []
    for steps in (40, 80):
        dt = case.horizon / steps
        states = trajectory(etdrk(case.pde.semilinear(grid), dt), steps)(grid.transform(u))
        now = jax.vmap(grid.inverse)(states[steps // 2 - 3 : steps // 2 + 2])
        u_t = (now[0] - 8 * now[1] + 8 * now[3] - now[4]) / (12 * dt)
        field = SpectralField(grid, nodal=now[2])
        right = case.pde.linear(field).values + case.pde.nonlinear(field).values
        found.append(float(jnp.max(jnp.abs(u_t - right))))
    assert found[1] < found[0] / 10 and found[1] < 1e-4, found


@CASES
def test_gradient_with_respect_to_the_input(case):
    """Taylor test: the remainder after the gradient falls with the square of the step."""
    u, _, grid = smooth(case)
    step = etdrk(case.pde.semilinear(grid), case.horizon / 20)
    objective = lambda v: jnp.sum(grid.inverse(repeated(step, 20)(grid.transform(v))) ** 4)  # noqa: E731
    direction = jnp.cos(3 * jnp.asarray(grid.bases[0].nodes))
    slope = jnp.vdot(jax.grad(objective)(u), direction)
    remainders = [float(jnp.abs(objective(u + h * direction) - objective(u) - h * slope)) for h in (1e-3, 5e-4, 2.5e-4)]
    rates = np.log2(np.array(remainders[:-1]) / np.array(remainders[1:]))
    assert np.all(np.abs(rates - 2) < 0.1), (rates, remainders)
