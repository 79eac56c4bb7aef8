"""Random grid neural processes: their densities, derivatives, invariances, and the bound they are trained by."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.data.sources import NumberSource
from pdesurr.fields import AutodiffField, d
from pdesurr.fields.jets import Jet, closure
from pdesurr.fields.regions import box
from pdesurr.models.coordinate import nested_jet
from pdesurr.models.random_grid import FieldProcess, NumberProcess, RandomGridProcess
from pdesurr.nn.gaussian import LowRankGaussian
from pdesurr.objectives.evidence import Evidence, Measured
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.pdes import QuasilinearPoisson
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Samples, apply

KEY, LINE, SQUARE = jax.random.key(0), box((-1, 1)), box((0, 1), (-1, 1))
PDE = QuasilinearPoisson(terms=2)
POINTS = 12


PROBLEM = Problem({"equation": Equation(PDE.residual_of_numbers, (LINE,), POINTS)}, ("x",))


def walls(x, v, w):
    """(1 - x^2) v."""
    del w
    return (x * x).scale(-1.0).shift(1.0) * v


def pair(rank=2):
    return RandomGridProcess(FieldProcess(1, 3, 1, 8, 2, rank=rank, frequencies=4, key=KEY),
                             NumberProcess((-1.0,), (1.0,), 2, 1, channels=4, nodes=9, convolutions=2, width=9, depth=1, key=KEY), walls)


def test_the_density_is_that_of_the_whole_covariance(x64):
    mean, deviation, factors = (jax.random.normal(k, s) for k, s in zip(jax.random.split(KEY, 3), ((7,), (7,), (7, 2)), strict=True))
    gaussian = LowRankGaussian(mean, jnp.abs(deviation) + 0.1, factors)
    covariance = jnp.diag(gaussian.deviation**2) + factors @ factors.T
    v = jnp.linspace(-1, 1, 7)
    np.testing.assert_allclose(gaussian.log_density(v), jax.scipy.stats.multivariate_normal.logpdf(v, mean, covariance), rtol=1e-10)
    np.testing.assert_allclose(gaussian.marginal**2, jnp.diagonal(covariance), rtol=1e-12)


def test_the_density_where_factors_hold_almost_all_the_variance():
    """In float32, with nearly parallel factors a thousand times the deviations: as in float64, with its gradient."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=30)
    factors = 10 * (one[:, None] + 1e-3 * rng.normal(size=(30, 6)))
    mean, deviation, v = rng.normal(size=30), np.full(30, 3e-3), factors @ rng.normal(size=6) + 3e-3 * rng.normal(size=30)

    def density(dtype):
        parts = [jnp.asarray(x, dtype) for x in (deviation, factors)]
        f = lambda d, c: LowRankGaussian(jnp.asarray(mean, dtype), d, c).log_density(jnp.asarray(mean + v, dtype))  # noqa: E731
        return [np.asarray(x) for x in jax.tree.leaves(jax.jit(jax.value_and_grad(f, (0, 1)))(*parts))]

    single = density(jnp.float32)
    with jax.enable_x64(True):
        double = density(jnp.float64)
    assert all(np.all(np.isfinite(x)) for x in single)
    np.testing.assert_allclose(single[0], double[0], rtol=0.02)


def test_the_fields_derivatives_are_nested_ones(x64):
    model = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v,
                         FieldProcess(2, 3, 2, 8, 2, rank=1, frequencies=3, key=KEY))
    x, p, read = SQUARE.draw(KEY, 20), jnp.asarray([0.3, -1.0, 2.0]), closure([(2, 0), (1, 1)], 2)
    for i, carried in enumerate(model.jets(Jet.coordinates(x, read), p)):
        nested = nested_jet(lambda y, i=i: model.jets(Jet.coordinates(y), p)[i].value, x, read)
        for a, b in zip(carried.parts, nested.parts, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-11 * max(1.0, float(jnp.max(jnp.abs(b)))))


def test_what_holds_by_construction_holds_of_mean_and_deviation():
    model, x = pair(), jnp.asarray([[-1.0], [0.3], [1.0]])
    field = model.field(jnp.zeros(2), jnp.ones(1), x)
    assert field.mean[0] == field.mean[2] == field.marginal[0] == field.marginal[2] == 0
    assert field.mean[1] != 0 and field.marginal[1] > 0
    parts = model.forward.jets(Jet.coordinates(x), jnp.asarray([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(field.marginal[1], 0.91 * jnp.sqrt(parts[1].value[1, 0] ** 2 + jnp.sum(parts[2].value[1] ** 2)), rtol=1e-5)


def test_it_answers_as_every_model_does():
    model, grid, x = pair(), PDE.grid(7), jnp.asarray([[0.1], [-0.4]])
    a = Samples(grid, jnp.zeros((7, 0)), PDE.numbers(KEY))
    np.testing.assert_allclose(model(a, x)[:, 0], model.field(a.params["z"], a.params["w"], x).mean, rtol=1e-6)
    assert model(a).shape == (7, 1) and apply(model, jax.tree.map(lambda v: v[None], a), x).shape == (1, 2, 1)


def test_the_inverse_reads_any_points_in_any_order():
    inverse = NumberProcess((0.0, -1.0), (1.0, 1.0), 2, 1, 3, 4, nodes=5, convolutions=2, kernel=2, width=9, depth=1, key=KEY)
    x, u = SQUARE.draw(KEY, 30), jax.random.normal(KEY, (30, 3))
    whole, turned, fewer = (inverse(u[i], x[i], jnp.ones(1)) for i in (jnp.arange(30), jnp.arange(30)[::-1], jnp.arange(11)))
    np.testing.assert_allclose(turned.mean, whole.mean, atol=1e-6)
    assert fewer.mean.shape == (2,) and bool(jnp.all(whole.deviation > 0)) and not np.allclose(fewer.mean, whole.mean)


def test_no_number_need_be_known():
    inverse = NumberProcess((-1.0,), (1.0,), 2, 0, channels=4, nodes=9, convolutions=2, width=9, depth=1, key=KEY)
    model = RandomGridProcess(FieldProcess(1, 2, 1, 8, 2, frequencies=4, key=KEY), inverse, walls)
    source = NumberSource(lambda key: {"z": jax.random.normal(key, (2,)), "w": jnp.zeros(0)}, PDE.grid(8), 4, 0)
    problem = Problem({"equation": Equation(lambda u, z, w: d(d(u, "x"), "x") + z[0], (LINE,), POINTS)}, ("x",))
    loss, _ = jax.eval_shape(lambda batch: Evidence(problem)(model, batch, KEY), source.take(jnp.arange(2)))
    assert loss.shape == ()
    x = jnp.linspace(-1, 1, 5)[:, None]
    means = eqx.filter_jit(jax.vmap(lambda u: inverse(u, x, jnp.zeros(0)).mean))(jnp.stack([jnp.ones((5, 1)), x]))
    assert means.shape == (2, 2) and not np.allclose(*means)


def test_the_inverse_hears_the_field_before_training():
    """At the sizes that are trained, each of its deep networks passes on what it is given."""
    inverse = NumberProcess((-1.0,), (1.0,), 5, 1, width=100, key=KEY)
    x = jnp.linspace(-1, 1, 30)[:, None]
    means = eqx.filter_jit(jax.vmap(lambda scale: inverse(scale * jnp.cos(2 * x), x, jnp.ones(1)).mean))(jnp.asarray([0.0, 0.5, 1.0]))
    assert float(jnp.min(jnp.linalg.norm(jnp.diff(means, axis=0), axis=1))) > 0.05, means


def test_the_bound_of_a_sharp_process_is_its_means_residual(x64):
    """Without factors and with next to no variance the likelihood is that of the mean, whose derivatives autodiff finds."""
    model = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, pair(0))
    model = eqx.tree_at(lambda m: m.forward.head.bias, model, jnp.asarray([0.2, -40.0]))
    model = eqx.tree_at(lambda m: m.forward.head.weight, model, model.forward.head.weight.at[:, 1].set(0))
    params = {"z": jnp.asarray([0.5, -0.3]), "w": jnp.asarray([1.5])}
    p = jnp.concatenate([params["z"], params["w"]])
    x = PROBLEM.draw(jax.random.key(0), "quasi")["equation"].points

    def mean(point):
        at = Jet.coordinates(point[None])
        return walls(at, model.forward.jets(at, p)[0], None).value[0, 0]

    given = [AutodiffField(lambda q: PDE.coefficient(params["z"], q[0]), ("x",)), AutodiffField(lambda q: 1.5 + 0 * q[0], ("x",))]
    residual: Any = PDE.residual(AutodiffField(mean, ("x",)), *given)
    wanted = jnp.mean(residual(x) ** 2)
    _, square = Evidence(PROBLEM, fresh=False).sample(model, params, KEY)
    np.testing.assert_allclose(square, wanted, rtol=0.05)  # the variance is at least 1e-5


class SumOfSquares(eqx.Module):
    """An inverse whose log density is the sum of the squares of what it reads."""

    values: Any = None

    def __call__(self, u, x, w):
        del x, w
        return SumOfSquares(u)

    def log_density(self, z):
        del z
        return jnp.sum(self.values**2)


def test_the_inverse_reads_values_with_noise(x64):
    """What it reads has the noise's variance more, at each point; the field and its residual are the same."""
    model = eqx.tree_at(lambda m: m.inverse, pair(), SumOfSquares())
    params = {"z": jnp.asarray([0.5, -0.3]), "w": jnp.asarray([1.5])}
    keys = jax.random.split(KEY, 2000)
    objectives = [Evidence(PROBLEM, reading_noise=s) for s in (0.0, 0.3)]
    clean, noisy = (eqx.filter_jit(jax.vmap(lambda k, e=e: e.sample(model, params, k)))(keys) for e in objectives)
    np.testing.assert_array_equal(clean[1], noisy[1])
    more = np.asarray(noisy[0] - clean[0])
    assert abs(more.mean() - POINTS * 0.3**2) < 4 * more.std() / len(keys) ** 0.5


def test_the_gradient_reaches_every_number():
    source, model = NumberSource(PDE.numbers, PDE.grid(8), 8, 0), pair()
    batch = source.take(source.plan(KEY, jnp.asarray(0)))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: Evidence(PROBLEM)(m, batch, KEY)[0]))(model)
    for path, leaf in jax.tree_util.tree_flatten_with_path(eqx.filter(gradient, eqx.is_inexact_array))[0]:
        assert bool(jnp.all(jnp.isfinite(leaf))) and bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


def test_the_noise_may_be_the_models_own(x64):
    source, model = NumberSource(PDE.numbers, PDE.grid(8), 4, 0), dataclasses.replace(pair(), log_noise=jnp.log(0.2))
    batch = source.take(jnp.arange(4))
    loss = lambda m, noise: Evidence(PROBLEM, noise)(m, batch, KEY)[0]  # noqa: E731
    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(loss))(model, None)
    np.testing.assert_allclose(value, eqx.filter_jit(loss)(model, jnp.asarray(0.2)), rtol=1e-6)
    assert float(jnp.abs(gradient.log_noise)) > 0.1
    with pytest.raises(UsageError, match="log_noise"):
        jax.eval_shape(lambda m: loss(m, None), pair())


def test_the_likelihood_of_measured_values_is_that_of_the_whole_gaussian(x64):
    model, at, sigma = pair(), jnp.asarray([[-0.5], [0.1], [0.7]]), 0.3
    draw = lambda key: {**PDE.numbers(key), "y": jnp.asarray([[0.2], [0.5], [-0.1]])}  # noqa: E731
    batch = NumberSource(draw, PDE.grid(8), 2, 0).take(jnp.arange(2))
    loss, metrics = Measured(at, sigma)(model, batch, None)
    wanted = []
    for i in range(2):
        p = jax.tree.map(lambda v, i=i: v[i], batch.input.params)
        u = model.field(p["z"], p["w"], at)
        covariance = jnp.diag(u.deviation**2 + sigma**2) + u.factors @ u.factors.T
        wanted.append(jax.scipy.stats.multivariate_normal.logpdf(p["y"].ravel(), u.mean, covariance))
    np.testing.assert_allclose(metrics["likelihood"], np.mean(wanted), rtol=1e-5)
    np.testing.assert_allclose(loss, -metrics["likelihood"] / 3, rtol=1e-6)
    renamed = eqx.tree_at(lambda b: b.input.params, batch, {f"seen_{name}": v for name, v in batch.input.params.items()})
    np.testing.assert_array_equal(Measured(at, sigma, "seen_")(model, renamed, None)[0], loss)
    for measured, wrong in ((Measured(at[:2], sigma), batch), (Measured(at, sigma), renamed)):
        with pytest.raises(UsageError, match="measured values"):
            measured(model, wrong, None)


@pytest.mark.slow
def test_training_raises_the_bound():
    """To a fiftieth of the distance from zero; how far both directions get is measured in `experiments/random_grid`."""
    config = TrainConfig(40, 40, 3e-3, weight_decay=0.0, clip_norm=1e6)
    history = fit(pair(), NumberSource(PDE.numbers, PDE.grid(8), 400, 0), Evidence(PROBLEM, 0.05), config).history
    assert history[-1]["loss"] < history[0]["loss"] / 50, (history[0], history[-1])


@pytest.mark.parametrize("bad", [
    lambda: FieldProcess(1, 0, key=KEY), lambda: FieldProcess(1, 1, rank=-1, key=KEY), lambda: FieldProcess(1, 1, lowest=0.0, key=KEY),
    lambda: NumberProcess((-1.0,), (1.0,), 2, 1, nodes=8, key=KEY), lambda: NumberProcess((1.0,), (-1.0,), 2, 1, key=KEY),
    lambda: Evidence(Problem({"a": PROBLEM.terms["equation"], "b": PROBLEM.terms["equation"]}, ("x",))),
    lambda: Evidence(PROBLEM, reading_noise=-0.1), lambda: Evidence(PROBLEM, reading_noise=float("nan")),
    lambda: Evidence(PROBLEM, 0.0), lambda: Evidence(PROBLEM, float("nan")),
    lambda: pair().inverse(jnp.ones((3, 1)), jnp.ones((3, 2)), jnp.ones(1))])
def test_bad_settings_are_refused(bad):
    with pytest.raises(UsageError):
        bad()


@pytest.mark.parametrize(("bad", "words"), [
    (lambda: FieldProcess(1, 3, width=0, key=KEY), "width: expected a whole number > 0, received 0"),
    (lambda: RandomGridProcess(FieldProcess(1, 2, key=KEY), pair().inverse, walls), r"out_channels \(1, 3, 1\), which fit the inverse"),
    (lambda: pair().inverse(jnp.ones((3, 2)), jnp.ones((3, 1)), jnp.ones(1)), r"u: expected values \(3, 1\)"),
    (lambda: pair().inverse(jnp.ones((3, 1)), jnp.ones((3, 1)), jnp.ones(3)), r"w: expected 1 known numbers"),
    (lambda: pair().field(jnp.ones(3), jnp.ones(1), jnp.ones((3, 1))), "z and w: expected 3 numbers together"),
    (lambda: pair().field(jnp.ones(2), jnp.ones(1), jnp.ones((3, 2))), r"points: expected an array \(n, 1\)"),
    (lambda: pair()(Samples(PDE.grid(7), jnp.zeros((7, 0)), {"z": jnp.ones(2)})), "params: expected z and w"),
    (lambda: Evidence(PROBLEM)(pair(), NumberSource(lambda k: {"z": jnp.ones(2)}, PDE.grid(8), 1, 0).take(jnp.arange(1)), KEY), "z and w"),
    (lambda: Evidence(PROBLEM)(lambda a: a, NumberSource(PDE.numbers, PDE.grid(8), 1, 0).take(jnp.arange(1)), KEY), "a RandomGridProcess"),
    (lambda: Evidence(PROBLEM, jnp.asarray(-0.1)), "noise: expected None or a number > 0"),
    (lambda: Measured(jnp.ones((3, 1)), -0.1), "deviation: expected a number > 0"),
    (lambda: NumberSource(lambda k: jnp.ones(2), PDE.grid(8), 1, 0), "draw: expected a function of a key to a table"),  # pyright: ignore
    (lambda: NumberSource(PDE.numbers, PDE.grid(8), 0, 0), "size: expected"),
])
def test_what_does_not_fit_is_named(bad, words):
    with pytest.raises(UsageError, match=words):
        bad()
