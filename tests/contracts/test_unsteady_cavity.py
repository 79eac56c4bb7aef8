"""The cavity from rest: its text on an exact solution, its reference against text, steady flow and refinement."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import AutodiffField
from pdesurr.pdes import Cavity, UnsteadyCavity
from pdesurr.solvers.stream import LidStream

pytestmark = pytest.mark.usefixtures("x64")


def flow(pde: UnsteadyCavity, n: int):
    grid = pde.grid(n)
    lid = jnp.broadcast_to(pde.profile(jnp.asarray(grid.bases[0].nodes))[:, None, None], (n, n, 1))
    fields, right = jax.jit(lambda a: pde.recorded(a, grid))(lid)
    assert bool(right)
    return grid, fields


def test_the_text_vanishes_on_decaying_vortices_and_on_nothing_else():
    """u = cos x sin y f, v = -sin x cos y f, p = -rho (cos 2x + cos 2y) f^2 / 4, f = exp(-2 mu t / rho): Taylor 1923."""
    rho, mu = 0.9, 0.3
    f = lambda t: jnp.exp(-2 * mu * t / rho)  # noqa: E731
    u, v, p = (AutodiffField(g, ("t", "x", "y")) for g in (
        lambda q: jnp.cos(q[1]) * jnp.sin(q[2]) * f(q[0]), lambda q: -jnp.sin(q[1]) * jnp.cos(q[2]) * f(q[0]),
        lambda q: -rho * (jnp.cos(2 * q[1]) + jnp.cos(2 * q[2])) * f(q[0]) ** 2 / 4))
    points = jax.random.uniform(jax.random.key(0), (20, 3))
    size = lambda pde, p: [float(jnp.max(jnp.abs(cast(Any, r)(points)))) for r in pde.residual(u, v, p)]  # noqa: E731
    assert max(size(UnsteadyCavity(rho=rho, mu=mu), p)) < 1e-14
    assert min(size(UnsteadyCavity(rho=1.0, mu=mu), p)[:2]) > 0.01 and min(size(UnsteadyCavity(rho=rho, mu=0.1), p)[:2]) > 0.01
    assert min(size(UnsteadyCavity(rho=rho, mu=mu), u)[:2]) > 0.01  # another pressure


def test_the_solution_satisfies_the_texts_curl():
    """rho (w_t + u . grad w) = mu Lap w, time by differences of records, away from the walls."""
    pde = UnsteadyCavity(intervals=16, steps=1)
    grid, fields = flow(pde, 18)
    u, v = fields["u"], fields["v"]
    along = lambda w, axis, order=1: jax.vmap(lambda s: grid.derivative(s, axis, order))(w)  # noqa: E731
    w = along(v, "x") - along(u, "y")
    rate = (w[2:] - w[:-2]) * pde.intervals / 2
    push = u * along(w, "x") + v * along(w, "y")
    bend = along(w, "x", 2) + along(w, "y", 2)
    inner = lambda s: s[4:-4, 5:-5, 5:-5]  # noqa: E731
    inertia = pde.rho * (rate + push[1:-1])
    gap = lambda mu: float(jnp.linalg.norm(inner(inertia - mu * bend[1:-1])) / jnp.linalg.norm(inner(inertia)))  # noqa: E731
    assert gap(pde.mu) < 0.03 and gap(2 * pde.mu) > 0.5


def test_creeping_flow_follows_the_lid():
    """With little inertia the flow at each time is the steady one of that lid."""
    grid, fields = flow(UnsteadyCavity(rho=1e-6, mu=1.0, intervals=2), 12)
    steady = Cavity(re=1e-6, flatness=6).recorded(fields["lid"][-1][..., None], grid)[0]
    for name in ("u", "v"):
        np.testing.assert_allclose(fields[name][-1], steady[name], atol=1e-5)
        np.testing.assert_allclose(fields[name][1], steady[name] / 2, atol=1e-5)


def test_walls_and_rest():
    grid, fields = flow(UnsteadyCavity(intervals=2), 20)
    u, v, lid = fields["u"], fields["v"], fields["lid"]
    assert not np.any(u[0]) and not np.any(v[0])
    slip = [u[:, 0], u[:, -1], u[:, :, 0], u[:, :, -1] - lid[:, :, 0], v[:, 0], v[:, -1], v[:, :, 0], v[:, :, -1]]
    assert max(float(jnp.max(jnp.abs(s))) for s in slip) < 1e-3


def test_steps_are_of_second_order():
    last = lambda steps: flow(UnsteadyCavity(intervals=1, steps=steps), 12)[1]["u"][-1]  # noqa: E731
    coarse, middle, fine = (last(s) for s in (2, 4, 8))
    assert abs(np.log2(jnp.linalg.norm(coarse - middle) / jnp.linalg.norm(middle - fine)) - 2) < 0.2


@pytest.mark.parametrize("what", ["lid", "mu", "rho"])
def test_gradients(what):
    pde = UnsteadyCavity(intervals=1)
    grid = pde.grid(8)
    lid, other = (pde.sample(jax.random.key(i), grid) for i in (0, 1))

    def objective(s):
        problem = UnsteadyCavity(**{what: 0.5 * (1 + s)}, intervals=1) if what != "lid" else pde
        return jnp.sum(problem.recorded(lid + s * other if what == "lid" else lid, grid)[0]["u"] ** 2)

    value, slope = jax.jit(jax.value_and_grad(objective))(jnp.asarray(0.0))
    at = jax.jit(objective)
    remainder = lambda h: float(jnp.abs(at(jnp.asarray(h)) - value - h * slope))  # noqa: E731
    assert abs(np.log2(remainder(4e-2) / remainder(2e-2)) - 2) < 0.2


def test_record_agrees_with_its_refinement():
    pde = UnsteadyCavity(intervals=2)
    coarse, fine = (jax.jit(lambda k, f=f: pde.certified(k, pde.grid(12), f))(jax.random.key(0)) for f in (False, True))
    assert bool(coarse[1]) and bool(fine[1])
    for name in ("lid", "u", "v"):
        assert float(jnp.linalg.norm(coarse[0][name] - fine[0][name]) / jnp.linalg.norm(fine[0][name])) < 3e-2, name


def test_bad_inputs_are_refused():
    pde = UnsteadyCavity()
    grid = pde.grid(8)
    with pytest.raises(UsageError, match="corners"):
        pde.solve(jnp.ones((8, 8, 1)), grid)
    with pytest.raises(UsageError, match="float64"):
        pde.solve(jnp.zeros((8, 8, 1), jnp.float32), grid)
    wrong: tuple[dict[str, Any], ...] = ({"rho": 0.0}, {"mu": -1.0}, {"flatness": 3}, {"steps": 0}, {"intervals": 0})
    for arguments in wrong:
        with pytest.raises(UsageError):
            UnsteadyCavity(**arguments)


def test_a_pressure_is_found_from_its_gradient_and_is_harmonic_without_inertia():
    grid = UnsteadyCavity().grid(14)
    x, y = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    p, inner = x**3 * y - 2 * y**2 + x, (slice(1, -1),) * 2
    found = LidStream(grid).potential((3 * x**2 * y + 1)[inner], (x**3 - 4 * y)[inner])
    np.testing.assert_allclose(found, p - p[0, 0], atol=1e-11)
    grid, fields = flow(UnsteadyCavity(rho=1e-6, mu=1.0, intervals=1, steps=1), 18)
    bends = [grid.derivative(fields["p"][-1], axis, 2)[4:-4, 4:-4] for axis in "xy"]
    assert float(jnp.linalg.norm(bends[0] + bends[1])) < 0.03 * float(jnp.linalg.norm(bends[0]))
