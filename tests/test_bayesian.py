"""Bayesian optimisation: few true calls, with a biased surrogate and without one; its process against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.optimise import BayesianSearch
from pdesurr.optimise.bayesian import improvement

KEY = jax.random.key(0)
LOWER, UPPER = [-2.0, -1.0], [2.0, 3.0]


def truth(x):
    return float((x[0] - 0.7) ** 2 + 2 * (x[1] - 1.2) ** 2 + 0.3 * np.sin(3 * x[0]))


def claim(x):
    """The truth without its ripple, and with its minimum elsewhere."""
    return (x[0] - 0.2) ** 2 + 2 * (x[1] - 0.9) ** 2


def search(now, calls):
    for key in jax.random.split(KEY, calls):
        x = now.ask(key)
        now = now.tell(x, jnp.asarray([truth(np.asarray(x[0]))]))
    return now


def lowest():
    x = np.stack(np.meshgrid(np.linspace(-2, 2, 801), np.linspace(-1, 3, 801), indexing="ij"))
    return float(np.min((x[0] - 0.7) ** 2 + 2 * (x[1] - 1.2) ** 2 + 0.3 * np.sin(3 * x[0])))


@pytest.mark.slow
def test_a_biased_surrogate_and_a_few_true_calls_find_the_minimum(x64):
    with_surrogate = search(BayesianSearch(claim, LOWER, UPPER), 12)
    without = search(BayesianSearch(lambda x: 0.0 * x[0] + 5.0, LOWER, UPPER), 12)
    assert with_surrogate.best[1] - lowest() < 0.01, with_surrogate.best
    assert with_surrogate.best[1] <= without.best[1]


def test_expectations_are_the_closed_form_and_meet_what_was_told(x64):
    x = jax.random.uniform(KEY, (6, 2), minval=jnp.asarray(LOWER), maxval=jnp.asarray(UPPER))
    f = jnp.asarray([truth(np.asarray(p)) for p in x])
    told = BayesianSearch(claim, LOWER, UPPER, spread=lambda p: 1.0 + p[0] ** 2).tell(x, f)
    kernel = jnp.log(jnp.asarray([0.8, 0.5, 0.4]))
    at = jnp.concatenate([x, jnp.asarray([[0.0, 0.0], [1.5, 2.5]])])
    mean, deviation = told.expected(at, jnp.ones(6), kernel)
    np.testing.assert_allclose(mean[:6], f, atol=1e-3)
    e = lambda p: 1 + p[:, 0] ** 2  # noqa: E731
    k = lambda a, b: 0.64 * e(a)[:, None] * e(b)[None] * np.exp(  # noqa: E731
        -np.sum(((a[:, None] - b[None]) / (4 * np.asarray([0.5, 0.4]))) ** 2, axis=-1) / 2)
    a, b = np.asarray(x), np.asarray(at[6:])
    whole = k(a, a) + 1e-6 * np.diag(np.diag(k(a, a)))
    gap = np.asarray(f) - np.asarray(jax.vmap(claim)(x))
    np.testing.assert_allclose(mean[6:], np.asarray(jax.vmap(claim)(at[6:])) + k(b, a) @ np.linalg.solve(whole, gap), rtol=1e-6)
    np.testing.assert_allclose(deviation[6:] ** 2, np.diag(k(b, b) - k(b, a) @ np.linalg.solve(whole, k(a, b))), rtol=1e-6)


def test_expected_improvement_is_the_mean_of_what_is_gained():
    draws = 1.0 + 0.5 * np.random.default_rng(0).standard_normal(200_000)
    found = improvement(*map(jnp.asarray, (1.0, 0.5, 0.9)))
    np.testing.assert_allclose(found, np.mean(np.maximum(0.9 - draws, 0)), rtol=0.01)


def test_several_points_differ_and_lie_in_the_box():
    first = BayesianSearch(claim, LOWER, UPPER)
    points = first.ask(KEY, 3)
    assert points.shape == (3, 2) and bool(jnp.all((points >= first.lower[None]) & (points <= first.upper[None])))
    assert float(jnp.min(jnp.linalg.norm(points[1:] - points[:1], axis=1))) > 0
    np.testing.assert_allclose(points[0], [0.2, 0.9], atol=0.2)  # where the surrogate is least


def test_what_diverged_counts_as_the_worst_and_bad_input_is_refused():
    told = BayesianSearch(claim, LOWER, UPPER).tell(jnp.zeros((2, 2)), jnp.asarray([1.0, jnp.nan]))
    np.testing.assert_array_equal(told.f, [1.0, 1.0])
    for bad in (lambda: BayesianSearch(claim, [0.0], [0.0]), lambda: BayesianSearch(claim, 0.0, 1.0), lambda: told.ask(KEY, 0),
                lambda: told.tell(jnp.zeros((1, 3)), jnp.zeros(1)), lambda: BayesianSearch(claim, LOWER, UPPER).best,
                lambda: BayesianSearch(claim, LOWER, UPPER).tell(jnp.zeros((1, 2)), jnp.asarray([jnp.inf]))):
        with pytest.raises(UsageError):
            bad()
