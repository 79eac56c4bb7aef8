"""The lid-driven cavity: published extrema, walls, self-convergence, gradients, refusals; Newton's method."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import AutodiffField, StencilField
from pdesurr.pdes import Cavity
from pdesurr.solvers import newton

pytestmark = pytest.mark.usefixtures("x64")


def flow(pde, n):
    grid = pde.grid(n)
    lid = jnp.broadcast_to(pde.profile(jnp.asarray(grid.bases[0].nodes))[:, None, None], (n, n, 1))
    return grid, jax.jit(lambda a: pde.solve(a, grid))(lid), lid


def test_extrema_on_the_centrelines_at_re_100():
    """Botella and Peyret, Comput. Fluids 27 (1998), for a unit lid: -0.21404, 0.17957, -0.25380. The lid with flatness 16 is near it."""
    grid, out, _ = flow(Cavity(flatness=16), 24)
    s = jnp.linspace(0, 1, 401)
    middle = jnp.full_like(s, 0.5)
    u = grid.evaluate(grid.transform(out[..., 1]), jnp.stack([middle, s], axis=-1))
    v = grid.evaluate(grid.transform(out[..., 2]), jnp.stack([s, middle], axis=-1))
    np.testing.assert_allclose([u.min(), v.max(), v.min()], [-0.2140424, 0.1795728, -0.2538030], rtol=1e-2)
    assert abs(float(s[jnp.argmin(u)]) - 0.4581) < 0.005 and abs(float(s[jnp.argmin(v)]) - 0.8104) < 0.005


def test_walls_and_self_convergence():
    centre, gaps = [], []
    for n in (9, 13, 21):
        grid, out, lid = flow(Cavity(), n)
        psi, u, v = jnp.moveaxis(out, -1, 0)
        for wall in (psi[0], psi[-1], psi[:, 0], psi[:, -1]):
            np.testing.assert_array_equal(wall, 0.0)
        centre.append(float(psi[n // 2, n // 2]))
        gaps.append(float(jnp.max(jnp.abs(u[:, -1] - lid[:, 0, 0])) + jnp.max(jnp.abs(v[0])) + jnp.max(jnp.abs(u[:, 0]))))
    assert abs(centre[1] - centre[2]) < abs(centre[0] - centre[2]) / 10 and abs(centre[1] - centre[2]) < 1e-4, centre
    assert gaps[2] < gaps[1] / 5 < gaps[0] / 25, gaps  # slip at the walls, which the stream function alone does not show


def test_the_equations_text_agrees_with_the_collocation():
    """The residual of the solution by sixth-order differences of the stream function, away from the walls."""
    pde = Cavity()
    grid, out, _ = flow(pde, 25)
    fine = grid.with_shape(49, 49)
    psi = StencilField(fine, grid.interpolate(grid.transform(out[..., 0]), fine), 6)
    right, wrong = (cast(StencilField, p.residual(psi)).values[12:-12, 12:-12] for p in (pde, Cavity(re=50.0)))
    assert float(jnp.max(jnp.abs(right))) < 2e-3
    assert float(jnp.max(jnp.abs(wrong))) > 0.1


def test_creeping_flow_is_the_biharmonic_equation():
    """psi = (x (1 - x) y (1 - y))^2 has the residual of its biharmonic and its advection: the text at one point, by hand."""
    bump = AutodiffField(lambda p: (p[0] * (1 - p[0]) * p[1] * (1 - p[1])) ** 2, ("x", "y"))
    at = jnp.asarray([[0.5, 0.5]])  # by symmetry nothing is advected there
    g, g2, g4 = 1 / 16, -1.0, 24.0
    np.testing.assert_allclose(cast(AutodiffField, Cavity(re=10.0).residual(bump))(at), [(2 * g * g4 + 2 * g2 * g2) / 10], rtol=1e-9)


@pytest.mark.parametrize("what", ["lid", "re"])
def test_gradients_are_the_implicit_functions(what):
    pde = Cavity()
    grid = pde.grid(9)
    lid, other = (pde.sample(jax.random.key(i), grid) for i in (0, 1))

    def objective(s):
        a = lid + s * other if what == "lid" else lid
        problem = Cavity(re=80.0 * (1 + s)) if what == "re" else pde
        return jnp.sum(problem.recorded(a, grid)[0]["u"] ** 2)

    value, slope = jax.jit(jax.value_and_grad(objective))(jnp.asarray(0.0))
    at = jax.jit(objective)
    remainder = lambda h: float(jnp.abs(at(jnp.asarray(h)) - value - h * slope))  # noqa: E731
    assert abs(np.log2(remainder(4e-2) / remainder(2e-2)) - 2) < 0.2


def test_record_agrees_with_its_refinement():
    pde = Cavity()
    grid = pde.grid(12)
    coarse, fine = (jax.jit(lambda k, f=f: pde.certified(k, grid, f))(jax.random.key(0)) for f in (False, True))
    assert bool(coarse[1]) and bool(fine[1])
    for name in ("lid", "psi", "u", "v"):
        gap = float(jnp.linalg.norm(coarse[0][name] - fine[0][name]) / jnp.linalg.norm(fine[0][name]))
        assert gap < 2e-2, (name, gap)


def test_bad_inputs_are_refused():
    pde = Cavity()
    grid = pde.grid(8)
    with pytest.raises(UsageError, match="corners"):
        pde.solve(jnp.ones((8, 8, 1)), grid)
    with pytest.raises(UsageError, match="float64"):
        pde.solve(jnp.zeros((8, 8, 1), jnp.float32), grid)
    wrong: tuple[dict[str, Any], ...] = ({"re": 0.0}, {"re": 1e5}, {"flatness": 3}, {"sigma": -1.0})
    for arguments in wrong:
        with pytest.raises(UsageError):
            Cavity(**arguments)


def test_newton_converges_and_differentiates():
    root = lambda p: newton(lambda u: u**3 - p, jnp.ones(2), 8)[0]  # noqa: E731
    np.testing.assert_allclose(root(jnp.asarray([8.0, 27.0])), [2.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(jnp.diagonal(jax.jacrev(root)(jnp.asarray([8.0, 27.0]))), [1 / 12, 1 / 27], rtol=1e-10)
    assert not float(newton(lambda u: u**2 + 1, jnp.full(1, 0.7), 8)[1]) < 0.5  # no root: the residual says so
