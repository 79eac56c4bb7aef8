"""Energies, natural gradients, and networks on top of one another."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from pdesurr.checks import UsageError
from pdesurr.fields import d, known
from pdesurr.fields.regions import box, faces
from pdesurr.models.coordinate import CoordinateMLP
from pdesurr.models.features import RandomFourierField
from pdesurr.models.multistage import MultiStage
from pdesurr.nn.fixed import Frozen
from pdesurr.objectives.curvature import curvature_rows
from pdesurr.objectives.physics import Energy, Equation, Problem
from pdesurr.objectives.sampling import Fresh
from pdesurr.pdes import NonlinearPoisson
from pdesurr.train.curriculum import fit_curriculum
from pdesurr.train.multistage import fit_multistage, leftover
from pdesurr.train.natural_gradient import NaturalGradient
from pdesurr.train.physics import Adam, LeastSquares, fit_problem
from pdesurr.types import parameter_count

KEY = jax.random.key(0)
LINE = box((0, 1))


def energy(dimension=1, points=40):
    pde = NonlinearPoisson(dimension=dimension)
    density = lambda u: pde.energy_density(u, known(u, pde.source, *pde.names))  # noqa: E731
    return Problem({"energy": Energy(density, (box(*[(0, 1)] * dimension),), points)}, pde.names)


def network(width=8, depth=1, lower=0.0):
    return CoordinateMLP((lower,), (1.0,), 1, width, depth, key=KEY)


# Energies.


def test_quadrature_integrates_polynomials_exactly(x64):
    square = box((0, 2), (-1, 3))
    x, w = square.quadrature(30)  # 5 x 5
    assert x.shape == (25, 2) and square.volume == 8
    np.testing.assert_allclose(square.volume * jnp.mean(w * x[:, 0] ** 9 * x[:, 1] ** 2), 2**10 / 10 * 28 / 3, rtol=1e-12)
    wall, mass = square.at(0, 2.0).quadrature(4)
    assert bool(jnp.all(wall[:, 0] == 2)) and len(wall) == 4 and square.at(0, 2.0).volume == 4
    np.testing.assert_allclose(4 * jnp.mean(mass * wall[:, 1] ** 2), 28 / 3, rtol=1e-12)
    assert len(square.at(0, 2.0).at(1, 0.0).quadrature(7)[0]) == 1


class Cosines(eqx.Module):
    """sum_k c_k cos(k pi x) cos(k pi y): no flux through the walls."""

    c: jax.Array

    def __call__(self, a, x, *, key=None):
        waves = [jnp.cos(k * math.pi * x[:, 0]) * jnp.cos(k * math.pi * x[:, 1]) for k in range(len(self.c))]
        return (jnp.stack(waves, -1) @ self.c)[:, None]


def test_the_energys_derivative_is_the_residual(x64):
    """d/de E(u + e v) = integral of v (-Lap u + u^3 - f), and it vanishes for all v at the exact solution."""
    problem, pde = energy(2, 900), NonlinearPoisson()
    drawn = problem.draw(KEY, "gauss")
    text = lambda u: pde.residual(u, known(u, pde.source, "x", "y"))  # noqa: E731
    strong = Problem({"e": Equation(text, (box((0, 1), (0, 1)),))}, pde.names)
    u, v = Cosines(jnp.asarray([0.3, 1.0, -0.5])), Cosines(jnp.asarray([0.2, -0.4, 0.7]))
    slope = jax.jvp(lambda m: problem.loss(m, drawn)[0], (u,), (v,))[1]
    points = drawn["energy"].points
    wanted = jnp.mean(drawn["energy"].weights * v(None, points)[:, 0] * strong.term_residual("e", u, drawn["energy"])[:, 0])
    np.testing.assert_allclose(slope, wanted, rtol=1e-10)
    assert abs(float(slope)) > 0.1


def test_curvature_is_the_hessian_where_the_network_is_linear(x64):
    field = RandomFourierField((0.0,), (1.0,), 1, 6, 3.0, key=KEY)
    field = eqx.tree_at(lambda m: m.head, field, jax.random.normal(KEY, (6, 1)))
    mixed = Problem(energy().terms | {"wall": Equation(lambda u: d(u, "x") + 2.0 * u, faces(LINE, (0,)), 4, 3.0)}, ("x",))
    drawn = mixed.draw(KEY, "gauss")
    flat, back = ravel_pytree(field.head)
    loss = lambda h: mixed.loss(eqx.tree_at(lambda m: m.head, field, back(h)), drawn)[0]  # noqa: E731
    hessian, rows = jax.jit(lambda h: (jax.hessian(loss)(h), curvature_rows(field, mixed, drawn)))(flat)
    np.testing.assert_allclose(rows.T @ rows, hessian, atol=1e-10 * float(jnp.max(jnp.abs(hessian))))


def test_natural_gradients_find_the_minimum(x64):
    found = fit_problem(network(6, 2), energy(), [NaturalGradient(30, sampler=Fresh("gauss"))], key=KEY)
    x = jnp.linspace(0, 1, 101)[:, None]
    assert float(jnp.max(jnp.abs(found.model(None, x)[:, 0] - NonlinearPoisson.exact(x[:, 0])))) < 1e-3
    losses = [h["loss"] for h in found.history]
    assert all(b <= a for a, b in zip(losses, losses[1:], strict=False))


@pytest.mark.parametrize(("bad", "words"), [
    (lambda: fit_problem(network(), energy(), [LeastSquares(2, "all")], key=KEY), "minimise it by Adam"),
    (lambda: Energy(lambda u: u, faces(LINE, (0,))), "one region"),
    (lambda: NaturalGradient(damping=0.0), "damping"),
    (lambda: NonlinearPoisson(dimension=4).grid(8), "1 to 3"),
    (lambda: MultiStage(network(), network(), 0.0), "size"),
    (lambda: leftover(network(), energy(), "energy", KEY), "an equation on one region"),
    (lambda: fit_multistage(lambda w, k: network(), energy(), "energy", [], key=KEY), "at least one sequence"),
])
def test_bad_settings_are_refused(bad, words):
    with pytest.raises(UsageError, match=words):
        bad()


# Networks on top of one another.


def target(f):
    return Problem({"fit": Equation(lambda u: u - known(u, f, "x"), (box((-1, 1)),), 200)}, ("x",))


def test_what_lies_below_is_kept_and_not_trained(x64):
    below, top = network(lower=-1.0), network(4, lower=-1.0)
    model = MultiStage(below, top, 0.01)
    assert parameter_count(model) == parameter_count(top)
    x = jnp.linspace(-1, 1, 9)[:, None]
    np.testing.assert_allclose(model(None, x), below(None, x) + 0.01 * top(None, x), atol=1e-15)
    for a, b in zip(jax.tree.leaves(Frozen(below).model), jax.tree.leaves(below), strict=True):
        np.testing.assert_array_equal(a, b)
    trained = fit_problem(model, target(jnp.sin), [Adam(20, 1e-2, 20)], key=KEY).model
    np.testing.assert_array_equal(trained.frozen.model(None, x), below(None, x))


def test_what_is_left_has_its_size_and_wavenumber(x64):
    zero = jax.tree.map(lambda v: 0 * v if eqx.is_inexact_array(v) else v, network(lower=-1.0))
    left = leftover(zero, target(lambda x: 1e-3 * jnp.sin(20 * x + 0.1)), "fit", KEY)
    np.testing.assert_allclose([left.residual, left.size], 1e-3 / 2**0.5, rtol=0.05)
    np.testing.assert_allclose(left.wavenumber, 20, rtol=0.1)
    half = Problem({"e": Equation(lambda u: d(u, "x", 2) - known(u, lambda x: jnp.sin(40 * x + 0.1), "x"), (box((0, 1)),))}, ("x",))
    left = leftover(jax.tree.map(lambda v: 0 * v if eqx.is_inexact_array(v) else v, network()), half, "e", KEY)
    np.testing.assert_allclose(left.wavenumber, 20, rtol=0.1)
    np.testing.assert_allclose(left.size, 0.5**0.5 / 40**2, rtol=0.2)


@pytest.mark.slow
def test_a_second_network_lowers_the_error_by_orders(x64):
    f = lambda x: jnp.log(x + 2) * jnp.cos(2 * x + x**3)  # noqa: E731
    make = lambda w, key: RandomFourierField((-1.0,), (1.0,), 1, 60 if w else 10, max(4.0, w), key=key)  # noqa: E731
    one, two = (fit_multistage(make, target(f), "fit", [[LeastSquares(2)]] * k, key=KEY).model for k in (1, 2))
    x = jnp.linspace(-1, 1, 2001)
    first, second = (float(jnp.max(jnp.abs(m(None, x[:, None])[:, 0] - f(x)))) for m in (one, two))
    assert first > 1e-6 and second < first / 1000


# Sequences of problems, and problems that do not fit the model.


def test_a_curriculum_goes_on_from_the_problem_before(x64):
    """The second training starts at what the first found: of the same problem it has nothing left to do."""
    problem = target(lambda x: x**2)
    found = fit_curriculum(network(3, lower=-1.0), [problem, problem], [[LeastSquares(30, "all", 1e-2)], [Adam(1, 1e-9, 1)]], key=KEY)
    first = [h["loss"] for h in found.history if h["problem"] == 0]
    last = [h["loss"] for h in found.history if h["problem"] == 1]
    assert first[-1] < 1e-3 * first[0] and len(last) == 1
    np.testing.assert_allclose(last[0], first[-1], rtol=0.2)  # on other points
    with pytest.raises(UsageError, match="2 sequences of stages"):
        fit_curriculum(network(), [problem, problem], [[Adam()]], key=KEY)


def test_points_outside_the_models_box_are_refused():
    with pytest.raises(UsageError, match=r"term 'fit': expected points within the model's box, from \[0.0\] to \[1.0\].*\[-1.0\]"):
        fit_problem(network(), target(jnp.sin), [Adam(1, 1e-3, 1)], key=KEY)
    with pytest.raises(UsageError, match="points of 1 coordinates"):
        fit_problem(network(), energy(2), [Adam(1, 1e-3, 1)], key=KEY)
