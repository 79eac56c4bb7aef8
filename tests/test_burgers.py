"""Burgers: three routes that agree, exactness, the choice between them, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr.checks import UsageError
from pdesurr.pdes import Burgers, Setting

pytestmark = pytest.mark.usefixtures("x64")
PDE = Burgers()
GRID = PDE.grid(512)


def draw(pde=PDE, grid=GRID, n=6):
    return jax.vmap(lambda k: pde.sample(k, grid))(jax.random.split(jax.random.key(0), n))


def test_exact_solution_by_both_cole_hopf_routes():
    pde, grid = Burgers(nu=0.3), Burgers(nu=0.3).grid(64)
    x = jnp.asarray(grid.bases[0].nodes)

    def exact(t):
        decay = 0.8 * jnp.exp(-0.3 * t)
        return 0.25 + 0.6 * decay * jnp.sin(x - 0.25 * t) / (1 + decay * jnp.cos(x - 0.25 * t))

    times = (0.3, 1.0, 7.0)
    for route in (pde.cole_hopf, pde.heat_kernel):
        u = route(exact(0.0)[:, None], grid, times)
        for i, t in enumerate(times):
            np.testing.assert_allclose(u[i, :, 0], exact(t), atol=1e-13)


def test_semigroup_to_rounding():
    """Solving to 1 equals solving to 1/2 twice: near machine precision by the heat kernel, for every sample."""
    u = jax.jit(jax.vmap(lambda v: PDE.heat_kernel(v, GRID, (0.5, 1.0))))(draw())
    again = jax.jit(jax.vmap(lambda v: PDE.heat_kernel(v, GRID, (0.5,))))(u[:, 0])
    np.testing.assert_allclose(again[:, 0], u[:, 1], atol=1e-13)


def test_rounding_estimate_bounds_the_fft_routes_error():
    a = draw(n=40)
    fft = jax.jit(jax.vmap(lambda v: PDE.cole_hopf(v, GRID, (1.0,))))(a)
    kernel = jax.jit(jax.vmap(lambda v: PDE.heat_kernel(v, GRID, (1.0,))))(a)
    estimate = jax.jit(jax.vmap(lambda v: PDE.rounding(v, GRID, (1.0,))))(a)
    error = jnp.max(jnp.abs(fft - kernel), axis=(1, 2, 3))
    assert bool(jnp.all(error <= 50 * estimate[:, 0])) and float(jnp.max(estimate)) > 1e-12


def test_cole_hopf_agrees_with_time_stepping():
    a = draw(n=1)[0]
    stepped = PDE.etdrk4(a, GRID, (0.5, 1.0), speed=4.0)
    np.testing.assert_allclose(PDE.cole_hopf(a, GRID, (0.5, 1.0)), stepped, atol=1e-7)


@pytest.mark.parametrize(("nu", "method"), [(0.1, 0), (0.02, 1), (0.0025, 2)])
def test_auto_falls_back_where_cole_hopf_loses_its_digits(nu, method):
    pde, grid = Burgers(nu=nu), Burgers(nu=nu).grid(1024)
    a = pde.sample(jax.random.key(3), grid)
    assert int(pde.best_method(a, grid, (1.0,))) == method
    u = pde.solve(a, grid, (0.3,))
    assert bool(jnp.all(jnp.isfinite(u))) and float(jnp.max(jnp.abs(u))) < 1.02 * float(jnp.max(jnp.abs(a)))
    if method == 1:
        np.testing.assert_allclose(u, pde.etdrk4(a, grid, (0.3,), speed=3.0), atol=1e-4)


def test_auto_inside_jit_is_auto_outside():
    pde, grid = Burgers(nu=0.02), Burgers(nu=0.02).grid(256)
    a = pde.sample(jax.random.key(3), grid)
    inside = jax.jit(lambda v: pde.solve(v, grid, (0.2,), speed=4.0))(a)
    np.testing.assert_allclose(inside, pde.solve(a, grid, (0.2,), speed=4.0), atol=1e-10)


@pytest.mark.parametrize("method", ["cole_hopf", "heat_kernel", "etdrk4"])
def test_gradients_with_respect_to_input_and_viscosity(method):
    grid = PDE.grid(128)
    a = PDE.sample(jax.random.key(1), grid)
    v = jnp.cos(2 * jnp.asarray(grid.bases[0].nodes))[:, None]
    objective = jax.jit(lambda nu, h: jnp.sum(Burgers(nu=nu).solve(a + h * v, grid, method=method, speed=3.0) ** 2))
    point, eps = (jnp.asarray(0.2), jnp.asarray(0.0)), 1e-5
    for i, slope in enumerate(jax.grad(objective, (0, 1))(*point)):
        moved = [objective(*(p + s * eps * (i == j) for j, p in enumerate(point))) for s in (1, -1)]
        np.testing.assert_allclose(slope, (moved[0] - moved[1]) / (2 * eps), rtol=1e-6)


def test_prior_of_the_jmlr_paper():
    grid = PDE.grid(256)
    u0 = draw(grid=grid, n=3000)
    assert abs(float(jnp.std(u0)) - 1.044) < 0.012
    assert abs(float(jnp.std(draw(Burgers(zero_mean=False), grid, 3000))) - 1.118) < 0.015


def test_any_length():
    """u(x, t) on (0, L) is a scaled solution on (0, 2 pi): x -> s x, t -> s t, nu -> s nu keeps the equation."""
    s = 1.7
    scaled = Burgers(nu=0.1 * s, length=2 * np.pi * s)
    a = draw(n=1)[0]
    np.testing.assert_allclose(scaled.cole_hopf(a, scaled.grid(512), (s,)), PDE.cole_hopf(a, GRID, (1.0,)), atol=1e-10)


@pytest.mark.parametrize(
    "setting", [Setting("cole_hopf", (256,), None), Setting("heat_kernel", (128,), None), Setting("etdrk4", (256,), 64)]
)
def test_settings_solve_the_same_problem(setting):
    a = draw(n=1)[0]
    u, truth = PDE.solve_at(a, GRID, setting), PDE.heat_kernel(a, GRID, (1.0,))[0]
    assert float(jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth)) < 2e-3
    assert any(setting in group for group in PDE.settings(GRID))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Burgers(nu=-0.1), "nu: expected a number > 0, received -0.1"),
        (lambda: Burgers(nu=float("nan")), "nu"),
        (lambda: Burgers(length=0.0), "length"),
        (lambda: PDE.solve(jnp.zeros((512, 2)), GRID), "one sample of shape|512,2"),
        (lambda: PDE.solve(jnp.zeros((512, 1)), GRID, (1.0, 0.5)), "times"),
        (lambda: PDE.solve(jnp.zeros((512, 1)), GRID, method="magic"), "method"),  # pyright: ignore[reportArgumentType]
        (lambda: jax.jit(lambda v: PDE.solve(v, GRID))(jnp.zeros((512, 1))), "speed"),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises((UsageError, TypeCheckError), match=words):
        make()


def test_times_may_start_at_zero():
    a = draw(n=1)[0]
    u = PDE.solve(a, GRID, (0.0, 0.5))
    np.testing.assert_array_equal(u[0], a)
    np.testing.assert_array_equal(u[1], PDE.solve(a, GRID, (0.5,))[0])
    np.testing.assert_array_equal(PDE.solve(a, GRID, (0.0,)), a[None])


def test_a_named_route_without_digits_is_refused():
    a = draw()[5].astype(jnp.float32)  # cole_hopf would be .2 off
    with pytest.raises(UsageError, match="heat_kernel"):
        PDE.solve(a, GRID, method="cole_hopf")
    np.testing.assert_allclose(PDE.solve(a, GRID), PDE.solve(a.astype(jnp.float64), GRID), atol=1e-4)


def test_fronts_without_nodes_are_told():
    pde = Burgers(nu=0.01)
    fine, coarse = pde.grid(1024), pde.grid(128)
    a = pde.sample(jax.random.key(0), fine)
    truth = pde.solve(a, fine)[::8]
    with pytest.warns(UserWarning, match="nodes or more"):
        u = pde.solve(a[::8], coarse)
    assert float(jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth)) > 0.01


def test_deepxdes_file_is_right_and_so_are_we(shared_data, x64):
    """u(x, 0) = -sin(pi x) on (-1, 1), nu = .01 / pi, the benchmark of PINNs: a front that is hundreds of times thinner than the box."""
    with np.load(shared_data / "burgers_deepxde.npz") as file:
        x, t, u = (file[name] for name in ("x", "t", "usol"))
    pde = Burgers(nu=0.01 / np.pi, length=2.0)
    grid = pde.grid(2048)
    start = jnp.asarray(np.sin(np.pi * grid.nodes))  # their x is ours less 1
    ours = pde.solve(start, grid, tuple(t[::11, 0].tolist()), method="heat_kernel")
    at = jax.vmap(lambda v: grid.evaluate(grid.transform(v), jnp.asarray(x + 1.0)))(ours)
    assert float(jnp.max(jnp.abs(at[..., 0].T - u[:, ::11]))) < 1e-9
