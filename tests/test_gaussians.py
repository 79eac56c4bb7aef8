"""Gaussians, separable fields, conditions by construction."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, Grid, d, known
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import box, faces
from pdesurr.models.constrained import HardConstraint, given, initial, product, vanishing
from pdesurr.models.coordinate import CoordinateMLP, derivatives, on_grid
from pdesurr.models.features import RandomFourierField
from pdesurr.models.gaussians import PIG, GaussianField, culled
from pdesurr.models.separable import SeparableMLP, SeparablePIG
from pdesurr.nn.gaussians import Gaussians
from pdesurr.objectives.constraints import check_constraints
from pdesurr.objectives.physics import Equation, Observations, Problem, WithUnknowns
from pdesurr.train.physics import Adam, LeastSquares, fit_problem
from pdesurr.train.variable_projection import VariableProjection, _projected
from pdesurr.train.windows import Windowed, fit_windows, handed_over, windows

KEY = jax.random.key(0)
SQUARE = box((-1, 1), (-1, 1))
LOW, HIGH = (-1.0, -1.0), (1.0, 1.0)


def points(n=400, dim=2):
    return jax.random.uniform(jax.random.key(3), (n, dim), jnp.result_type(float), -1, 1)


def double(model):
    return jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, model)


def remade(model):
    """By its arguments, as a bundle holds them."""
    return type(model)(**{k: tuple(v) if isinstance(v, list) else v for k, v in model.arguments.items()}, key=KEY)


# Gaussians.


def test_a_rotation_and_scales_are_a_triangular_factor(x64):
    """The published full covariance in three dimensions: a unit quaternion's R and scales, precision R diag(1 / sigma^2) R^T."""
    w, x, y, z = np.array([0.9, 0.1, -0.3, 0.2]) / np.linalg.norm([0.9, 0.1, -0.3, 0.2])
    r = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                  [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                  [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
    precision = r @ np.diag(1 / np.array([0.2, 0.5, 0.9]) ** 2) @ r.T
    factor = np.linalg.cholesky(precision)
    mean = np.array([[0.1, -0.2, 0.3]])
    gaussian = Gaussians((-1.0,) * 3, (1.0,) * 3, jnp.asarray(mean), 0.3, "full")
    gaussian = eqx.tree_at(lambda g: (g.log_scales, g.below), gaussian,
                           (-jnp.log(jnp.asarray(np.diag(factor)))[None], jnp.asarray(factor[np.tril_indices(3, -1)])[None]))
    at = points(50, 3)
    away = np.asarray(at) - mean
    wanted = np.exp(-0.5 * np.einsum("ni,ij,nj->n", away, precision, away))
    np.testing.assert_allclose(gaussian.table(Jet.coordinates(at)).value[:, 0], wanted, atol=1e-14)
    np.testing.assert_allclose(gaussian.sums(Jet.coordinates(at), jnp.ones((1, 1))).value[:, 0], wanted, atol=1e-14)


def test_a_full_covariance_starts_as_the_diagonal_one(x64):
    plain, full = (PIG(LOW, HIGH, 1, 2, 30, 0.4, covariance=c, key=KEY) for c in ("diagonal", "full"))
    np.testing.assert_allclose(plain(None, points()), full(None, points()), atol=1e-15)
    assert remade(full).gaussians.covariance == "full"


def test_the_published_start():
    model = PIG((0.0, 0.0), (4.0, 2.0), 1, 4, 2000, key=KEY)
    assert float(jnp.min(model.gaussians.means)) >= -1 and float(jnp.max(model.gaussians.means)) <= 1
    np.testing.assert_allclose(jnp.exp(model.gaussians.log_scales), 0.1, rtol=1e-6)
    np.testing.assert_allclose(jnp.std(model.weights), 0.01, rtol=0.05)


def test_pig_is_its_equation(x64):
    model = PIG(LOW, HIGH, 1, 3, 20, 0.4, key=KEY)
    x, g = points(30), model.gaussians
    z = (x[:, None, None] - g.means[None]) * jnp.exp(-g.log_scales)[None]
    f = jnp.sum(model.weights[None] * jnp.exp(-0.5 * jnp.sum(z**2, -1)), -1)
    wanted = jnp.tanh(f @ model.hidden.weight + model.hidden.bias[None]) @ model.last.weight + model.last.bias[None]
    np.testing.assert_allclose(model(None, x), wanted, atol=1e-14)


@pytest.mark.parametrize("index", [(0, 0), (1, 0), (2, 1)])
def test_peaks_are_above_every_gaussian(index, x64):
    means = 1.6 * jax.random.normal(KEY, (40, 2))  # some far outside
    gaussians = Gaussians((-1.0, 0.0), (1.0, 1.0), means, 0.4, "full")
    gaussians = eqx.tree_at(lambda g: g.below, gaussians, 2 * jax.random.normal(KEY, (40, 1)))
    at = jnp.asarray([[0.0, 0.5]]) + points(4000) * jnp.asarray([[1.0, 0.5]])
    largest = np.abs(gaussians.table(Jet.coordinates(at, [index])).part(index)).max(0)
    peaks = gaussians.peaks(index)
    assert (peaks >= largest).all()
    inside = np.abs(np.asarray(means)).max(1) < 0.7
    assert (peaks[inside] < 12 * largest[inside]).all()  # not by much where the peak is in the box


@pytest.mark.parametrize("make", [lambda: GaussianField(LOW, HIGH, 2, 200, 0.2, key=KEY), lambda: PIG(LOW, HIGH, 1, 2, 200, 0.2, key=KEY)],
                         ids=["GaussianField", "PIG"])
def test_culling_changes_no_more_than_it_says(make, x64):
    model, read, tolerance = make(), ((2, 0), (0, 1)), 1e-3
    scale = lambda w: w * 10.0 ** jax.random.uniform(jax.random.key(1), w.shape, minval=-7, maxval=2)  # noqa: E731
    where = (lambda m: m.weights) if isinstance(model, PIG) else lambda m: m.head
    model = eqx.tree_at(where, model, scale(where(model)))
    fewer = culled(model, tolerance, read)
    count = lambda m: m.gaussians.means.shape[-2]  # noqa: E731
    assert 20 < count(fewer) < 180 and remade(fewer).gaussians.means.shape == fewer.gaussians.means.shape
    at = Jet.coordinates(points(1000), read)
    before, after = ((m.channels(at) if isinstance(m, PIG) else m.jet(at)) for m in (model, fewer))
    change = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(before.parts, after.parts, strict=True))
    assert 0 < change <= tolerance
    assert count(culled(model, 1e12)) == 1


# Separable fields.


@pytest.mark.parametrize("make", [lambda low, high: SeparableMLP(low, high, 2, 5, 12, 2, key=KEY),
                                  lambda low, high: SeparablePIG(low, high, 2, 5, 10, 0.3, key=KEY)], ids=["mlp", "gaussians"])
@pytest.mark.parametrize("dim", [1, 3])
def test_a_separable_field_on_a_grid_is_that_at_its_points(make, dim, x64):
    model = double(make((-1.0,) * dim, (1.0,) * dim))
    grid = Grid([ChebyshevBasis(4 + k, -1.0, 1.0) for k in range(dim)])
    read = tuple(tuple(2 * int(k == axis) for k in range(dim)) for axis in range(dim))
    scattered = derivatives(model, jnp.asarray(grid.nodes.reshape(-1, dim)), read)
    quick = on_grid(model, grid, read)
    assert quick.indices == scattered.indices
    for a, b in zip(quick.parts, scattered.parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12 * float(jnp.max(jnp.abs(b))))
    np.testing.assert_allclose(model(None, grid), quick.value.reshape(*grid.shape, 2), atol=1e-14)
    assert remade(model).arguments == model.arguments


def test_on_a_grid_the_factors_are_evaluated_along_axes_only(monkeypatch):
    seen = []
    jet = CoordinateMLP.jet
    monkeypatch.setattr(CoordinateMLP, "jet", lambda self, x: seen.append(len(x.value)) or jet(self, x))
    SeparableMLP(LOW, HIGH, 1, 4, 8, 1, key=KEY)(None, Grid([ChebyshevBasis(9, -1.0, 1.0), ChebyshevBasis(7, -1.0, 1.0)]))
    assert seen == [9, 7]


# Conditions by construction.


def test_the_conditions_hold_whatever_is_trained(x64):
    start = lambda t, x: jnp.sin(math.pi * x)  # noqa: E731
    region = box((0, 2), (-1, 1))
    model = double(HardConstraint(CoordinateMLP((0.0, -1.0), (2.0, 1.0), 1, 8, 2, key=KEY),
                                  product(initial(0, 0.0), vanishing(region, (1,))), given(start)))
    at = region.at(0, 0.0).draw(KEY, 50)
    np.testing.assert_allclose(model(None, at)[:, 0], start(*at.T), atol=1e-15)
    np.testing.assert_allclose(model(None, region.at(1, 1.0).draw(KEY, 50)), 0.0, atol=1e-15)
    np.testing.assert_allclose(vanishing(region, (1,))(Jet.coordinates(jnp.asarray([[0.3, 0.0]]))).value, 1.0)


def walls_problem(value):
    text = lambda u: d(u, "x", 2) + d(u, "y", 2) - known(u, lambda x, y: -2.0 * jnp.sin(x) * jnp.sin(y), "x", "y")  # noqa: E731
    wall = lambda u: u - known(u, value, "x", "y")  # noqa: E731
    return Problem({"equation": Equation(text, (SQUARE,), 300), "walls": Equation(wall, faces(SQUARE, (0, 1)), 80)}, ("x", "y"))


def test_least_squares_solve_for_a_constrained_field(x64):
    """Lap u = -2 sin x sin y with u = sin x sin y on the walls."""
    exact = lambda x, y: jnp.sin(x) * jnp.sin(y)  # noqa: E731
    lift = given(lambda x, y: x * jnp.sin(1.0) * jnp.sin(y) + jnp.sin(x) * jnp.sin(1.0) * y - x * y * jnp.sin(1.0) ** 2)
    model = HardConstraint(RandomFourierField(LOW, HIGH, 1, 80, 3.0, key=KEY), vanishing(SQUARE, (0, 1)), lift)
    found = fit_problem(model, walls_problem(exact), [LeastSquares(2)], key=KEY)
    np.testing.assert_allclose(found.model(None, points())[:, 0], exact(*points().T), atol=1e-7)


def test_a_lift_that_contradicts_the_problem_is_refused():
    model = HardConstraint(CoordinateMLP(LOW, HIGH, 1, 8, 1, key=KEY), vanishing(SQUARE, (0, 1)))
    check_constraints(model, walls_problem(lambda x, y: 0.0 * x), KEY)
    one = walls_problem(lambda x, y: 1.0 + 0.0 * x)
    for bad in (model, WithUnknowns(model, {})):
        with pytest.raises(UsageError, match="'walls'"):
            check_constraints(bad, one, KEY)
    with pytest.raises(UsageError, match="'walls'"):
        fit_problem(model, one, [LeastSquares(1)], key=KEY)
    measured = Problem({"data": Observations(SQUARE.at(0, 1.0).draw(KEY, 5), jnp.full((5, 1), 0.5))}, ("x", "y"))
    with pytest.raises(UsageError, match="'data'"):
        check_constraints(model, measured, KEY)
    check_constraints(model.model, one, KEY)  # a free model can satisfy anything
    slope = Problem({"slope": Equation(lambda u: d(u, "x") - 1.0, (SQUARE.at(0, 1.0),), 20)}, ("x", "y"))
    check_constraints(model, slope, KEY)  # the factor's slope does not vanish there


@pytest.mark.parametrize("bad", [
    lambda: PIG(LOW, HIGH, gaussians=0, key=KEY), lambda: PIG(LOW, HIGH, spread=-0.1, key=KEY), lambda: PIG(LOW, HIGH, channels=0, key=KEY),
    lambda: GaussianField(LOW, HIGH, covariance="dense", key=KEY),  # pyright: ignore[reportArgumentType]
    lambda: culled(PIG(LOW, HIGH, 1, 1, 5, key=KEY), 0.0), lambda: culled(CoordinateMLP(LOW, HIGH, key=KEY), 1.0),  # pyright: ignore
    lambda: SeparableMLP(LOW, HIGH, 1, 0, key=KEY), lambda: SeparableMLP(LOW, HIGH, harmonics=(1,), key=KEY),
    lambda: SeparableMLP(LOW, HIGH, 1, 2, 4, 1, key=KEY)(None, jnp.zeros((3, 3))),
    lambda: HardConstraint(lambda x: x, initial(0, 0)),  # pyright: ignore[reportArgumentType]
    lambda: vanishing(SQUARE, (2,)), lambda: vanishing(SQUARE, ()), lambda: product()])
def test_bad_settings_are_refused(bad):
    with pytest.raises((UsageError, TypeError)):
        bad()


# Variable projection.


def line_problem(text, exact, n=200):
    """text(u) = text(exact) on (-1, 1), u given at the ends."""
    line = box((-1, 1))
    wall = lambda u: u - known(u, exact, "x")  # noqa: E731
    return Problem({"equation": Equation(lambda u: text(u) - text(known(u, exact, "x")), (line,), n),
                    "walls": Equation(wall, faces(line, (0,)), 2, 1e4)}, ("x",))


PEAK, HILL = (lambda x: jnp.exp(-((x - 0.3) ** 2) / 0.02)), (lambda x: 1 / (1 + 25 * (x - 0.3) ** 2))


@pytest.mark.parametrize(("text", "exact", "gain"), [
    (lambda u: d(u, "x", 2), PEAK, 1e12), pytest.param(lambda u: d(u, "x", 2) - u * u * u * 10.0, HILL, 1e3, marks=pytest.mark.slow)],
    ids=["linear", "cubic"])
def test_moving_features_beat_resting_ones(text, exact, gain, x64):
    """A peak half as wide as the Gaussians are at first, which is itself one; a hill that is none, under a nonlinear equation."""
    field = GaussianField((-1.0,), (1.0,), 1, 10, 0.2, lattice=True, key=KEY)
    problem, field = line_problem(text, exact), eqx.tree_at(lambda m: m.head, field, 0 * field.head)
    resting = fit_problem(field, problem, [LeastSquares(8)], key=KEY)
    moving = fit_problem(resting.model, problem, [VariableProjection(40, tolerance=1e-9)], key=KEY)
    losses = [entry["loss"] for entry in moving.history]
    assert losses == sorted(losses, reverse=True) and moving.loss < resting.loss / gain
    at = jnp.linspace(-1, 1, 200)[:, None]
    off = [float(jnp.linalg.norm(m(None, at)[:, 0] - exact(at[:, 0]))) for m in (moving.model, resting.model)]
    assert off[0] < off[1] / gain**0.4


def test_the_projected_jacobian_is_kaufmans(x64):
    a, b, r = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(30, 8), (30, 5), (30,)]))
    q = jnp.linalg.qr(a)[0]
    off = lambda v: v - q @ (q.T @ v)  # noqa: E731
    jacobian, left = _projected(a, b, r)
    np.testing.assert_allclose(jacobian.T @ jacobian, off(b).T @ off(b), atol=1e-12)
    np.testing.assert_allclose(jacobian.T @ left, off(b).T @ off(r), atol=1e-12)


# Time marching.


def decay(part, before):
    """u_t = -u, u(0) = cos x."""
    start = part.at(0, part.lower[0])
    first = Equation(lambda u: u - known(u, lambda x: jnp.cos(x), "x"), (start,), 20, 10.0)
    return Problem({"equation": Equation(lambda u: d(u, "t") + u, (part,), 200),
                    "start": first if before is None else handed_over(before, (start,), 20, 10.0, key=KEY)}, ("t", "x"))


def test_windows_hand_over_their_end(x64):
    region = box((0, 3), (-1, 1))
    network = lambda part, before, key: RandomFourierField(part.lower, part.upper, 1, 100, 2.0, key=key)  # noqa: E731
    found = fit_windows(windows(region, 3), network, decay, [LeastSquares(1)], key=KEY)
    at = region.draw(KEY, 300, "quasi")
    exact = jnp.exp(-at[:, 0]) * jnp.cos(at[:, 1])
    jet = derivatives(found.model, at, ((1, 0),))
    np.testing.assert_allclose(jet.value[:, 0], exact, atol=1e-6)
    np.testing.assert_allclose(jet.part((1, 0))[:, 0], -exact, atol=1e-5)
    assert [entry["window"] for entry in found.history] == [0, 1, 2] and found.model.edges == (0.0, 1.0, 2.0, 3.0)
    np.testing.assert_allclose(found.model(None, jnp.asarray([[1.5, 0.2]])), found.model.models[1](None, jnp.asarray([[1.5, 0.2]])))


def test_windows_go_on_by_gradient_steps_and_resume(tmp_path, x64):
    region = box((0, 1), (-1, 1))
    network = lambda part, before, key: CoordinateMLP(part.lower, part.upper, 1, 4, 1, key=key)  # noqa: E731
    fits = [fit_windows(windows(region, (0.3,)), network, decay, [Adam(20, 1e-2, 10)], key=KEY, folder=tmp_path) for _ in range(2)]
    assert len(fits[0].history) == 4 and fits[0].model.edges == (0.0, 0.3, 1.0)
    at = region.draw(KEY, 20)
    np.testing.assert_array_equal(*(f.model(None, at) for f in fits))


@pytest.mark.parametrize("bad", [
    lambda: VariableProjection(0), lambda: VariableProjection(1, damping=1e-3, least=1.0), lambda: windows(SQUARE, 0),
    lambda: windows(SQUARE, (0.5, 0.2)), lambda: windows(SQUARE, 2, axis=2), lambda: fit_windows([], None, None, [], key=KEY),  # pyright: ignore[reportArgumentType]
    lambda: fit_windows(windows(SQUARE, 2)[::-1], lambda *a: None, decay, [LeastSquares(1)], key=KEY),
    lambda: Windowed((CoordinateMLP(LOW, HIGH, key=KEY),), (1.0, 0.0)),
    lambda: fit_problem(CoordinateMLP(LOW, HIGH, key=KEY), decay(box((0, 1), (-1, 1)), None), [VariableProjection(1)], key=KEY),
    lambda: fit_problem(RandomFourierField(LOW, HIGH, key=KEY), decay(box((0, 1), (-1, 1)), None), [VariableProjection(1)], key=KEY)])
def test_bad_trainings_are_refused(bad):
    with pytest.raises((UsageError, TypeError)):
        bad()
