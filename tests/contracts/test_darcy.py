"""Darcy flow: order, energy, symmetry, gradients, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import DivergedError, UsageError
from pdesurr.fields import AutodiffField, Grid, UniformBasis, manufactured
from pdesurr.pdes import Darcy, LogNormal
from pdesurr.pdes.darcy import _faces
from pdesurr.solvers.elliptic import conjugate_gradients, diffusion, multigrid

pytestmark = pytest.mark.usefixtures("x64")
PDE = Darcy(coefficient=LogNormal(modes=8), refinement=1)


def smooth_a(x, y):
    return 1 + jnp.exp(jnp.sin(2 * x + 1) * jnp.cos(3 * y))


def exact(x, y):
    return jnp.sin(jnp.pi * x) * jnp.sin(2 * jnp.pi * y) * jnp.exp(x)


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["closed", "cells"])
def test_second_order_where_the_coefficient_is_smooth(ends):
    """The forcing that the equation's text gives for a chosen u; the finite volumes give u back to O(h^2)."""
    a_field = AutodiffField(lambda p: smooth_a(p[0], p[1]), ("x", "y"))
    errors = []
    for n in (17, 33, 65):
        grid = Grid([UniformBasis(n, 0.0, 1.0, ends)] * 2)
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
        forcing = 1 + manufactured(lambda u: PDE.residual(u, a_field), lambda p: exact(p[0], p[1]), ("x", "y"), grid)
        faces, inner = _faces(smooth_a(x, y), grid)
        u = jax.jit(lambda f, faces=faces: conjugate_gradients(diffusion(faces), f, multigrid(faces), 25))(forcing[inner])
        errors.append(float(jnp.max(jnp.abs(u - exact(x, y)[inner]))))
    rates = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(np.abs(rates - 2) < 0.25), (rates, errors)


def drawn(n=17):
    grid = PDE.grid(n)
    return grid, PDE.sample(jax.random.key(0), grid), PDE.sample(jax.random.key(1), grid)


def test_solution_makes_the_energy_stationary_and_least():
    grid, a, _ = drawn()
    u = PDE.solve(a, grid)
    slope = jax.grad(lambda v: PDE.energy(v, a, grid))
    inside = slope(u)[1:-1, 1:-1]
    assert float(jnp.max(jnp.abs(inside))) < 1e-9 * float(jnp.max(jnp.abs(slope(jnp.zeros_like(u)))))
    assert float(PDE.energy(1.05 * u, a, grid)) > float(PDE.energy(u, a, grid)) < float(PDE.energy(0.95 * u, a, grid)) < 0


def test_energy_derivative_is_the_operator_and_symmetric():
    grid, a, v = drawn()
    apply, inner = PDE._operator(a[..., 0], grid)
    u, w = v[..., 0][inner], jnp.flip(v[..., 0][inner], 0)
    slope = jax.grad(lambda s: PDE.energy(s, a, grid))(v)[..., 0][inner] * 16**2
    np.testing.assert_allclose(slope, apply(u) - 1.0, rtol=1e-10)
    np.testing.assert_allclose(jnp.vdot(w, apply(u)), jnp.vdot(u, apply(w)), rtol=1e-12)


@pytest.mark.parametrize("what", ["a", "forcing"])
def test_gradients(what):
    grid, a, b = drawn()
    b = a * b / jnp.max(b)

    def objective(s):
        pde = PDE if what == "a" else Darcy(coefficient=PDE.coefficient, forcing=1.0 + s, refinement=1)
        return jnp.sum((pde.solve(a + s * b if what == "a" else a, grid, iterations=25) * 100) ** 4)

    value, slope = jax.jit(jax.value_and_grad(objective))(jnp.asarray(0.0))
    at = jax.jit(objective)
    remainder = lambda h: float(jnp.abs(at(jnp.asarray(h)) - value - h * slope))  # noqa: E731
    assert abs(np.log2(remainder(2e-3) / remainder(1e-3)) - 2) < 0.1


def test_solution_scales_with_the_forcing_and_against_the_coefficient():
    grid, a, _ = drawn()
    u = PDE.solve(a, grid)
    twice = Darcy(coefficient=PDE.coefficient, forcing=2.0).solve(4 * a, grid)
    np.testing.assert_allclose(twice, u / 2, atol=1e-9 * float(jnp.max(u)))
    assert float(jnp.min(u[1:-1, 1:-1])) > 0  # the maximum principle


def test_record_agrees_with_its_refinement():
    grid = PDE.grid(33)
    record, refined = jax.jit(lambda k: (PDE.record(k, grid, "multigrid"), PDE.refined_record(k, grid, "multigrid")))(jax.random.key(2))
    assert bool(record[1]) and bool(refined[1])
    np.testing.assert_allclose(record[0]["a"], refined[0]["a"], rtol=1e-9)
    assert 0 < float(jnp.linalg.norm(record[0]["u"] - refined[0]["u"]) / jnp.linalg.norm(refined[0]["u"])) < 2e-2


def test_bad_inputs_are_refused():
    grid, a, _ = drawn()
    for wrong in (a.at[3, 3].set(0.0), a.at[3, 3].set(-1.0)):
        with pytest.raises(UsageError, match="coefficient > 0"):
            PDE.solve(wrong, grid)
    with pytest.raises(UsageError, match="shape"):
        PDE.solve(a[1:], grid)
    with pytest.raises(UsageError, match="ends"):
        PDE.solve(a, Grid([UniformBasis(17, 0.0, 1.0, "left")] * 2))
    with pytest.raises(UsageError, match="refinement"):
        Darcy(refinement=0)


def test_too_few_iterations_are_an_error():
    pde = Darcy()
    a = pde.sample(jax.random.key(0), pde.grid(33))
    with pytest.raises(DivergedError, match="1 iterations"):
        pde.solve(a, pde.grid(33), iterations=1)
    with pytest.raises(UsageError, match="iterations"):
        pde.solve(a, pde.grid(33), iterations=0)
