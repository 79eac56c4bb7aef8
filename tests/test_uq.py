"""Trust: bands cover as often as they say, estimates follow errors that nobody told them, the guard keeps its tolerance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from pdesurr import metrics
from pdesurr.checks import DivergedError, UsageError
from pdesurr.nn.gaussian import LowRankGaussian
from pdesurr.pdes import Burgers, Darcy, Poisson, ReactionDiffusion
from pdesurr.surrogates import load
from pdesurr.uq import Corrected, Novelty, Propagated, calibrated, conformal_band, conformal_quantile, guarded, rescaled
from pdesurr.uq.conformal import answers

KEY = jax.random.key(0)
POISSON, DARCY = Poisson(), Darcy()
GRID, NODES = POISSON.grid(16), DARCY.grid(33)


def draws(pde, grid, n, seed=0):
    return np.asarray(jax.vmap(lambda k: pde.sample(k, grid))(jax.random.split(jax.random.key(seed), n)))


def wrong(pde, grid, size):
    """A surrogate that errs by its input: by up to `size`, smoothly in space."""
    x = np.asarray(grid.nodes)
    bump = jnp.asarray(np.sin(2 * np.pi * x[..., :1]) * np.sin(np.pi * x[..., 1:]), jnp.float32)

    def surrogate(a):
        u = pde.solve(a, grid)
        return u + size * jnp.sqrt(jnp.mean(u**2)) * (0.05 + jnp.abs(jnp.mean(a[..., 0] * x[..., 0].astype(np.float32)))) * bump

    return surrogate


def test_a_conformal_quantile_is_exceeded_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    below = [np.mean(rng.exponential(size=200) <= conformal_quantile(rng.exponential(size=99), 0.9)) for _ in range(400)]
    assert abs(np.mean(below) - 0.9) < 0.01
    np.testing.assert_array_equal(conformal_quantile(np.arange(9.0), 0.9), 8.0)  # nine samples: the largest
    with pytest.raises(UsageError, match="at least 9 to calibrate a coverage of 0.9"):
        conformal_quantile(np.arange(8.0), 0.9)
    with pytest.raises(UsageError, match="scores: expected numbers"):
        conformal_quantile(np.full(20, np.nan), 0.9)


@pytest.mark.parametrize("kind", ["simultaneous", "pointwise"])
def test_bands_cover_as_often_as_they_say(kind):
    rng = np.random.default_rng(1)
    size = np.linspace(0.1, 1.0, 12)[:, None]
    held = []
    for _ in range(30):
        truth = (3 + size * rng.standard_normal((260, 12, 1))).astype(np.float32)
        band = conformal_band(lambda a: 3 + 0 * a, np.zeros_like(truth[:60]), truth[:60], kind=kind)
        held.append(band.covers(jnp.full_like(truth[60:], 3), jnp.asarray(truth[60:])))
    assert abs(np.mean(held) - 0.9) < 0.03
    assert band.width[0, 0] < 0.5 * band.width[-1, 0]  # narrow where errors are
    lower, upper = band(jnp.ones((12, 1)))
    np.testing.assert_allclose((upper - lower) / 2, band.width, rtol=1e-5)


def sure_of_itself(a, b):
    """Says a third of its deviation, which differs from number to number and lies mostly in a factor; knows the first number exactly."""
    size = jnp.asarray([0.0, 1.0, 2.0, 4.0], a.dtype) / 3
    return LowRankGaussian(a + b, 0.6 * size, 0.8 * size[:, None])


def test_stated_deviations_are_made_to_hold_the_truth_as_often_as_they_say(x64):
    rng = np.random.default_rng(2)

    def samples(n):
        a, b = rng.standard_normal((2, n, 4))
        return (a, b), a + b + np.asarray([0.0, 1.0, 2.0, 4.0]) * rng.standard_normal((n, 4))

    fitted = rescaled(sure_of_itself, *samples(400))
    (a, b), truth = samples(2000)
    mean, deviation = jax.vmap(lambda *one: (fitted(*one).mean, fitted(*one).marginal))(jnp.asarray(a), jnp.asarray(b))
    assert abs(np.mean(np.abs(truth - mean)[:, 1:] < 2 * deviation[:, 1:]) - 0.9545) < 0.015
    assert abs(fitted.factor - 3) < 0.2
    np.testing.assert_array_equal(deviation[:, 0], 0.0)


def test_deviations_without_samples_to_fit_are_refused():
    a, truth = np.zeros((30, 4), np.float32), np.ones((30, 4), np.float32)
    for given, wanted, words in (
            ((a, a[:9]), truth, r"inputs.1.: expected 30 samples, as many as truths, received 9; give each"),
            ((a, a), truth[:, :3], "shape of the answers"),
            ((a, a), truth * np.nan, "truths: expected finite"), ((a[:2], a[:2]), truth[:2], "at least 21 to calibrate"),
            ((), truth, "a tuple of arrays"), ((a, a * np.nan), truth, r"inputs.1.: expected finite")):
        with pytest.raises(UsageError, match=words):
            rescaled(sure_of_itself, given, wanted)


def test_the_residual_tells_the_error_of_a_poisson_surrogate_without_its_truth():
    a = draws(POISSON, GRID, 8)
    surrogate, estimate = jax.vmap(wrong(POISSON, GRID, 0.3)), Corrected(POISSON, GRID)
    u = surrogate(jnp.asarray(a))
    errors = jax.vmap(lambda v, s: metrics.relative_l2(v, POISSON.solve(s, GRID), GRID))(u, jnp.asarray(a))
    truth = jax.vmap(lambda s: jnp.sqrt(jnp.sum(GRID.norm(POISSON.solve(s, GRID)) ** 2)))(jnp.asarray(a))
    own = jax.vmap(lambda v: jnp.sqrt(jnp.sum(GRID.norm(v) ** 2)))(u)
    np.testing.assert_allclose(jax.vmap(estimate)(jnp.asarray(a), u), errors * truth / own, rtol=1e-3)


def test_the_residual_ranks_the_errors_of_a_darcy_surrogate_and_bounds_them_once_calibrated():
    a = draws(DARCY, NODES, 60)
    surrogate = jax.vmap(wrong(DARCY, NODES, 0.05))
    outputs = np.asarray(jax.vmap(lambda s: DARCY.solve(s, NODES))(jnp.asarray(a)))
    estimate, u = Corrected(DARCY, NODES), surrogate(jnp.asarray(a))
    errors = np.asarray(jax.vmap(lambda v, w: metrics.relative_l2(v, w, NODES))(u, jnp.asarray(outputs)))
    sizes = np.asarray(jax.vmap(estimate)(jnp.asarray(a), u))
    assert np.asarray(spearmanr(sizes, errors))[0] > 0.95
    assert np.all((sizes > errors / 2) & (sizes < 2 * errors))
    bound = calibrated(estimate, wrong(DARCY, NODES, 0.05), NODES, a[:30], outputs[:30])
    held = np.asarray(jax.vmap(bound)(jnp.asarray(a[30:]), u[30:])) >= errors[30:]
    assert held.mean() > 0.8


def test_inputs_unlike_the_trainings_are_novel_and_so_is_noise_that_no_value_shows():
    pde, grid = Burgers(nu=0.5), Burgers(nu=0.5).grid(64)
    a = np.asarray(jax.vmap(lambda v: pde.solve(v, grid, method="heat_kernel"))(jnp.asarray(draws(pde, grid, 240))))  # smooth ones
    novelty = Novelty.of(a[:200])
    score = lambda v: np.asarray(jax.vmap(lambda s: novelty(s, s))(jnp.asarray(v)))  # noqa: E731
    usual = score(a[200:])
    assert 0.5 < np.median(usual) < 2
    noise = 0.05 * a.std() * np.asarray(jax.random.rademacher(KEY, (40, 64, 1), jnp.float32))
    assert score(a[200:] + noise).min() > usual.max()
    assert score(3 * a[200:]).mean() > 2 * usual.mean()


def test_the_guard_sends_to_the_solver_what_the_surrogate_may_not_answer():
    a = draws(POISSON, GRID, 20)
    surrogate, solver = wrong(POISSON, GRID, 0.3), lambda v: POISSON.solve(v, GRID)
    truth = np.asarray(jax.vmap(solver)(jnp.asarray(a)))
    estimate = Corrected(POISSON, GRID)
    tolerance = float(np.median(np.asarray(jax.vmap(lambda v: estimate(v, surrogate(v)))(jnp.asarray(a)))))
    guard = guarded(surrogate, solver, estimate, tolerance)
    routed = guard(a)
    assert 0 < routed.solved.sum() < 20
    np.testing.assert_array_equal(routed.solved, routed.estimates > tolerance)
    np.testing.assert_allclose(routed.u[routed.solved], truth[routed.solved], rtol=1e-4, atol=1e-6)
    assert not np.allclose(routed.u[~routed.solved], truth[~routed.solved], rtol=1e-4, atol=1e-6)
    guard(a[:5])
    assert (guard.calls, guard.solves) == (25, routed.solved.sum() + routed.solved[:5].sum())


def test_what_is_not_finite_is_never_passed_on():
    nan, fine = lambda v: jnp.nan * v, lambda v: v
    always = Corrected(POISSON, GRID)
    a = draws(POISSON, GRID, 2)
    assert guarded(nan, fine, always, 0.1)(a).solved.all()
    with pytest.raises(DivergedError, match="not finite"):
        guarded(nan, nan, always, 0.1)(a)
    with pytest.raises(UsageError, match="input: expected finite values"):
        guarded(fine, fine, always, 0.1)(a * np.nan)
    with pytest.raises(UsageError, match="solver: expected answers of the surrogate's shape"):
        guarded(fine, lambda v: v[::2], always, 0.1)(a)
    with pytest.raises(UsageError, match="solver: expected a function that jax can trace"):
        guarded(fine, lambda v: np.asarray(v), always, 0.1)(a)  # pyright: ignore[reportArgumentType]


def test_an_estimate_of_another_equation_is_refused():
    surrogate = load("poisson-nsm")
    grid = surrogate.spec.grid
    estimate = Corrected(Darcy(), Darcy().grid(65))
    with pytest.raises(UsageError, match="pde: expected the equation it was trained for, Poisson, received 'Darcy'"):
        guarded(surrogate, lambda a: POISSON.solve(a, grid), estimate, 0.1)


def test_bad_input_is_refused_in_words():
    with pytest.raises(UsageError, match="an equation with a `correction`: a steady one, received 'Burgers'"):
        Corrected(Burgers(), Burgers().grid(16))
    with pytest.raises(UsageError, match="at least 20 samples"):
        Novelty.of(np.zeros((5, 4, 1)))
    with pytest.raises(UsageError, match="resample it"):
        Novelty.of(draws(Burgers(), Burgers().grid(16), 20))(jnp.zeros((32, 1)))
    with pytest.raises(UsageError, match="not all alike"):
        Novelty.of(np.ones((30, 4, 1)))
    with pytest.raises(UsageError, match="at least 16 for a coverage of 0.9, a third of them for the shape"):
        conformal_band(lambda a: a, np.zeros((9, 4, 1)), np.zeros((9, 4, 1)))
    with pytest.raises(UsageError, match="outputs: expected the shape of the surrogate's answers"):
        conformal_band(lambda a: a, np.zeros((20, 4, 1)), np.zeros((20, 4, 2)))
    with pytest.raises(UsageError, match="outputs: expected finite values"):
        conformal_band(lambda a: a, np.zeros((20, 4, 1)), np.full((20, 4, 1), np.nan))
    for bad, words in ((np.zeros((4, 1)), "inputs: expected samples .* a.None. is a batch"), (np.zeros((0, 4, 1)), "at least one")):
        with pytest.raises(UsageError, match=words):
            answers(lambda a: a, bad)
    with pytest.raises(UsageError, match="coverage: expected a number in"):
        conformal_band(lambda a: a, np.zeros((20, 4, 1)), np.ones((20, 4, 1)), coverage=1.0)
    with pytest.warns(UserWarning, match="100 % off these outputs: inputs and outputs swapped"):
        band = conformal_band(lambda a: a, np.zeros((20, 4, 1)), np.ones((20, 4, 1)))
    with pytest.raises(UsageError, match="grid: expected that of the samples, .4,. nodes, received .8"):
        a = np.random.default_rng(0).standard_normal((20, 4, 1), dtype=np.float32)
        calibrated(Novelty.of(a), lambda v: v, Burgers().grid(8), a, a)
    for wrong_u, words in ((jnp.zeros((5, 1)), "u: expected answers of shape"), (jnp.full((4, 1), jnp.nan), "u: expected finite")):
        with pytest.raises(UsageError, match=words):
            band(wrong_u)
    with pytest.raises(UsageError, match="u: expected samples of shape"):
        band.covers(jnp.zeros((3, 5, 1)), jnp.zeros((3, 5, 1)))
    with pytest.raises(UsageError, match="solver: expected the true solver, after the surrogate"):
        guarded(lambda v: v, load("poisson-nsm"), Corrected(POISSON, GRID), 0.1)
    a = draws(POISSON, GRID, 20)
    with pytest.raises(UsageError, match="none of them zero"):
        calibrated(Corrected(POISSON, GRID), lambda v: v, GRID, a, 0 * a)
    with pytest.raises(UsageError, match="for a batch use jax.vmap"):
        Corrected(POISSON, POISSON.grid(8))(jnp.asarray(a[0]), jnp.asarray(a[0]))
    with pytest.raises(UsageError, match="tolerance: expected a relative error > 0"):
        guarded(lambda a: a, lambda a: a, Corrected(POISSON, GRID), np.inf)


def test_the_residual_carried_to_the_end_is_the_error_there():
    surrogate, pde = load("reaction-diffusion-nsm"), ReactionDiffusion(nu=0.05)
    grid, estimate = surrogate.spec.grid, Propagated(surrogate, pde)
    a = jnp.asarray(draws(pde, grid, 12))
    u = surrogate(a)
    errors = np.asarray(jax.jit(jax.vmap(lambda v, s: metrics.relative_l2(v, pde.solve(s, grid), grid)))(u, a))
    sizes = np.asarray(jax.jit(jax.vmap(estimate))(a, u))
    np.testing.assert_allclose(sizes, errors, rtol=0.25)
    assert np.asarray(spearmanr(sizes, errors))[0] > 0.8
    assert bool(jnp.all(jnp.isfinite(jax.jit(jax.grad(lambda v: estimate(v, surrogate(v))))(a[0]))))
    with pytest.raises(UsageError, match="a, u: expected one sample and its answer"):
        estimate(a, u)
    with pytest.raises(UsageError, match="pde: expected an evolution, received 'Poisson'"):
        Propagated(surrogate, POISSON)
    assert surrogate.equation().parameters == pde.parameters
    with pytest.raises(UsageError, match="pde: expected nu = 0.05, as it was trained, received nu = 0.5"):
        Propagated(surrogate, ReactionDiffusion(nu=0.5))
    heat = load("heat-fno")
    with pytest.raises(UsageError, match="surrogate: expected one that answers in space and time"):
        Propagated(heat, heat.equation())
    with pytest.raises(UsageError, match="time, steps: expected whole numbers"):
        Propagated(surrogate, pde, steps=0)
