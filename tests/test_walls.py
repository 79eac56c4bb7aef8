"""Problems between walls whose reference the battery of closed forms does not try hard enough."""

import jax
import jax.numpy as jnp
import pytest

from pdesurr.data import generate, open_dataset
from pdesurr.pdes import FlowMixing, KleinGordon, NonlinearDiffusion

pytestmark = pytest.mark.usefixtures("x64")


def test_klein_gordon_away_from_the_benchmark_solves_the_equation():
    """u_tt by fourth-order differences of the record against Lap u - u^2 + f at the nodes inside."""
    gaps = []
    for h in (0.02, 0.01):
        pde = KleinGordon(horizon=4 * h, intervals=4, sigma=0.5)
        grid = pde.grid(20)
        fields, right = jax.jit(lambda k, pde=pde, grid=grid: pde.record(k, grid, "direct"))(jax.random.key(0))
        u = fields["u"]
        u_tt = (-u[0] + 16 * u[1] - 30 * u[2] + 16 * u[3] - u[4]) / (12 * h**2)
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
        lap = grid.derivative(u[2], "x", 2) + grid.derivative(u[2], "y", 2)
        gap = (u_tt - lap + u[2] ** 2 - pde.source(jnp.asarray(2 * h), x, y))[1:-1, 1:-1]
        assert bool(right)
        gaps.append(float(jnp.max(jnp.abs(gap)) / jnp.max(jnp.abs(u_tt))))
    assert gaps[1] < gaps[0] / 8 and gaps[1] < 1e-3, gaps


def test_flow_mixing_carries_any_start_along_streamlines():
    """A start that depends on the radius alone stays; a hump arrives where the flow takes it."""
    pde = FlowMixing()
    grid = pde.grid(52)
    x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    solve = jax.jit(lambda a: pde.solve(a, grid))
    round_one = jnp.exp(-(x**2 + y**2)) - jnp.tanh(y / 2)
    found = solve(round_one[..., None])[..., 0] - pde.exact(jnp.asarray(4.0), x, y)
    assert float(jnp.max(jnp.abs(found - jnp.exp(-(x**2 + y**2))))) < 1e-6
    p, q = pde.back(jnp.asarray(4.0), x, y)
    hump = lambda x, y: jnp.exp(-2 * (x - 1) ** 2 - 2 * y**2)  # noqa: E731
    found = solve((hump(x, y) - jnp.tanh(y / 2))[..., None])[..., 0]
    assert float(jnp.max(jnp.abs(found - hump(p, q) + jnp.tanh(q / 2)))) < 1e-4


@pytest.mark.slow
def test_nonlinear_diffusion_keeps_its_mass_and_loses_height():
    """Second order on the benchmark's start, which has no kink within reach."""
    pde = NonlinearDiffusion(horizon=0.5, intervals=2)
    found = {}
    for n in (15, 45, 135):
        grid = pde.grid(n)
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
        u, right = jax.jit(lambda a, grid=grid: pde.evolve(a, grid))(pde.benchmark(x, y))
        assert bool(right)
        mass, height = jnp.sum(u, axis=(1, 2)) * (2 / n) ** 2, jnp.max(u, axis=(1, 2))
        assert float(jnp.ptp(mass)) < 1e-3 * float(mass[0]) and bool(jnp.all(jnp.diff(height) < 0))
        keep = slice(n // 30, None, n // 15)
        found[n] = u[-1, keep, keep]
    coarse, fine = (float(jnp.linalg.norm(found[n] - found[135])) for n in (15, 45))
    assert coarse / fine > 8.5, (coarse, fine)  # 9 for second order, less the finest one's own error


def test_data_files_hold_problems_that_integrate_adaptively(tmp_path):
    """Loops of data-dependent length inside the generator's map over devices."""
    pde = NonlinearDiffusion(horizon=0.2, refinement=1)
    info = generate(pde, tmp_path / "nld.h5", samples=2, resolution=15, seed=0, chunk=4, devices=jax.devices()[:2])
    data = open_dataset(tmp_path / "nld.h5")
    assert data.inputs.shape == data.outputs.shape == (2, 15, 15, 1) and data.info.pde == "NonlinearDiffusion"
    assert info.reference_error and 0 < info.reference_error["figure"] < 0.1
