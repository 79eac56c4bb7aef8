"""Navier-Stokes: the sign of the vorticity, the four transforms of a step, the public scheme, steps that are refused."""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import SpectralField, d
from pdesurr.pdes import NavierStokes
from pdesurr.solvers import crank_nicolson_euler, etdrk, imex, repeated, stable_step

pytestmark = pytest.mark.usefixtures("x64")


def vortices(grid):
    x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    return jnp.sin(2 * jnp.pi * x) * jnp.cos(4 * jnp.pi * y) + 0.5 * jnp.cos(2 * jnp.pi * (x - y))


def test_vorticity_is_dv_dx_minus_du_dy_and_a_positive_vortex_turns_anticlockwise():
    pde = NavierStokes()
    grid = pde.grid(32)
    w = vortices(grid)
    u, v = pde.velocity(w, grid)
    field = lambda values: SpectralField(grid, nodal=values, dealias=1.0)  # noqa: E731
    np.testing.assert_allclose(d(field(v), "x").values - d(field(u), "y").values, w, atol=1e-12)
    np.testing.assert_allclose(d(field(u), "x").values + d(field(v), "y").values, 0, atol=1e-12)
    x, y = np.moveaxis(grid.nodes, -1, 0)
    blob = jnp.exp(-50 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    _, v = pde.velocity(blob - jnp.mean(blob), grid)
    assert float(v[24, 16]) > 0 > float(v[8, 16])  # up on the right of it, down on the left


def test_advection_is_minus_u_grad_w():
    pde = NavierStokes(forcing=0.0)
    grid = pde.grid(48)
    w = vortices(grid)
    u, v = pde.velocity(w, grid)
    plain = -(u * grid.derivative(w, "x") + v * grid.derivative(w, "y"))
    ours = pde.nonlinear(SpectralField(grid, nodal=w, dealias=1.0))
    np.testing.assert_allclose(ours.values, plain, atol=1e-12)


def test_a_step_makes_four_transforms_for_each_evaluation():
    pde = NavierStokes()
    grid = pde.grid(16)
    step = etdrk(pde.semilinear(grid), 0.01)
    w_hat = grid.transform(vortices(grid))
    text = jax.jit(step).lower(w_hat).compile().as_text()
    assert len(re.findall(r" fft\(", text)) == 4 * 4


def test_forcing_is_the_published_one():
    pde = NavierStokes()
    grid = pde.grid(16)
    x, y = np.moveaxis(grid.nodes, -1, 0)
    rest = pde.nonlinear(SpectralField(grid, hat=jnp.zeros(grid.shape_hat(), complex)))
    np.testing.assert_allclose(rest.values, 0.1 * (np.sin(2 * np.pi * (x + y)) + np.cos(2 * np.pi * (x + y))), atol=1e-14)


def test_public_scheme_converges_to_ours_at_first_order():
    pde = NavierStokes(nu=1e-2, horizon=0.5, intervals=1, history=1)
    grid = pde.grid(16)
    a = vortices(grid)[..., None]
    truth = pde.solve(a, grid, dt=0.005)
    errors = [float(jnp.linalg.norm(pde.replay(a, grid, (0.5,), dt)[0] - truth)) for dt in (0.01, 0.005, 0.0025)]
    assert np.all(np.abs(np.log2(np.array(errors[:-1]) / np.array(errors[1:])) - 1) < 0.1), errors


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3])
def test_imex_orders(order):
    pde = NavierStokes(nu=1e-2, horizon=0.5)
    grid = pde.grid(16)
    equation, start = pde.semilinear(grid), grid.transform(vortices(grid) * 5)
    truth = repeated(etdrk(equation, 0.5 / 400), 400)(start)
    steps = np.array([16, 32, 64])
    errors = [float(jnp.linalg.norm(repeated(imex(equation, 0.5 / int(n), order), int(n))(start) - truth)) for n in steps]
    assert abs(-np.polyfit(np.log(steps), np.log(errors), 1)[0] - order) < 0.3, errors


def test_chosen_steps_are_stable_and_much_larger_ones_are_not():
    pde = NavierStokes(nu=1e-5, forcing=0.0, horizon=4.0, intervals=1, history=1)
    grid = pde.grid(64)
    a = 20 * pde.sample(jax.random.key(0), grid)
    allowed = pde.step_size(grid, float(pde.speed(a, grid)))
    fine, coarse = (pde.evolve(a, grid, (4.0,), dt)[0] for dt in (allowed, 8 * allowed))
    enstrophy = lambda w: float(jnp.sum(w**2) / jnp.sum(a**2))  # noqa: E731 - nothing drives it, so it cannot grow
    assert enstrophy(fine) <= 1.0 and not enstrophy(coarse) < 10
    assert stable_step(np.zeros(3), np.array([0.0, 1.0, 4.0]), 10.0) == pytest.approx(0.5, rel=0.06)


def test_drag_and_kolmogorov_forcing_reach_their_laminar_balance():
    pde = NavierStokes(nu=1e-2, drag=0.5, forcing=0.0, kolmogorov=0.01, wavenumber=2, horizon=20.0, intervals=1, history=1)
    grid = pde.grid(16)
    w = pde.solve(jnp.zeros((16, 16, 1)), grid)
    k = 4 * np.pi
    exact = -0.01 * k * np.cos(k * grid.nodes[..., 1]) / (0.01 * k**2 + 0.5)
    np.testing.assert_allclose(w[..., 0], exact, atol=1e-7)


def test_gradient_with_respect_to_the_viscosity():
    grid = NavierStokes().grid(16)
    a = vortices(grid)[..., None]

    def energy(nu):
        return jnp.sum(NavierStokes(nu=nu, horizon=0.5, intervals=1, history=1).solve(a, grid, (0.5,), dt=0.02) ** 2)

    slope, h = jax.grad(energy)(0.01), 1e-5
    assert float(slope) == pytest.approx(float(energy(0.01 + h) - energy(0.01 - h)) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: NavierStokes(nu=-1.0), "nu: expected a number >= 0"),
    (lambda: NavierStokes(horizon=0.0), "horizon: expected a number > 0"),
    (lambda: NavierStokes(history=60), "history: expected a number of records from 1 to intervals=50"),
    (lambda: solve(dt=0.5), r"dt: expected a time step in \(0, 0\.0\d+\], which is stable"),
    (lambda: solve(times=(2.0, 1.0)), "times: expected increasing"),
    (lambda: solve(fill=jnp.nan), "a: expected finite values"),
    (lambda: NavierStokes().solve(jnp.zeros((8, 8)), NavierStokes().grid(8)), "one sample of shape"),
])
def test_bad_input_is_refused_with_the_allowed_range(call, words):
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize(("rate", "largest"), [(0.0, np.inf), (np.nan, 1.0), (np.inf, 1.0), (1.0, 0.0)])
def test_a_step_is_not_sought_where_none_exists(rate, largest):
    with pytest.raises(UsageError, match="largest: expected|rate: expected"):
        stable_step(np.zeros(2), np.full(2, rate), largest)


def solve(fill=None, **options):
    pde = NavierStokes(nu=1e-5)
    grid = pde.grid(64)
    a = 20 * pde.sample(jax.random.key(0), grid)
    return pde.solve(a if fill is None else a.at[3, 3].set(fill), grid, **{"times": (1.0,), **options})


def test_crank_nicolson_is_exact_at_order_two_for_the_linear_part():
    pde = NavierStokes(nu=0.05, forcing=0.0)
    grid = pde.grid(8)
    x = jnp.asarray(grid.nodes)[..., 0]
    start = grid.transform(jnp.cos(2 * jnp.pi * x))
    errors = []
    for n in (8, 16):
        w = grid.inverse(repeated(crank_nicolson_euler(pde.semilinear(grid), 0.5 / n), n)(start))
        errors.append(float(jnp.max(jnp.abs(w - jnp.cos(2 * jnp.pi * x) * np.exp(-0.05 * 4 * np.pi**2 * 0.5)))))
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.05


def test_a_traced_viscosity_needs_a_step():
    pde = NavierStokes(horizon=1.0)
    grid = pde.grid(16)
    w = pde.sample(jax.random.key(0), grid)
    with pytest.raises(UsageError, match="step_size"):
        jax.grad(lambda nu: jnp.sum(NavierStokes(nu=nu, horizon=1.0).solve(w, grid)))(1e-3)


def test_the_bound_on_the_speed_holds_for_the_published_flow():
    """Otherwise a group of samples is solved again by quarter steps."""
    pde = NavierStokes(nu=1e-4, horizon=20.0, intervals=20)
    grid = pde.grid(32)

    def fastest(key):
        u = pde.evolve(pde.sample(key, grid), grid, pde.record_times[1:], pde.step_size(grid))
        return jnp.max(jax.vmap(lambda v: pde.speed(v, grid))(u))

    found = float(jnp.max(jax.jit(jax.vmap(fastest))(jax.random.split(jax.random.key(0), 16))))
    assert pde.fastest / 1.25 < found < pde.fastest
