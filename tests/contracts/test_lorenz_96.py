"""Lorenz-96: the equations written out by index, the order in time, the record, gradients, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.pdes import Lorenz96

pytestmark = pytest.mark.usefixtures("x64")
PDE = Lorenz96(spin_up=0.5, horizon=0.2, intervals=2, dt=0.002)
GRID = PDE.grid(6)


def state():
    return jax.jit(lambda k: PDE.sample(k, GRID))(jax.random.key(0))


def test_rate_is_the_sum_over_indices():
    a = np.asarray(state())
    x, y, sites, fast = a[:, 0], a[:, 1:], 6, 4
    expected = np.zeros_like(a)
    for k in range(sites):
        expected[k, 0] = x[k - 1] * (x[(k + 1) % sites] - x[k - 2]) - x[k] + 20 - 0.5 * 8 / 10 * y[k].sum()
        for j in range(fast):
            turn = y[k, (j + 1) % fast] * (y[k, (j + 2) % fast] - y[k, j - 1])
            expected[k, j + 1] = -8 * 10 * turn - 8 * y[k, j] + 0.5 * 8 / 10 * x[k]
    np.testing.assert_allclose(PDE.rate(jnp.asarray(a)), expected, rtol=1e-12)


def test_advection_keeps_energy():
    """Without forcing, damping and coupling nothing is left that could change sum X^2 or sum Y^2 of a site."""
    a = state()
    rate = Lorenz96(forcing=0.0, h=0.0).rate(a) + a * jnp.asarray([1.0, 8.0, 8.0, 8.0, 8.0])[None]
    np.testing.assert_allclose(jnp.sum(a[:, 0] * rate[:, 0]), 0.0, atol=1e-10)
    np.testing.assert_allclose(jnp.sum(a[:, 1:] * rate[:, 1:], axis=1), 0.0, atol=1e-10)


def test_fourth_order_in_time():
    a = state()
    end = lambda dt: jax.jit(lambda v: PDE._recorded(v, dt)[0]["X"][-1])(a)  # noqa: E731
    truth = end(2.5e-4)
    errors = [float(jnp.max(jnp.abs(end(dt) - truth))) for dt in (0.004, 0.002)]
    assert abs(np.log2(errors[0] / errors[1]) - 4) < 0.4, errors


def test_record_solve_and_refinement_agree():
    fields, right = jax.jit(lambda k: PDE.record(k, GRID, "direct"))(jax.random.key(0))
    fine, _ = jax.jit(lambda k: PDE.refined_record(k, GRID, "direct"))(jax.random.key(0))
    assert bool(right) and set(fields) == {"X", "Y1", "Y2", "Y3", "Y4"} and fields["X"].shape == (3, 6)
    np.testing.assert_allclose(PDE.solve(state(), GRID)[:, 5], fields["X"][2], rtol=1e-10)
    for name in fields:
        np.testing.assert_allclose(fine[name], fields[name], atol=1e-4)
    assert float(jnp.max(jnp.abs(fine["X"] - fields["X"]))) > 0
    assert [s.shape for group in PDE.settings(PDE.grid(64)) for s in group] == [(64,)]  # sites are no samples of a function


def test_gradient():
    a = state()
    objective = jax.jit(lambda v: jnp.sum(PDE.solve(v, GRID) ** 2))
    direction = jnp.cos(a)
    slope = jnp.vdot(jax.jit(jax.grad(objective))(a), direction)
    remainder = lambda h: float(jnp.abs(objective(a + h * direction) - objective(a) - h * slope))  # noqa: E731
    assert abs(np.log2(remainder(2e-4) / remainder(1e-4)) - 2) < 0.1


@pytest.mark.parametrize("arguments", [{"fast": 3}, {"dt": 0.0}, {"b": 0.0}, {"spin_up": -1.0}, {"horizon": 0.0}])
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(UsageError):
        Lorenz96(**arguments)
    with pytest.raises(UsageError, match="ring"):
        PDE.solve(state()[:3], PDE.grid(3))
