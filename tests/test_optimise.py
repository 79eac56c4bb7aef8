"""Optimisation: every method finds known minima; the true solver corrects a surrogate; inversion gives known posteriors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix
import pytest
import scipy.optimize

from pdesurr.checks import DivergedError, UsageError
from pdesurr.fields import Grid, SineBasis
from pdesurr.optimise import EnsembleKalman, invert, minimise, scipy_functions, taylor_test, trust_region
from pdesurr.pdes import Poisson
from pdesurr.solvers.newton import newton

KEY = jax.random.key(0)
NODES = 31
x = np.arange(1, NODES + 1) / (NODES + 1)
STIFFNESS = (2 * np.eye(NODES) - np.eye(NODES, k=1) - np.eye(NODES, k=-1)) * (NODES + 1) ** 2
SINES = np.sin(np.pi * np.arange(1, 7) * x[:, None])
TARGET = 0.6 * np.sin(np.pi * x) + 0.2 * np.sin(3 * np.pi * x)
METHODS = {"L-BFGS-B": "L-BFGS-B", "BFGS": "BFGS", "trust-constr": "trust-constr", "optax": optax.lbfgs(),
           "optimistix": optimistix.BFGS(rtol=1e-10, atol=1e-10)}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def tracking(u, c):
    """|u - target|^2 / 2 + 1e-5 |source|^2 / 2, integrated."""
    return (jnp.mean((u - TARGET) ** 2) + 1e-5 * jnp.mean((SINES @ c) ** 2)) / 2


def linear(c):
    """-u'' = source: the surrogate."""
    return tracking(jnp.linalg.solve(jnp.asarray(STIFFNESS), SINES @ c), c)


def cubic(c):
    """-u'' + 5 u^3 = source: the truth."""
    return tracking(newton(lambda u: STIFFNESS @ u + 5 * u**3 - SINES @ c, jnp.zeros(NODES), 12)[0], c)


def test_a_surrogate_alone_claims_what_is_not_so_and_the_trust_region_finds_the_true_minimum():
    start = jnp.zeros(6)
    naive, direct = minimise(linear, start, truth=cubic), minimise(cubic, start)
    assert naive.gap is not None and naive.verified is not None and naive.gap > 0.7 * naive.claimed  # half of the truth is not claimed
    found = trust_region(linear, cubic, start, radius=10.0)
    assert found.converged and found.solves < direct.calls and found.verified is not None
    assert abs(found.verified - direct.claimed) < 1e-4 * direct.claimed < naive.verified - direct.claimed
    values = [step["truth"] for step in found.history]
    assert found.verified == min(values) and len(values) == found.solves


def test_a_trust_region_never_ends_above_its_start_whatever_the_surrogate():
    misleading = lambda c: -cubic(c)  # noqa: E731
    found = trust_region(misleading, cubic, jnp.ones(6), radius=10.0, solves=8)
    assert found.verified is not None and found.verified <= float(cubic(jnp.ones(6)))
    assert found.solves == 8 or found.converged


def test_a_trust_region_keeps_bounds_and_refuses_steps_to_where_the_truth_is_not_finite():
    truth = lambda v: jnp.where(v[0] > 1.5, jnp.nan, jnp.sum((v - 2.0) ** 2))  # noqa: E731
    surrogate = lambda v: jnp.sum((v - 3.0) ** 2)  # noqa: E731
    found = trust_region(surrogate, truth, jnp.zeros(2), radius=4.0, bounds=(-1.0, 1.9), solves=30)
    assert np.all(np.asarray(found.x) <= 1.9)
    assert any(step.get("ratio") == -np.inf for step in found.history) and found.verified == pytest.approx(0.5)  # at (1.5, 1.5)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_poisson_mother_problem_ends_at_its_known_minimum(method):
    """-Lap u = f, min |u - d|^2 / 2 + alpha |f|^2 / 2, d = sin sin / (2 pi^2): J* in closed form (the example of pyadjoint)."""
    grid, alpha, at = Grid([SineBasis(16, 0.0, 1.0)] * 2), 1e-4, 2 * np.pi**2
    pde, nodes = Poisson(walls=True), np.asarray(grid.nodes)
    d = jnp.asarray(np.sin(np.pi * nodes[..., 0]) * np.sin(np.pi * nodes[..., 1]) / at)[..., None]

    def objective(f):
        return (grid.integral((pde.solve(f, grid) - d)[..., 0] ** 2) + alpha * grid.integral(f[..., 0] ** 2)) / 2

    lowest = alpha / (2 * (1 + alpha * at**2)) / 4  # f* = d at / (1 + alpha at^2), |d|^2 = 1 / (4 at^2)
    found = minimise(objective, jnp.zeros_like(d), method=method, steps=60)
    assert found.claimed == pytest.approx(lowest, rel=1e-6)
    assert found.verified is None and found.gap is None


def test_bounds_hold_with_every_method_that_takes_them_and_pytrees_come_back_as_they_went():
    objective = lambda p: jnp.sum((p["a"] - 2.0) ** 2) + (p["b"] + 1.0) ** 2  # noqa: E731
    start = {"a": jnp.zeros(3), "b": jnp.zeros(())}
    for method in ("L-BFGS-B", "SLSQP", optax.adam(0.1)):
        found = minimise(objective, start, method=method, bounds=({"a": 0.0, "b": -5.0}, {"a": jnp.asarray([1.0, 3.0, 3.0]), "b": 5.0}))
        np.testing.assert_allclose(found.x["a"], [1.0, 2.0, 2.0], atol=2e-3)
        np.testing.assert_allclose(found.x["b"], -1.0, atol=2e-3)


def test_scipy_is_given_value_and_gradient_from_one_call_that_compiles_once():
    traces = []

    def rosenbrock(v):
        traces.append(1)
        return jnp.sum(100.0 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2)

    fun, jac, x0 = scipy_functions(rosenbrock, jnp.zeros(3))
    fun(x0)
    traced = len(traces)
    found = scipy.optimize.minimize(fun, x0, jac=jac, method="L-BFGS-B")
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)
    assert len(traces) == traced


def test_the_taylor_test_tells_right_gradients_from_wrong_ones():
    rates = taylor_test(cubic, jnp.arange(1.0, 7.0), key=KEY)
    np.testing.assert_allclose(rates, (1, 2, 3), atol=0.1)
    with jax.enable_x64(False):
        quartic = taylor_test(lambda v: jnp.sum(v**4), jnp.ones(2), key=KEY, step=0.1)
    assert all(np.isnan(r) or r > order - 0.2 for order, r in enumerate(quartic, 1))  # never a rate of rounding
    wrong = jax.custom_jvp(lambda v: jnp.sum(v**3))
    wrong.defjvp(lambda p, t: (jnp.sum(p[0] ** 3), 2.9 * jnp.sum(p[0] ** 2 * t[0])))
    assert taylor_test(wrong, jnp.arange(1.0, 4.0), key=KEY)[1] < 1.2


def test_ensemble_inversion_of_a_linear_map_is_the_gaussian_posterior():
    forward, noise = jax.random.normal(KEY, (5, 3)), 0.3
    y = forward @ jnp.asarray([1.0, -0.5, 0.2])
    precision = jnp.eye(3) + forward.T @ forward / noise**2
    exact = jnp.linalg.solve(precision, forward.T @ y / noise**2)
    members = jax.random.normal(jax.random.key(1), (2000, 3))
    found = invert(lambda v: forward @ v, EnsembleKalman(members, y, jnp.full(5, noise**2)), key=jax.random.key(2))
    assert found.done
    covariance = jnp.linalg.inv(precision)
    deviation = jnp.sqrt(jnp.diag(covariance))
    assert float(jnp.max(jnp.abs(found.members.mean(0) - exact) / deviation)) < 0.15
    np.testing.assert_allclose(jnp.cov(found.members.T), covariance, atol=0.15 * float(jnp.max(covariance)))


def test_members_without_a_finite_prediction_are_drawn_anew_about_the_rest():
    y = jnp.asarray([0.6, -0.4])
    ensemble = EnsembleKalman(jax.random.normal(KEY, (200, 2)), y, jnp.full(2, 1e-3))
    found = invert(lambda v: jnp.where(v[0] > 0, v, jnp.nan), ensemble, key=jax.random.key(1))
    np.testing.assert_allclose(found.members.mean(0), y, atol=0.02)
    assert float(jnp.max(jnp.std(found.members, axis=0))) < 0.1
    assert bool(jnp.all(found.tell(found.ask(), KEY).members == found.members))  # done
    with pytest.raises(DivergedError, match="fewer than two members"):
        ensemble.tell(jnp.full((200, 2), jnp.nan), KEY)


def test_bad_input_is_refused_in_words():
    square = lambda v: jnp.sum(v**2)  # noqa: E731
    start = jnp.ones(2)
    refused = [
        (lambda: minimise(square, start, method="Newton"), "method: expected one of L-BFGS-B"),
        (lambda: minimise(square, start, method=3), "an Optax transformation or an Optimistix minimiser, received 3"),
        (lambda: minimise(lambda v: v, start), "objective: expected a function to one number"),
        (lambda: minimise(square, jnp.asarray([1, 2])), "start: expected an array or a pytree of arrays, of floats"),
        (lambda: minimise(square, start * jnp.nan), "start: expected finite numbers"),
        (lambda: minimise(square, start, bounds=(2.0, 3.0)), "clip it"),
        (lambda: minimise(square, start, bounds=(3.0, 2.0)), "lower <= upper"),
        (lambda: minimise(square, start, bounds=(jnp.zeros(3), 3.0)), "of the start's structure and shapes"),
        (lambda: minimise(square, start, method="BFGS", bounds=(0.0, 3.0)), "with bounds, one of"),
        (lambda: minimise(square, start, steps=0), "steps: expected a whole number >= 1"),
        (lambda: trust_region(square, square, start, radius=0.0), "radius: expected a number > 0"),
        (lambda: minimise(square, square), "start: expected an array or a pytree of arrays"),
        (lambda: minimise(square, start, bounds=("a", "b")), "bounds: expected a pair"),
        (lambda: minimise(square, start.astype(complex)), "of floats"),
        (lambda: minimise(square, start, tolerance=-1.0), "tolerance: expected None or a number >= 0"),
        (lambda: EnsembleKalman(start[None], start, start), "members: expected an array"),
        (lambda: EnsembleKalman(jnp.ones((3, 2)), start, -start), "covariance: expected variances > 0"),
        (lambda: EnsembleKalman(jnp.ones((3, 2)), start * jnp.nan, start), "members, y: expected finite numbers"),
        (lambda: EnsembleKalman(jnp.ones((3, 2)), start, jnp.ones(3)), "covariance: expected shape"),
    ]
    for call, words in refused:
        with pytest.raises(UsageError, match=words):
            call()
    pinned = minimise(square, start, bounds=(1.0, 1.0))
    assert float(jnp.max(jnp.abs(pinned.x - 1))) == 0 and minimise(square, start, bounds=(None, 1.0)).claimed < 1e-8
    pairs: tuple[tuple[Any, str], ...] = (
        (square, "with has_aux, a function to a pair .number, anything., received one number"),
        (lambda v: (v, square(v)), "with has_aux, a pair of one number, first, and arrays"))
    for truth, words in pairs:
        with pytest.raises(UsageError, match=words):
            trust_region(square, truth, start, radius=1.0, has_aux=True)
    with pytest.raises(UsageError, match="pass has_aux=True"):
        trust_region(square, lambda v: (square(v), v), start, radius=1.0)
    with pytest.raises(DivergedError, match="not finite at the start"):
        minimise(lambda v: jnp.sum(jnp.log(-v)), start)
    with pytest.raises(DivergedError, match="not bounded below"):
        minimise(lambda v: -jnp.sum(jnp.exp(v)), start)
    with pytest.raises(DivergedError, match="true objective is not finite at the optimum"):
        minimise(square, start, truth=lambda v: jnp.sum(v) * jnp.nan)


def test_what_jax_cannot_trace_is_told_in_one_sentence():
    for bad in (lambda x: np.sum(np.asarray(x) ** 2), lambda x: jnp.asarray(float(x[0])), lambda x: x[0] if x[0] > 0 else -x[0]):
        with pytest.raises(UsageError, match="objective: expected a function that jax can trace"):
            minimise(bad, jnp.ones(2))
    with pytest.raises(UsageError, match="truth: expected a function to one number"):
        minimise(lambda x: jnp.sum(x**2), jnp.ones(2), truth=lambda x: x)
    with pytest.raises(UsageError, match="truth: expected a function to one number"):
        trust_region(lambda x: jnp.sum(x**2), lambda x: x, jnp.ones(2), radius=1.0)


def test_a_search_goes_on_where_the_objective_has_fallen_far():
    """In single precision a tolerance in units of the start's value would end it far from the minimum."""
    scale = jnp.asarray([1e3, 1.0])
    found = minimise(lambda x: jnp.sum((scale * (x - 1)) ** 2) + 1.0, jnp.asarray([3.0, 100.0]))
    assert found.claimed < 1.0 + 1e-3, found
