"""The wave equation against d'Alembert's solution, at each kind of end; energy; running backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.pdes import Wave

pytestmark = pytest.mark.usefixtures("x64")


def hump(x):
    """Analytic to rounding, and gone at the ends of (0, 1)."""
    return jnp.exp(-(((x - 0.45) / 0.05) ** 2))


def images(ends, x):
    """The start continued over the line: each kind of end is a reflection, or none."""
    m = jnp.floor(x)
    inside = x - m
    odd = jnp.mod(m, 2) == 1
    if ends == "periodic":
        return hump(inside)
    reflected = jnp.where(odd, hump(1 - inside), hump(inside))
    sign = {"fixed": jnp.where(odd, -1.0, 1.0), "free": jnp.ones_like(x),
            "mixed": jnp.where(jnp.mod(m, 4) >= 2, -1.0, 1.0)}[ends]  # odd about 0, even about 1: period 4
    return sign * reflected


@pytest.mark.parametrize("ends", ["periodic", "fixed", "free", "mixed"])
def test_dalembert(ends):
    pde = Wave(c=0.8, ends=(ends,))
    grid = pde.grid(128)
    x = jnp.asarray(grid.bases[0].nodes)
    start = jnp.stack([hump(x), jnp.zeros_like(x)], axis=-1)
    at = jax.jit(lambda t: pde.at(start, grid, t))
    for t in (0.3, 1.1, 2.9, 4.4):
        truth = (images(ends, x - 0.8 * t) + images(ends, x + 0.8 * t)) / 2
        np.testing.assert_allclose(at(t)[:, 0], truth, atol=1e-10)


@pytest.mark.parametrize("ends", [("mixed",), ("periodic", "free"), ("fixed", "mixed")])
def test_energy_is_kept_and_time_runs_back(ends):
    pde = Wave(c=1.3, ends=ends, velocity=0.7)
    grid = pde.grid(24)
    a = pde.sample(jax.random.key(0), grid)
    later = pde.at(a, grid, 2.7)
    np.testing.assert_allclose(pde.energy(later, grid), pde.energy(a, grid), rtol=1e-11)
    np.testing.assert_allclose(pde.at(later, grid, -2.7), a, atol=1e-10)
    assert float(jnp.max(jnp.abs(later - a))) > 0.1


def test_energy_is_the_integral():
    """u = sin(pi x) at rest: pi^2 / 4 with c = 1."""
    pde = Wave(ends=("fixed",))
    grid = pde.grid(9)
    a = jnp.stack([jnp.sin(jnp.pi * jnp.asarray(grid.bases[0].nodes)), jnp.zeros(9)], axis=-1)
    np.testing.assert_allclose(pde.energy(a, grid), np.pi**2 / 4, rtol=1e-12)


def test_a_mean_moves_with_its_velocity():
    pde = Wave(ends=("free",))
    grid = pde.grid(4)
    a = jnp.stack([jnp.full(4, 1.0), jnp.full(4, 3.0)], axis=-1)
    np.testing.assert_allclose(pde.at(a, grid, 2.0), jnp.stack([jnp.full(4, 7.0), jnp.full(4, 3.0)], axis=-1), rtol=1e-12)


@pytest.mark.parametrize("ends", [("mixed",), ("free", "mixed")])
def test_prior_has_its_root_mean_square_and_meets_the_ends(ends):
    pde = Wave(ends=ends, sigma=2.0)
    grid = pde.grid(24)
    draws = jax.jit(jax.vmap(lambda k: pde.sample(k, grid)[..., 0]))(jax.random.split(jax.random.key(0), 400))
    np.testing.assert_allclose(float(jnp.mean(draws**2)), 4.0, rtol=0.15)
    last = draws.reshape(-1, 24)
    first, slope = jnp.abs(1.5 * last[:, 0] - 0.5 * last[:, 1]), jnp.abs(last[:, -1] - last[:, -2])  # at the fixed wall; at the free one
    assert float(jnp.mean(first)) < 0.1 and float(jnp.mean(slope)) < 0.1
