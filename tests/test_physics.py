"""Coordinate networks, their derivatives, the problems they must satisfy and the ways they are trained."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import CheckpointError, DivergedError, UsageError
from pdesurr.fields import AutodiffField, applied, d, known, laplacian
from pdesurr.fields.jets import Jet, closure, partitions
from pdesurr.fields.pointwise import PointwiseField, needed
from pdesurr.fields.regions import box, faces
from pdesurr.models import FNO, constrained, coordinate, features, gaussians, separable, stretched
from pdesurr.models.constrained import HardConstraint, given, initial, product, vanishing
from pdesurr.models.coordinate import Beside, CoordinateMLP, ModifiedMLP, PirateNet, derivatives, nested_jet
from pdesurr.models.features import RandomFourierField
from pdesurr.models.gaussians import PIG, GaussianField
from pdesurr.models.separable import SeparableMLP, SeparablePIG
from pdesurr.models.stretched import Stretched
from pdesurr.nn.smooth import smooth
from pdesurr.objectives.linear import head_system, weights_system
from pdesurr.objectives.physics import Equation, Observations, Problem, WithUnknowns
from pdesurr.pdes import Burgers, Cavity, Helmholtz, KleinGordon, KortewegDeVries, NonlinearDiffusion
from pdesurr.train import windows as marching
from pdesurr.train.least_squares import damped_solution
from pdesurr.train.physics import Adam, LeastSquares, QuasiNewton, fit_problem
from pdesurr.train.quasi_newton import quasi_newton, restart, start
from pdesurr.train.windows import Windowed

KEY = jax.random.key(0)
SQUARE = box((-1, 1), (-1, 1))
LOW, HIGH = (-1.0, -1.0), (1.0, 2.0)
READ = ((2, 0), (1, 1), (0, 2))


def with_head(model):
    return eqx.tree_at(lambda m: m.head, model, jax.random.normal(KEY, model.head.shape))


def tilted(model):
    return eqx.tree_at(lambda m: m.gaussians.below, model, 2 * jax.random.normal(KEY, model.gaussians.below.shape))


def with_mix(model):
    return eqx.tree_at(lambda m: m.mix, model, jnp.full(model.mix.shape, 0.4))


NETWORKS = {
    "CoordinateMLP": lambda: CoordinateMLP(LOW, HIGH, 1, 64, 4, key=KEY),
    "CoordinateMLP, periodic, random features, factorised": lambda: CoordinateMLP(
        LOW, HIGH, 2, 32, 2, harmonics=(0, 3), frequencies=16, factorised=True, activation="sin", key=KEY),
    "CoordinateMLP, rational": lambda: CoordinateMLP(LOW, HIGH, 1, 16, 2, activation="rational", key=KEY),
    "CoordinateMLP, hermite": lambda: CoordinateMLP(LOW, HIGH, 1, 16, 2, activation="hermite", key=KEY),
    "CoordinateMLP, fourier": lambda: CoordinateMLP(LOW, HIGH, 1, 16, 2, activation="fourier", key=KEY),
    "ModifiedMLP": lambda: ModifiedMLP(LOW, HIGH, 2, 32, 2, activation="gelu", key=KEY),
    "PirateNet": lambda: with_mix(PirateNet(LOW, HIGH, 1, 32, 2, key=KEY)),
    "GaussianField": lambda: with_head(GaussianField(LOW, HIGH, 2, 800, 0.3, key=KEY)),
    "GaussianField, full": lambda: tilted(with_head(GaussianField(LOW, HIGH, 2, 100, 0.3, covariance="full", key=KEY))),
    "PIG": lambda: PIG(LOW, HIGH, 2, 3, 400, 0.3, key=KEY),
    "PIG, full": lambda: tilted(PIG(LOW, HIGH, 1, 2, 60, 0.3, covariance="full", key=KEY)),
    "SeparableMLP": lambda: SeparableMLP(LOW, HIGH, 2, 8, 16, 2, harmonics=(2, 0), key=KEY),
    "SeparablePIG": lambda: SeparablePIG(LOW, HIGH, 2, 8, 24, 0.3, key=KEY),
    "HardConstraint": lambda: HardConstraint(
        CoordinateMLP(LOW, HIGH, 2, 16, 2, key=KEY), product(initial(0, -1.0), vanishing(SQUARE, (1,))),
        given(lambda t, x: jnp.sin(t * x))),
    "Beside": lambda: Beside((CoordinateMLP(LOW, HIGH, 1, 8, 1, key=KEY), with_head(RandomFourierField(LOW, HIGH, 1, 40, 5.0, key=KEY)))),
    "Windowed": lambda: Windowed(tuple(CoordinateMLP(LOW, HIGH, 1, 8, 1, key=k) for k in jax.random.split(KEY, 3)), (-1.0, -0.4, 0.3, 1.0)),
    "RandomFourierField": lambda: with_head(RandomFourierField(LOW, HIGH, 2, 400, 5.0, law="ball", harmonics=(3, 0), key=KEY)),
    "Stretched": lambda: Stretched(with_head(RandomFourierField(LOW, HIGH, 1, 40, 3.0, key=KEY)), box((-1, 1), (-1, 2)), 1, (0,), (0.3,)),
}
EACH = pytest.mark.parametrize("make", [pytest.param(make, id=name, marks=pytest.mark.slow if "," in name else ())
                                         for name, make in NETWORKS.items()])  # a network's further cases are named after a comma


def points(n=500, dtype=None):
    return jax.random.uniform(jax.random.key(3), (n, 2), dtype or jnp.result_type(float), -1, 1)


# Derivatives.


def test_partitions_are_faa_di_brunos():
    assert dict(partitions((2,))) == {((2,),): 1, ((1,), (1,)): 1}
    assert dict(partitions((3,))) == {((3,),): 1, ((1,), (2,)): 3, ((1,), (1,), (1,)): 1}
    assert sum(c for _, c in partitions((2, 2))) == 15  # Bell's number of four
    assert closure([(1, 1)], 2) == ((0, 0), (1, 0), (0, 1), (1, 1))


@EACH
def test_carried_derivatives_are_nested_ones(make, x64):
    model = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, make())
    carried = eqx.filter_jit(lambda m, x: derivatives(m, x, READ).parts)(model, points())
    nested = nested_jet(lambda x: model(None, x), points(), READ).parts
    for a, b in zip(carried, nested, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11 * float(jnp.max(jnp.abs(b))))


@pytest.mark.slow
@EACH
def test_in_float32_they_are_those_of_float64(make):
    x = points(500, jnp.float32)
    model = make()
    low = eqx.filter_jit(lambda m, x: derivatives(m, x, READ).parts)(model, x)
    with jax.enable_x64(True):
        high = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64) if eqx.is_inexact_array(v) else v, model)
        wanted = derivatives(high, jnp.asarray(x, jnp.float64), READ).parts
    for a, b in zip(low, wanted, strict=True):  # the Gaussians' sum cancels: see its docstring
        assert np.abs(np.asarray(a) - np.asarray(b)).max() <= 2e-4 * np.abs(np.asarray(b)).max()


def test_a_finite_difference_agrees_at_the_order_of_the_cavity(x64):
    model = CoordinateMLP(LOW, HIGH, 1, 32, 3, key=KEY)
    model = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, model)
    third = lambda x: derivatives(model, x, ((2, 1),)).part((2, 1))[:, 0]  # noqa: E731
    fourth = derivatives(model, points(20), ((2, 2),)).part((2, 2))[:, 0]
    h = 1e-5
    step = jnp.asarray([[0.0, h]])
    np.testing.assert_allclose((third(points(20) + step) - third(points(20) - step)) / (2 * h), fourth, atol=1e-7)


def test_features_times_head_is_the_field(x64):
    for name in ("GaussianField", "RandomFourierField", "Stretched"):
        model = NETWORKS[name]()
        x = Jet.coordinates(points(), READ)
        for a, b in zip((model.features(x) @ model.head.astype(jnp.float64)).parts, model.jet(x).parts, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9 * float(jnp.max(jnp.abs(b))))


def test_every_coordinate_model_has_a_case():
    named = {name.split(",")[0] for name in NETWORKS}
    for room in (coordinate, features, gaussians, separable, constrained, marching, stretched):
        for name, found in vars(room).items():
            if isinstance(found, type) and issubclass(found, coordinate.AbstractCoordinateModel) and not name.startswith("Abstract"):
                assert name in named, name


def test_activations_start_as_they_say():
    z = jnp.linspace(-3, 3, 201)
    assert float(jnp.max(jnp.abs(smooth("rational")(z, 0)[0] - jnp.tanh(z)))) < 0.004
    normal = jax.random.normal(KEY, (200_000,))
    for name in ("hermite", "fourier"):
        np.testing.assert_allclose(jnp.var(smooth(name)(normal, 0)[0]), 1.0, atol=0.02)


# The pointwise calculus.


def test_what_an_equation_reads():
    assert needed(Burgers().residual, 1, ("t", "x")) == (((0, 0), (0, 1), (0, 2), (1, 0)),)
    assert needed(KortewegDeVries().residual, 1, ("t", "x")) == (((0, 0), (0, 1), (0, 3), (1, 0)),)
    assert (2, 2) in needed(Cavity().residual, 1, ("x", "y"))[0]


@pytest.mark.parametrize(("pde", "names"), [(Burgers(), ("t", "x")), (KleinGordon(), ("t", "x", "y")), (Cavity(), ("x", "y")),
                                            (NonlinearDiffusion(), ("t", "x", "y"))], ids=lambda v: type(v).__name__)
def test_the_pointwise_reading_of_an_equation_is_autodiffs(pde, names, x64):
    wave = lambda p: jnp.sin(p[0] + 0.3) * jnp.cos(1.3 * p[1]) + 0.2 * p[-1] ** 3 + 1.5  # noqa: E731
    x = jax.random.uniform(KEY, (30, len(names)))
    read = needed(pde.residual, 1, names)[0]
    jet = nested_jet(lambda y: jax.vmap(wave)(y)[:, None], x, read)
    field = PointwiseField(lambda i: jet.part(i)[:, 0], x, names)
    np.testing.assert_allclose(pde.residual(field).value, pde.residual(AutodiffField(wave, names))(x), atol=1e-11)


def test_quotients_powers_and_known_functions(x64):
    text = lambda u: d(u**3 / (u + 2.0) - known(u, lambda x, y: jnp.sin(x * y), "x", "y") * applied(jnp.exp, u), "x", 2)  # noqa: E731
    wave = lambda p: jnp.sin(p[0] + 0.3) * jnp.cos(1.3 * p[1])  # noqa: E731
    jet = nested_jet(lambda y: jax.vmap(wave)(y)[:, None], points(30), needed(text, 1, ("x", "y"))[0])
    field = PointwiseField(lambda i: jet.part(i)[:, 0], points(30), ("x", "y"))
    own: Any = text(field)
    autodiff: Any = text(AutodiffField(wave, ("x", "y")))
    np.testing.assert_allclose(own.value, autodiff(points(30)), atol=1e-12)


# Regions.


def test_points_lie_where_they_should_and_fill_it():
    wall = SQUARE.at(0, -1.0)
    x = wall.draw(KEY, 200)
    assert bool(jnp.all(x[:, 0] == -1)) and bool(jnp.all(jnp.abs(x[:, 1]) <= 1))
    assert len(faces(SQUARE, (0, 1))) == 4
    f = lambda x: jnp.cos(x[:, 0]) * jnp.cos(x[:, 1])  # noqa: E731
    exact = math.sin(1) ** 2
    error = {order: abs(float(jnp.mean(f(SQUARE.draw(KEY, 4096, order)))) - exact) for order in ("uniform", "quasi")}
    assert error["quasi"] < 1e-3


@pytest.mark.parametrize("bad", [lambda: box((1, 0)), lambda: SQUARE.at(2, 0.0), lambda: SQUARE.at(0, 3.0),
                                 lambda: Equation(lambda u: u, ()), lambda: Equation(lambda u: u, (SQUARE,), weight=0.0),
                                 lambda: Problem({"e": Equation(lambda u: u, (SQUARE,))}, ("t", "x", "y")),
                                 lambda: Problem({}, ("x",)), lambda: CoordinateMLP((0.0,), (0.0,), key=KEY),
                                 lambda: CoordinateMLP((0.0,), (1.0,), activation="swish", key=KEY),  # pyright: ignore[reportArgumentType]
                                 lambda: RandomFourierField((0.0,), (1.0,), scale=-1.0, key=KEY),
                                 lambda: Observations(jnp.zeros((3, 2)), jnp.full((3, 1), jnp.nan)),
                                 lambda: QuasiNewton(steps=10, per_round=3), lambda: fit_problem(None, helmholtz(), [], key=KEY)])
def test_bad_settings_are_refused(bad):
    with pytest.raises((UsageError, TypeError)):
        bad()


# Problems and training.


def helmholtz(weight=1e4, n=500):
    pde = Helmholtz()
    source = lambda u: known(u, lambda x, y: pde.source(x, y, 1, 1), "x", "y")  # noqa: E731
    return Problem({"equation": Equation(lambda u: pde.residual(u, source(u)), (SQUARE,), n),
                    "walls": Equation(lambda u: u, faces(SQUARE, (0, 1)), 160, weight)}, ("x", "y"))


def error(model):
    x = SQUARE.draw(jax.random.key(9), 2000)
    exact = Helmholtz.exact(x[:, 0], x[:, 1], 1, 1)
    return float(jnp.linalg.norm(model(None, x)[:, 0] - exact) / jnp.linalg.norm(exact))


def test_jacobians_are_those_of_autodiff(x64):
    problem = helmholtz(n=40)
    drawn = problem.draw(KEY)
    field = with_head(RandomFourierField((-1.0, -1.0), (1.0, 1.0), 1, 20, 3.0, key=KEY))
    field = eqx.tree_at(lambda m: m.head, field, field.head.astype(jnp.float64))
    stacked = lambda m: jnp.concatenate([r.ravel() for r in problem.residuals(m, drawn).values()])  # noqa: E731
    jacobian, r = head_system(field, problem, drawn)
    np.testing.assert_allclose(r, stacked(field), atol=1e-12)
    wanted = jax.jacfwd(lambda h: stacked(eqx.tree_at(lambda m: m.head, field, h)))(field.head)[..., 0]
    np.testing.assert_allclose(jacobian, wanted, atol=1e-9)
    all_of_it, again = weights_system(field, problem, drawn)
    np.testing.assert_allclose(again, r, atol=1e-12)
    np.testing.assert_allclose(all_of_it, wanted, atol=1e-9)


@pytest.mark.parametrize("rows", [60, 20])
def test_the_damped_solution_is_the_normal_equations(rows, x64):
    a, r = jax.random.normal(KEY, (rows, 30)), jax.random.normal(jax.random.key(1), (rows,))
    weights = 1e-4 * jnp.sum(a**2, 0)
    wanted = jnp.linalg.solve(a.T @ a + jnp.diag(weights), a.T @ r)
    np.testing.assert_allclose(damped_solution(a, r, 1e-2), wanted, atol=1e-8)


def test_a_linear_equation_is_solved_in_a_step(x64):
    field = RandomFourierField((-1.0, -1.0), (1.0, 1.0), 1, 150, 5.0, law="ball", key=KEY)
    found = fit_problem(field, helmholtz(1e6), [LeastSquares(steps=2)], key=KEY)
    assert error(found.model) < 1e-6  # the solver's own test is `experiments/physics_informed`


@pytest.mark.parametrize("update", ["ssbroyden", "ssbfgs", "bfgs"])
def test_quasi_newton_finds_the_minimum_of_rosenbrock(update, x64):
    f = lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)  # noqa: E731
    x = jnp.asarray([-1.2, 1.0, -0.5, 0.8])

    @jax.jit
    def run(x):
        return quasi_newton(f, x, restart(f, x, start(x)), 120, update)

    x, state, values = run(x)
    np.testing.assert_allclose(x, 1.0, atol=1e-6)
    assert bool(jnp.all(jnp.diff(values) <= 0)) and int(state.stuck) < 120


@pytest.mark.slow
def test_the_stages_lower_the_error_and_unknowns_are_found(x64):
    """c of Lap u + c u = f from 40 values with 1 per cent noise."""
    pde = Helmholtz(k=1.0)
    x = SQUARE.draw(jax.random.key(2), 40)
    u = pde.exact(x[:, 0], x[:, 1], 1, 1)
    noisy = (u + 0.01 * jax.random.normal(KEY, u.shape))[:, None]
    text = lambda u, c: laplacian(u, "x", "y") + c * u - known(u, lambda x, y: pde.source(x, y, 1, 1), "x", "y")  # noqa: E731
    problem = Problem({"equation": Equation(text, (SQUARE,), 300), "walls": Equation(lambda u, c: u, faces(SQUARE, (0, 1)), 80, 100.0),
                       "data": Observations(x, noisy, 100.0)}, ("x", "y"))
    model = WithUnknowns(CoordinateMLP((-1.0, -1.0), (1.0, 1.0), 1, 12, 2, key=KEY), {"c": jnp.asarray(0.2)})
    found = fit_problem(model, problem, [Adam(200, 5e-3, 100), LeastSquares(60, "all", 1e-2, 1e-8, 1e-6)], key=KEY)
    assert found.loss < found.history[0]["loss"] / 1e3
    spread = 0.01 / (40 * float(jnp.mean((u / (2 * math.pi**2 - 1)) ** 2))) ** 0.5  # of c, as the noise lets it be known
    assert error(found.model) < 0.02 and abs(float(found.model.unknowns["c"]) - 1) < 3 * spread


def test_a_killed_training_goes_on_bit_for_bit(tmp_path, x64, monkeypatch):
    stages, model = [Adam(40, 1e-3, 20), QuasiNewton(20, 10)], CoordinateMLP((-1.0, -1.0), (1.0, 1.0), 1, 6, 1, key=KEY)
    whole = fit_problem(model, helmholtz(1.0, 50), stages, key=KEY)
    from pdesurr.train import checkpoint

    saved = checkpoint.save
    for rounds in (1, 3):

        def killed(folder, step, tree, info, rounds=rounds):
            saved(folder, step, tree, info)
            if step == rounds:
                raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_problem(model, helmholtz(1.0, 50), stages, key=KEY, folder=tmp_path)
    monkeypatch.setattr(checkpoint, "save", saved)
    resumed = fit_problem(model, helmholtz(1.0, 50), stages, key=KEY, folder=tmp_path)
    for a, b in zip(jax.tree.leaves(eqx.filter(whole.model, eqx.is_array)), jax.tree.leaves(eqx.filter(resumed.model, eqx.is_array)),
                    strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(CheckpointError):
        fit_problem(model, helmholtz(1.0, 50), [Adam(40, 1e-2, 20)], key=KEY, folder=tmp_path)


def test_what_diverges_is_named(x64):
    infinite = Problem({"equation": Equation(lambda u: u / (u - u), (SQUARE,), 20)}, ("x", "y"))
    with pytest.raises(DivergedError, match="Adam"):
        fit_problem(CoordinateMLP((-1.0, -1.0), (1.0, 1.0), 1, 4, 1, key=KEY), infinite, [Adam(10, 1e-3, 10)], key=KEY)


def test_a_model_of_other_outputs_or_axes_is_refused():
    with pytest.raises(UsageError, match="1 outputs"):
        helmholtz().loss(CoordinateMLP((-1.0, -1.0), (1.0, 1.0), 2, 4, 1, key=KEY), helmholtz().draw(KEY))
    with pytest.raises(UsageError, match="box"):
        helmholtz().loss(CoordinateMLP((-1.0,), (1.0,), 1, 4, 1, key=KEY), helmholtz().draw(KEY))


def test_an_operator_is_refused_by_name():
    with pytest.raises(UsageError, match="coordinate network"):
        fit_problem(FNO(1, 1, (2, 2), 4, 1, key=KEY), helmholtz(1.0, 50), [Adam(20, 1e-3, 20)], key=KEY)


def test_an_unknown_coefficient_is_found_from_noisy_values(x64):
    """a of -(a u')' = f from values of u with 1 per cent noise, a given at one end; u and a have a network each."""
    line = box((0, 1))
    a, u = lambda x: 1 + 0.5 * jnp.sin(3 * x), lambda x: jnp.sin(5 * x) + x
    flux = lambda x: a(x) * jax.vmap(jax.grad(u))(x)  # noqa: E731
    text = lambda u, a: d(a * d(u, "x"), "x") - known(u, jax.vmap(jax.grad(lambda x: flux(x[None])[0])), "x")  # noqa: E731
    x = line.draw(jax.random.key(2), 200)
    noisy = u(x) * (1 + 0.01 * jax.random.normal(KEY, x.shape))
    problem = Problem({"equation": Equation(text, (line,), 200, 1e-2), "end": Equation(lambda u, a: a - 1.0, (line.at(0, 0.0),), 1),
                       "data": Observations(x, noisy, 10.0)}, ("x",), channels=2)
    networks = [CoordinateMLP((0.0,), (1.0,), 1, 8, 2, key=k) for k in jax.random.split(KEY)]
    found = fit_problem(Beside(tuple(networks)), problem, [LeastSquares(60, "all", 1e-2, 1e-8, 1e-6)], key=KEY).model
    at = jnp.linspace(0.0, 1.0, 101)[:, None]
    answer = found(None, at)
    assert jnp.linalg.norm(answer[:, 0] - u(at[:, 0])) < 0.01 * jnp.linalg.norm(u(at))
    assert jnp.linalg.norm(answer[:, 1] - a(at[:, 0])) < 0.05 * jnp.linalg.norm(a(at))
    with pytest.raises(UsageError, match="box"):  # a part's box is too small
        short = CoordinateMLP((0.0,), (0.5,), 1, 8, 2, key=KEY)
        fit_problem(Beside((networks[0], short)), problem, [LeastSquares(1, "all")], key=KEY)
