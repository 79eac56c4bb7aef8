"""Points that follow the residual, weights that follow the training, and the optimisers that came with them."""

import json
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import ROOT

from pdesurr.checks import UsageError
from pdesurr.fields import d, known
from pdesurr.fields.regions import box, faces
from pdesurr.models.coordinate import CoordinateMLP
from pdesurr.nn.flow import BoxFlow
from pdesurr.objectives.adversarial import AdversarialFlow, advantage
from pdesurr.objectives.physics import Equation, Observations, Problem, at_points
from pdesurr.objectives.sampling import RAD, RAR, Fresh, Kept
from pdesurr.objectives.weighting import NTK, Causal, GradientNorm, ResidualAttention, Weighted
from pdesurr.train import checkpoint
from pdesurr.train.lbfgs import lbfgs
from pdesurr.train.physics import LBFGS, SOAP, Adam, LeastSquares, QuasiNewton, fit_problem
from pdesurr.train.soap import scale_by_soap

KEY = jax.random.key(0)
SQUARE = box((-1, 1), (-1, 3))
NOTHING: Any = None  # a model that no text here reads


class Slope(eqx.Module):
    """u = theta x: a model whose every gradient is known by hand."""

    theta: jax.Array

    def __call__(self, a, x, *, key=None):
        return self.theta * x[:, :1]


def given(function, points=600, region=SQUARE):
    """A problem whose residual is a given function, whatever the model, beside walls."""
    return Problem({"equation": Equation(lambda u: 0.0 * u + known(u, function, "x", "y"), (region,), points),
                    "walls": Equation(lambda u: u, faces(region, (0, 1)), 40)}, ("x", "y"))


def network(width=6):
    return CoordinateMLP(SQUARE.lower, SQUARE.upper, 1, width, 1, key=KEY)


def in_float64(model):
    return jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, model)


def shaken(flow, size=0.3):
    leaves, tree = jax.tree.flatten(flow)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    return jax.tree.unflatten(tree, [v + size * jax.random.normal(k, v.shape, v.dtype) for v, k in zip(leaves, keys, strict=True)])


def coupling_of(flow, k):
    return jax.tree.map(lambda v: v[k], flow.couplings)


def midpoints(n):
    """A regular grid of the unit square: what is averaged over it is a quadrature."""
    side = (np.arange(n) + 0.5) / n
    return jnp.asarray(np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2))


# The bounded flow.


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_flow_is_uniform_at_first(dim, x64):
    flow = BoxFlow((-1.0,) * dim, (3.0,) * dim, 3, 8, key=KEY)
    x, log_p = jax.jit(lambda f: f.sample(KEY, 50))(flow)
    assert bool(jnp.all((x > -1) & (x < 3)))
    np.testing.assert_allclose(log_p, -dim * np.log(4.0), atol=1e-12)
    np.testing.assert_allclose(jax.jit(BoxFlow.log_prob)(flow, x), log_p, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_flows_density_is_its_jacobian(dim, x64):
    flow = shaken(BoxFlow((-1.0,) * dim, (3.0,) * dim, 4, 8, key=KEY))
    x, log_p = jax.jit(lambda f: f.sample(KEY, 40))(flow)
    np.testing.assert_allclose(jax.jit(BoxFlow.log_prob)(flow, x), log_p, atol=1e-9)
    assert float(jnp.std(log_p)) > 0.1  # it is not uniform any more

    def to_uniform(point):
        """The inverse of what makes x of uniform numbers: p is its Jacobian's determinant."""
        z = jax.scipy.special.logit((point[None] + 1) / 4)
        for k in reversed(range(4)):
            z = coupling_of(flow, k).backward(z)[0]
        return jax.nn.sigmoid(z)[0]

    determinant = jax.jit(jax.vmap(lambda point: jnp.linalg.det(jax.jacfwd(to_uniform)(point))))(x)
    np.testing.assert_allclose(jnp.log(jnp.abs(determinant)), log_p, atol=1e-9)


def test_couplings_are_inverted_and_the_density_has_mass_one(x64):
    flow = shaken(BoxFlow((0.0, 0.0), (1.0, 1.0), 4, 8, key=KEY))
    z = jax.random.normal(KEY, (30, 2))
    there, change = coupling_of(flow, 1).forward(z)
    back, same = coupling_of(flow, 1).backward(there)
    np.testing.assert_allclose(back, z, atol=1e-12)
    np.testing.assert_allclose(change, same, atol=1e-12)
    np.testing.assert_allclose(jnp.mean(jnp.exp(jax.jit(BoxFlow.log_prob)(flow, midpoints(300)))), 1.0, atol=2e-3)


def test_samples_have_the_flows_density(x64):
    flow = shaken(BoxFlow((0.0, 0.0), (1.0, 1.0), 4, 8, key=KEY))
    x, log_p = jax.jit(lambda f: f.sample(KEY, 20_000))(flow)
    corner = lambda x: jnp.all(x < 0.4, axis=1)  # noqa: E731
    share = float(jnp.sum(corner(x))) / len(x)
    assert abs(float(jnp.mean(jnp.exp(-log_p))) - 1) < 0.05  # E_p 1 / p is the volume
    grid = midpoints(200)
    inside = float(jnp.mean(jnp.where(corner(grid), jnp.exp(jax.jit(BoxFlow.log_prob)(flow, grid)), 0.0)))
    assert abs(share - inside) < 0.01 and abs(share - 0.16) > 0.02


# Samplers.


def test_fresh_is_the_problems_own_draw_and_kept_keeps_it():
    problem = given(lambda x, y: x)
    drawn, _ = Fresh("quasi").draw(problem, NOTHING, (), KEY)
    np.testing.assert_array_equal(drawn["walls"].points, problem.draw(KEY, "quasi")["walls"].points)
    kept = Kept().start(problem, KEY)
    again, state = Kept().draw(problem, NOTHING, kept, jax.random.key(1))
    np.testing.assert_array_equal(again["equation"].points, drawn["equation"].points)
    assert state is kept


@pytest.mark.parametrize(("power", "offset", "share"), [(1, 0.5, 2 / 3), (2, 0, 0.9), (1.0, 1.0, 0.625), (0, 1.0, 0.5)])
def test_rad_draws_with_its_density(power, offset, share):
    """|r| = 3 on one half and 1 on the other."""
    problem, sampler = given(lambda x, y: jnp.where(x > 0, 3.0, 1.0), 3000), RAD(power=power, offset=offset, pool=8000)
    drawn, _ = jax.jit(lambda k: sampler.draw(problem, network(), sampler.start(problem, k), k))(KEY)
    x = drawn["equation"].points
    assert abs(float(jnp.mean(x[:, 0] > 0)) - share) < 0.015
    assert abs(float(jnp.mean(x[:, 1] > 1)) - 0.5) < 0.02  # where the residual says nothing, uniform
    assert x.shape == (3000, 2) and bool(jnp.all(drawn["equation"].weights == 1)) and drawn["walls"].points.shape == (40, 2)


def test_rad_renews_its_pool_only_when_it_should():
    problem, sampler = given(lambda x, y: x, 50), RAD(pool=100, every=3)
    state, pools = sampler.start(problem, KEY), []
    for turn in range(7):
        drawn, state = sampler.draw(problem, network(), state, jax.random.key(turn))
        pools.append(np.asarray(state["held"]["equation"]["pool"]))
        assert all(bool((pools[-1] == p).all(1).any()) for p in np.asarray(drawn["equation"].points))  # what is drawn is in the pool
    new = [bool((a != b).any()) for a, b in zip(pools, pools[1:], strict=False)]
    assert new == [False, False, True, False, False, True]


def test_rar_grows_by_the_worst_and_keeps_the_rest():
    problem, sampler = given(lambda x, y: x + 1.0, 100), RAR(initial=0.4, add=25, pool=400)
    state = sampler.start(problem, KEY)
    before = np.asarray(state["held"]["equation"]["points"])[:40]
    assert abs(float(np.mean(before[:, 0]))) < 0.2
    for turn, used in enumerate((65, 90, 100, 100)):
        drawn, state = sampler.draw(problem, network(), state, jax.random.key(turn))
        points, weights = drawn["equation"].points, drawn["equation"].weights
        assert points.shape == (100, 2) and int(jnp.sum(weights > 0)) == used
        np.testing.assert_allclose(jnp.sum(weights), 100.0, rtol=1e-6)  # the loss is the mean over those in use
        np.testing.assert_array_equal(points[: len(before)], before)
        assert float(jnp.min(points[40:used, 0])) > 1 - 2 * 25 / 400 - 0.05  # the 25 of 400 with the largest x
        before = np.asarray(points[:used])


def peak(x, y):
    return jnp.exp(-20 * ((x - 0.5) ** 2 + (y / 2 - 0.5) ** 2))


def squares(unit):
    x = SQUARE.spread(unit)
    return peak(x[:, 0], x[:, 1]) ** 2


def test_the_flow_goes_up_the_gradient_of_its_objective(x64):
    """The score form from samples against the objective itself by quadrature."""
    flow, smoothness = shaken(BoxFlow((0.0, 0.0), (1.0, 1.0), 2, 4, key=KEY), 0.2), 0.02
    grid = midpoints(80)

    def objective(flow):
        p = lambda x: jnp.exp(flow.log_prob(x))  # noqa: E731
        slope = jax.grad(lambda x: jnp.sum(p(x)))(grid)
        return jnp.log(jnp.mean(p(grid) * squares(grid))) - smoothness * jnp.mean(jnp.sum(slope**2, 1))

    at = jax.jit(lambda f: f.sample(jax.random.key(2), 60_000))(flow)[0]
    flat = lambda tree: jnp.concatenate([v.ravel() for v in jax.tree.leaves(tree)])  # noqa: E731
    exact = flat(jax.jit(jax.grad(objective))(flow))
    estimate = flat(jax.jit(jax.grad(lambda f: advantage(f, at, squares(at), smoothness)))(flow))
    assert float(jnp.linalg.norm(estimate - exact) / jnp.linalg.norm(exact)) < 0.05


def test_the_adversary_goes_where_the_residual_is():
    problem = given(peak, 1000)
    mean = {}
    for smoothness in (1e-4, 10.0):
        sampler = AdversarialFlow(smoothness=smoothness, ascent=150, batch=400, learning_rate=1e-2, couplings=4, width=8)
        drawn, _ = jax.jit(lambda k, s=sampler: s.draw(problem, network(), s.start(problem, k), k))(KEY)
        x = drawn["equation"].points
        assert bool(jnp.all((jnp.abs(x[:, 0]) <= 1) & (jnp.abs(x[:, 1] - 1) <= 2)))
        mean[smoothness] = float(jnp.mean(peak(x[:, 0], x[:, 1]) ** 2))
    uniform = float(jnp.mean(squares(jax.random.uniform(KEY, (20_000, 2)))))
    assert mean[1e-4] > 8 * uniform and abs(mean[10.0] / uniform - 1) < 0.5


def test_weights_make_the_adversarys_loss_that_of_the_whole_region_with_less_noise():
    problem = given(peak, 2000)
    loss, spread = {}, {}
    for name, sampler in {"weighted": AdversarialFlow(smoothness=1e-4, ascent=150, batch=400, learning_rate=1e-2, couplings=4, width=8,
                                                      mixed=0.3), "even": Fresh("uniform")}.items():
        draw = jax.jit(lambda k, s=sampler: s.draw(problem, network(), s.start(problem, KEY), k)[0]["equation"])
        each = [peak(*p.points.T) ** 2 * p.weights for p in map(draw, jax.random.split(KEY, 8))]
        loss[name] = float(jnp.mean(jnp.stack([jnp.mean(e) for e in each])))
        spread[name] = float(jnp.std(each[0]))
    uniform = float(jnp.mean(squares(jax.random.uniform(KEY, (200_000, 2)))))
    assert abs(loss["weighted"] / uniform - 1) < 0.05
    assert spread["weighted"] < 0.5 * spread["even"]


def test_a_mixture_keeps_its_share_uniform_and_a_face_is_followed_too():
    wall = SQUARE.at(0, 1.0)
    problem, sampler = given(peak, 100, wall), AdversarialFlow(ascent=1, batch=10, mixed=0.25, couplings=2, width=4)
    drawn, _ = sampler.draw(problem, network(), sampler.start(problem, KEY), KEY)
    x = drawn["equation"].points
    assert bool(jnp.all(x[:, 0] == 1)) and x.shape == (100, 2)
    gaps = jnp.diff(jnp.sort(x[75:, 1]))
    assert float(jnp.max(gaps)) < 0.4  # 25 evenly spread over a length of 4


# Weights.


def two_terms():
    """u = theta x on (0, 1): mean theta^2 x^2, and 4 (theta - 3)^2."""
    line = box((0, 1))
    return Problem({"value": Equation(lambda u: u, (line,), 50), "slope": Equation(lambda u: d(u, "x") - 3.0, (line,), 20, 4.0)}, ("x",))


@pytest.mark.parametrize("memory", [0.0, 0.75])
def test_balances_are_their_formulas(memory, x64):
    problem, model = two_terms(), Slope(jnp.asarray(2.0))
    drawn = problem.draw(KEY)
    square = float(jnp.mean(drawn["value"].points ** 2))
    sizes = [(GradientNorm(memory), {"value": 4 * square, "slope": 8.0}), (NTK(memory, 64, 8), {"value": square, "slope": 4.0})]
    for weighting, size in sizes:
        weighed, state = weighting(problem, model, drawn, weighting.start(problem))
        for name, s in size.items():
            wanted = memory + (1 - memory) * sum(size.values()) / 2 / s
            np.testing.assert_allclose(state[name], wanted, rtol=1e-12)
            np.testing.assert_allclose(weighed[name].weights, wanted, rtol=1e-12)


def test_a_subsample_has_about_the_trace_of_all(x64):
    problem, model = two_terms(), Slope(jnp.asarray(2.0))
    drawn = problem.draw(KEY, "quasi")
    ours, all_of_it = (NTK(0.0, n)(problem, model, drawn, NTK().start(problem))[1]["value"] for n in (10, 64))
    np.testing.assert_allclose(ours, all_of_it, rtol=0.2)
    assert float(ours) != float(all_of_it)


def test_causal_weights_fall_in_time(x64):
    """A residual of 0.5 + t on (0, 2), four chunks."""
    time = box((0, 2), (0, 1))
    problem = Problem({"equation": Equation(lambda u: 0.0 * u + known(u, lambda t: 0.5 + t, "t"), (time,), 400)}, ("t", "x"))
    drawn, causal = problem.draw(KEY), Causal(chunks=4, tolerance=0.3)
    weighed, w = causal(problem, CoordinateMLP((0.0, 0.0), (2.0, 1.0), 1, 4, 1, key=KEY), drawn, causal.start(problem))
    t, weights = np.asarray(drawn["equation"].points[:, 0]), np.asarray(weighed["equation"].weights)
    chunk = (t * 2).astype(int)
    losses = np.array([np.mean((0.5 + t[chunk == m]) ** 2) for m in range(4)])
    np.testing.assert_allclose(w, np.exp(-0.3 * np.concatenate([[0], np.cumsum(losses)[:-1]])), rtol=1e-12)
    np.testing.assert_allclose(weights, np.asarray(w)[chunk], rtol=1e-12)
    assert w[0] == 1 and bool(jnp.all(jnp.diff(w) < 0))


def test_attention_remembers_the_residual_of_each_point(x64):
    problem, attention = given(lambda x, y: x, 30), ResidualAttention(memory=0.5, rate=0.1)
    drawn = problem.draw(KEY)
    size = np.abs(drawn["equation"].points[:, 0])
    state = attention.start(problem)
    for _ in range(2):
        weighed, state = attention(problem, in_float64(network()), drawn, state)
    wanted = 0.15 * size / size.max()
    np.testing.assert_allclose(weighed["equation"].weights, wanted**2, rtol=1e-12)
    np.testing.assert_array_equal(weighed["walls"].weights, drawn["walls"].weights)


def test_weightings_apply_in_turn_and_are_renewed_when_due(x64):
    problem, model = two_terms(), Slope(jnp.asarray(2.0))
    sampler = Weighted(Kept(), (GradientNorm(0.0), NTK(0.0, 64)), 2)
    state = sampler.start(problem, KEY)
    first, state = sampler.draw(problem, model, state, KEY)
    held = state["weightings"]
    weights = {name: held[0][name] * held[1][name] for name in problem.terms}
    for name, w in weights.items():
        np.testing.assert_allclose(first[name].weights, w, rtol=1e-12)
    second, state = sampler.draw(problem, Slope(jnp.asarray(1.0)), state, KEY)
    np.testing.assert_allclose(second["slope"].weights, weights["slope"], rtol=1e-12)
    third, _ = sampler.draw(problem, Slope(jnp.asarray(1.0)), state, KEY)
    assert abs(float(third["slope"].weights[0] / weights["slope"]) - 1) > 0.01
    gradients = [jax.grad(lambda m, n=name, dr=third: problem.loss(m, {n: dr[n]})[0])(Slope(jnp.asarray(1.0))).theta for name in weights]
    assert abs(float(gradients[0])) > 0 and abs(float(gradients[1])) > 0


# Stages.


def helmholtz_like(points=40):
    return Problem({"equation": Equation(lambda u: d(u, "x", 2) + d(u, "y", 2) + u - 1.0, (SQUARE,), points),
                    "walls": Equation(lambda u: u, faces(SQUARE, (0, 1)), 12)}, ("x", "y"))


def test_the_loss_told_is_the_one_minimised(x64):
    problem, model = helmholtz_like(), network()
    weighting = (ResidualAttention(rate=0.1),)
    told = fit_problem(model, problem, [Adam(1, 1e-3, 1, Kept(), weighting)], key=KEY).loss
    points = Weighted(Kept(), weighting)
    drawn, _ = points.draw(problem, in_float64(model), points.start(problem, jax.random.fold_in(KEY, 0)), KEY)
    np.testing.assert_allclose(told, problem.loss(in_float64(model), drawn)[0], rtol=1e-10)


STAGES = {
    "Adam, RAD": lambda: [Adam(6, 1e-3, 3, RAD(pool=60, every=4), (GradientNorm(),), 2)],
    "L-BFGS, RAR": lambda: [Adam(2, 1e-3, 2), LBFGS(6, 3, RAR(pool=60, add=4), (ResidualAttention(),))],
    "SOAP, adversary": lambda: [SOAP(6, 1e-3, 3, AdversarialFlow(ascent=1, batch=20, couplings=2, width=4, every=2), (NTK(points=8),))],
    "least squares": lambda: [LeastSquares(3, "all", 1e-2, 1e-8, 1e-12, RAD(pool=60), (Causal(axis="x", chunks=4),))],
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "L-BFGS, RAR" else pytest.mark.slow) for n in STAGES])
def test_a_killed_training_goes_on_bit_for_bit_with_its_points(name, tmp_path, x64, monkeypatch):
    run = lambda **at: fit_problem(network(4), helmholtz_like(), STAGES[name](), key=KEY, **at)  # noqa: E731
    whole, saved = run(), checkpoint.save
    last = len(whole.history) - 1

    def killed(folder, step, tree, info):
        saved(folder, step, tree, info)
        if step == last:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path)
    monkeypatch.setattr(checkpoint, "save", saved)
    resumed = run(folder=tmp_path)
    assert len(resumed.history) == last + 1 > 1
    for a, b in zip(jax.tree.leaves(eqx.filter(whole.model, eqx.is_array)), jax.tree.leaves(eqx.filter(resumed.model, eqx.is_array)),
                    strict=True):
        np.testing.assert_array_equal(a, b)


def test_lbfgs_finds_the_minimum_of_rosenbrock(x64):
    f = lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)  # noqa: E731
    x, values = jax.jit(lambda x: lbfgs(f, x, 80, 10))(jnp.asarray([-1.2, 1.0, -0.5, 0.8]))
    np.testing.assert_allclose(x, 1.0, atol=1e-6)
    assert len(values) == 81 and bool(jnp.all(jnp.diff(values) <= 0))


def test_soap_is_its_published_rule(x64):
    """Three steps by hand: the first only makes the bases; one turn of them."""
    g1, g2, g3 = (np.asarray(jax.random.normal(jax.random.key(k), (4, 3))) for k in range(3))
    soap = scale_by_soap(turn=1, b1=0.8, b2=0.9, eps=1e-8)
    state = soap.init({"w": jnp.zeros((4, 3))})
    moves = []
    for g in (g1, g2, g3):
        move, state = soap.update({"w": jnp.asarray(g)}, state)
        moves.append(np.asarray(jax.tree.leaves(move)[0]))
    assert not moves[0].any()
    falling = lambda a: np.linalg.eigh(a)[1][:, ::-1]  # noqa: E731
    left, right = 0.1 * g1 @ g1.T, 0.1 * g1.T @ g1
    ql, qr = falling(left), falling(right)
    mean, square = 0.2 * g2, 0.1 * (ql.T @ g2 @ qr) ** 2
    np.testing.assert_allclose(moves[1], ql @ (ql.T @ (mean / 0.2) @ qr / (np.sqrt(square / 0.1) + 1e-8)) @ qr.T, atol=1e-7)
    left, right = 0.9 * left + 0.1 * g2 @ g2.T, 0.9 * right + 0.1 * g2.T @ g2
    rows, columns = np.argsort(-np.diag(ql.T @ left @ ql)), np.argsort(-np.diag(qr.T @ right @ qr))
    square = square[rows][:, columns]
    ql, qr = np.linalg.qr(left @ ql[:, rows])[0], np.linalg.qr(right @ qr[:, columns])[0]
    mean, square = 0.8 * mean + 0.2 * g3, 0.9 * square + 0.1 * (ql.T @ g3 @ qr) ** 2
    wanted = ql @ (ql.T @ (mean / (1 - 0.8**2)) @ qr / (np.sqrt(square / (1 - 0.9**2)) + 1e-8)) @ qr.T
    np.testing.assert_allclose(moves[2], wanted, atol=1e-7)


def test_what_is_not_a_matrix_has_plain_adam(x64):
    ours, adam = scale_by_soap(b1=0.9, b2=0.95), optax.scale_by_adam(0.9, 0.95)
    params = {"b": jnp.zeros(5), "mix": jnp.zeros(())}
    mine, theirs = ours.init(params), adam.init(params)
    for k in range(3):
        g = {"b": jax.random.normal(jax.random.key(k), (5,)), "mix": jnp.asarray(0.3 * k - 0.2)}
        a, mine = ours.update(g, mine)
        with jax.numpy_dtype_promotion("standard"):
            b, theirs = adam.update(g, theirs)
        jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-12), a, b)


def test_soap_beats_adam_where_the_axes_are_turned(x64):
    """|A (W - W*) B|^2 with spectra of 1 to 30 on turned axes, in 300 steps of the better of two rates for each."""
    spectrum = jnp.diag(jnp.geomspace(1.0, 30.0, 8))
    turn = lambda k: jnp.linalg.qr(jax.random.normal(jax.random.key(k), (8, 8)))[0]  # noqa: E731
    a, b, wanted = spectrum @ turn(1), turn(2) @ spectrum, jax.random.normal(KEY, (8, 8))
    loss = lambda w: jnp.sum((a @ (w - wanted) @ b) ** 2)  # noqa: E731

    def reached(direction, rate):
        optimiser = optax.chain(direction, optax.scale_by_learning_rate(optax.cosine_decay_schedule(rate, 300)))

        def step(carry, _):
            w, state = carry
            with jax.numpy_dtype_promotion("standard"):
                move, state = optimiser.update(jax.grad(loss)(w), state)
            return (w + jnp.asarray(move), state), None

        start = jnp.zeros((8, 8))
        return float(loss(jax.jit(lambda: jax.lax.scan(step, (start, optimiser.init(start)), None, length=300)[0][0])()))

    soap, adam = (min(reached(make, rate) for rate in (0.03, 0.1)) for make in (scale_by_soap(), optax.scale_by_adam()))
    assert soap < adam / 10


@pytest.mark.slow
def test_the_comparison_runs_at_its_smallest(child_env):
    script = ROOT / "experiments" / "physics_informed" / "sampling.py"
    command = [sys.executable, str(script), "--preset", "smoke", "--only", "RAR", "AAS", "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert [(r["problem"], r["sampler"]) for r in result["rows"]] == [
        (p, s) for p in ("one peak", "two peaks") for s in ("RAR", "AAS")]
    assert all(np.isfinite(r["error"]["mean"]) and r["error"]["mean"] > 0 for r in result["rows"])


# What is refused.


@pytest.mark.parametrize("bad", [
    lambda: RAD(power=-1.0), lambda: RAD(pool=0), lambda: RAR(initial=0.0), lambda: RAR(add=50, pool=20), lambda: RAD(every=0),
    lambda: AdversarialFlow(mixed=1.0), lambda: AdversarialFlow(smoothness=-1.0), lambda: AdversarialFlow(ascent=0),
    lambda: GradientNorm(memory=1.0), lambda: NTK(points=0), lambda: Causal(tolerance=0.0), lambda: ResidualAttention(rate=0.0),
    lambda: RAD(("elsewhere",)).start(given(peak), KEY), lambda: Causal(axis="z").start(given(peak)),
    lambda: AdversarialFlow(("walls",)).start(given(peak), KEY),
    lambda: RAD(("data",)).start(Problem({"data": Observations(jnp.zeros((3, 2)), jnp.zeros((3, 1)))}, ("x", "y")), KEY),
    lambda: BoxFlow((0.0,), (0.0,), key=KEY), lambda: BoxFlow((0.0,), (1.0,), 0, key=KEY), lambda: scale_by_soap(turn=0),
    lambda: Weighted(Fresh(), (), 0), lambda: LBFGS(memory=0), lambda: Adam(reweigh=0), lambda: QuasiNewton(10, 3)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(UsageError):
        bad()


def test_a_weighted_point_counts_as_much_as_its_weight(x64):
    problem = given(lambda x, y: x, 4)
    drawn = at_points(jnp.asarray([[1.0, 0.0], [0.5, 0.0]]))
    doubled = eqx.tree_at(lambda dr: dr.weights, drawn, jnp.asarray([2.0, 0.0]))
    np.testing.assert_allclose(problem.loss(in_float64(network()), {"equation": doubled})[0], 1.0)
