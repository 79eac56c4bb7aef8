"""Neighbour lists, kernel integrals, and what graph models owe to the points they are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import GNO, MultipoleGraphOperator, OrthogonalMultipole
from pdesurr.models.multipole import cell_counts, interactions
from pdesurr.nn.graph import KernelIntegral, degree_for, edges, interpolate, neighbours, reassemble, shuffled, slices, sub_grids
from pdesurr.objectives import SampledL2, relative_l2
from pdesurr.types import Batch, Samples

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def cloud(n, seed=0, d=2):
    return jnp.asarray(np.random.default_rng(seed).random((n, d)), jnp.float32)


def wave(x):
    return jnp.cos(2 * jnp.pi * x[:, :1]) * jnp.sin(3 * x[:, 1:2] + 0.5)


@pytest.mark.parametrize("chunk", [1 << 20, 500], ids=["whole", "in chunks"])
@pytest.mark.parametrize("period", [None, (1.0, None)], ids=["box", "periodic"])
@pytest.mark.parametrize("degree", [60, 5])
def test_neighbours_are_those_of_brute_force(period, degree, chunk, monkeypatch):
    monkeypatch.setattr("pdesurr.nn.graph.CHUNK", chunk)
    points, queries = np.asarray(cloud(60)), np.asarray(cloud(17, 1))
    links = neighbours(jnp.asarray(points), jnp.asarray(queries), 0.3, degree, period)
    gap = queries[:, None] - points[None]
    if period:
        gap[..., 0] -= np.round(gap[..., 0])
    distance = np.linalg.norm(gap, axis=-1)
    for i, row in enumerate(distance):
        found = np.asarray(links.index[i])[np.asarray(links.share[i]) > 0]
        wanted = np.argsort(row)[: min(degree, int((row <= 0.3).sum()))]
        assert found.tolist() == wanted.tolist()
    assert degree == 60 or (distance <= 0.3).sum(1).max() > degree


def test_neighbours_under_vmap_are_those_of_each_and_compile_once():
    compiled = []

    @jax.jit
    def lists(points):
        compiled.append(1)
        return jax.vmap(lambda p: neighbours(p, p, 0.3, 8))(points)

    batches = [jnp.stack([cloud(20, seed + 3 * b) for seed in range(3)]) for b in range(2)]
    for batch in batches:
        together = lists(batch)
        for i, points in enumerate(batch):
            np.testing.assert_array_equal(together.index[i], neighbours(points, points, 0.3, 8).index)
    assert len(compiled) == 1


@pytest.mark.parametrize(("d", "within"), [(1, 0.035), (2, 0.02), (3, 0.015)])
def test_partial_cells_leave_the_second_moment_of_a_ball_what_it_is(d, within, x64):
    """At any spacing; a sharp edge does not."""
    off = []
    for h in np.linspace(0.2, 0.35, 8):
        line = np.arange(-6, 7) * h
        points = jnp.asarray(np.stack(np.meshgrid(*[line] * d), -1).reshape(-1, d))
        for spacing in (0.0, h):
            links = neighbours(points, jnp.zeros((1, d)), 1.0, len(points), spacing=spacing)
            square = jnp.sum(points[links.index[0]] ** 2, axis=1)
            off.append(abs(float(links.weights(jnp.ones(len(points)))[0] @ square) * (d + 2) / d - 1))
    assert max(off[1::2]) < within < max(off[::2]) / 4, (max(off[1::2]), max(off[::2]))
    alone = neighbours(jnp.multiply(points, 100), jnp.zeros((1, d)), 1.0, len(points), spacing=100 * h)
    np.testing.assert_array_equal(alone.weights(jnp.ones(len(points)))[0, :2], [1, 0])  # a ball smaller than a cell: the centre


def test_degree_for_is_seldom_exceeded():
    assert degree_for(300, 0.25, 2) < 100 and degree_for(10, 0.5, 2) == 10
    points = cloud(300)
    most = neighbours(points, points, 0.25, 300, (1.0, 1.0)).share.sum(1)
    assert float(jnp.mean(most > degree_for(300, 0.25, 2))) < 0.01


def test_the_factored_sum_is_the_direct_one(x64):
    points, a, v = (jnp.asarray(RNG.standard_normal((30, c))) for c in (2, 1, 4))
    kernel = KernelIntegral(6, 4, 3, (7, 5), key=KEY)
    links = neighbours(points, points, 1.0, 12)
    e = edges(links, points, a, points, jnp.concatenate([points, a], 1), 1.0, (None, None))
    w = links.weights(jnp.asarray(RNG.random(30)))
    np.testing.assert_allclose(jnp.sum(w, axis=1), 1, rtol=1e-12)
    direct = jnp.einsum("qk,qkco,qkc->qo", w, kernel.formed(e), v[links.index])
    np.testing.assert_allclose(kernel(kernel.basis(e, w), w, v[links.index]), direct, rtol=1e-10, atol=1e-13)


def test_a_point_without_neighbours_receives_zero_and_a_finite_gradient():
    points = cloud(10)
    links = neighbours(points, points + 5, 0.1, 4)
    weights, gradient = jax.value_and_grad(lambda m: jnp.sum(links.weights(m)))(jnp.ones(10))
    assert float(weights) == 0 and bool(jnp.all(jnp.isfinite(gradient)))


@pytest.mark.slow
def test_the_integral_converges_with_the_nodes(x64):
    """Midpoint nodes in one dimension, a kernel that is smooth: the error of the mean over a ball falls with the spacing; with
    unequal weights too."""
    kernel = KernelIntegral(2, 1, 1, (6,), key=KEY)

    def integral(n, stretch):
        t = (jnp.arange(n, dtype=jnp.float64) + 0.5) / n
        x, measure = t + stretch * jnp.sin(2 * jnp.pi * t), (1 + stretch * 2 * jnp.pi * jnp.cos(2 * jnp.pi * t)) / n
        query, v = jnp.array([[0.5]]), jnp.exp(x)[:, None]
        links = neighbours(x[:, None], query, 0.2, n)
        w = links.weights(measure)
        e = edges(links, x[:, None], v, query, jnp.zeros((1, 0)), 0.2, (None,))
        return float(kernel(kernel.basis(e, w), w, v[links.index])[0, 0])

    exact = integral(20000, 0.0)
    for stretch in (0.0, 0.1):
        errors = [abs(integral(n, stretch) - exact) for n in (40, 2560)]
        assert errors[1] < errors[0] / 16 and errors[1] < 1e-3 * abs(exact)


def test_the_order_of_a_shuffle_is_the_points_own():
    points, order = cloud(50), np.random.default_rng(1).permutation(50)
    first = shuffled(points)
    assert sorted(first.tolist()) == list(range(50)) and first.tolist() != list(range(50))
    np.testing.assert_array_equal(points[order][shuffled(points[order])], points[first])
    assert shuffled(points, jax.random.key(3)).tolist() != first.tolist()


def test_slices_put_together_are_the_whole():
    order = shuffled(cloud(11))
    parts = slices(order, jnp.arange(3) * 4, 4)
    assert all(len(set(row)) == 4 for row in parts.tolist())
    np.testing.assert_array_equal(reassemble(parts[..., None].astype(jnp.float32), order)[:, 0], jnp.arange(11))


@pytest.mark.parametrize(("shape", "most"), [((12,), 4), ((13,), 5), ((9, 10), 12), ((4, 4), 100)])
def test_sub_grids_hold_every_node_once_equally_spaced(shape, most):
    rows = sub_grids(shape, most)
    total = np.prod(shape)
    assert rows.shape[1] <= most and sorted(rows[rows < total].tolist()) == list(range(total))
    for row in rows:
        places = np.stack(np.unravel_index(row[row < total], shape), axis=-1)
        for axis in range(len(shape)):
            steps = set(np.diff(np.unique(places[:, axis])).tolist())
            assert len(steps) <= 1


def test_a_finer_grid_has_the_answers_of_the_grids_within_it():
    """Each of the two halves of 64 nodes is a grid of the 32 that the model takes at once, moved by one node."""
    model = GNO(1, 1, 1, 1.0, 6, 2, kernel=(6,), head_width=8, nodes=32, max_degree=16, period=(2 * np.pi,), key=KEY)
    grid = Grid([FourierBasis(64)])
    a = jax.random.normal(KEY, (64, 1))
    u = model(Samples(grid, a))
    for first in (0, 1):
        start = float(grid.nodes[first, 0])
        half = Grid([FourierBasis(32, start, start + 2 * np.pi)])
        np.testing.assert_allclose(u[first::2], model(Samples(half, a[first::2])), atol=1e-5)


def test_interpolation_is_exact_on_the_points_and_near_between():
    points, queries = cloud(2000), cloud(100, 1)
    np.testing.assert_allclose(interpolate(points, wave(points), points[:50], (None, None)), wave(points[:50]), atol=1e-6)
    np.testing.assert_allclose(interpolate(points, wave(points), queries, (None, None)), wave(queries), atol=0.15)


def gno(nodes=64, **more):
    return GNO(1, 1, 2, 0.4, 6, 2, kernel=(6,), head_width=8, nodes=nodes, max_degree=64, key=KEY, **more)


def graph_operator():
    return MultipoleGraphOperator(1, 1, 2, 6, nodes=(64, 16), radii=(0.3, 0.6), between=(0.3,), cycles=2, kernel_width=6, head_width=8,
                                  key=KEY)


@pytest.mark.parametrize("make", [gno, graph_operator])
def test_an_answer_does_not_depend_on_where_else_one_asks(make):
    """On the input's points, asked by name or as other points, and together with more of them."""
    points, model = cloud(60), make()
    run = jax.jit(lambda x: model(Samples(points, wave(points)), x))
    own = jax.jit(lambda: model(Samples(points, wave(points))))()
    np.testing.assert_allclose(run(jnp.concatenate([points[:20], cloud(9, 5)]))[:20], own[:20], rtol=1e-4, atol=1e-5)


def varying_part(u, v):
    """Size of u - v against how much u varies."""
    return float(jnp.sqrt(jnp.mean((u - v) ** 2)) / jnp.std(u))


@pytest.mark.slow
def test_another_cloud_gives_the_same_function_up_to_sampling():
    """The answers at fixed points from clouds of one density scatter about their mean; a quarter as much at 16 times the density."""
    queries, scatter = cloud(40, 9), []
    for n in (150, 2400):
        model = GNO(1, 1, 2, 0.4, 6, 2, kernel=(6,), head_width=8, nodes=n, key=KEY)
        run = jax.jit(lambda p, m=model: m(Samples(p, wave(p)), queries))
        u = np.stack([run(cloud(n, seed)) for seed in range(5)])
        scatter.append(float(u.std(0).mean() / u.mean(0).std()))
    assert scatter[0] < 0.35 and scatter[1] < scatter[0] / 3, scatter


@pytest.mark.parametrize("make", [gno, graph_operator])
def test_more_points_than_nodes_are_split_and_put_together(make):
    """Each point once, the same split each time, another with a key, whatever the order of the list; other points too."""
    points, model = cloud(150), make()
    run = jax.jit(lambda p, key=None: model(Samples(p, wave(p)), key=key))
    u, back = run(points), run(points[::-1])
    assert u.shape == (150, 1)
    np.testing.assert_allclose(back[::-1], u, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(run(points), u)
    keyed = run(points, jax.random.key(1))
    assert 0 < varying_part(u, keyed) < 1
    asked = jax.jit(lambda x: model(Samples(points, wave(points)), x))(cloud(31, 4))
    assert asked.shape == (31, 1) and bool(jnp.all(jnp.isfinite(asked)))


def test_the_split_runs_on_a_grid_and_is_near_the_whole():
    grid = Grid([UniformBasis(20), UniformBasis(20)])
    a = Samples(grid, wave(jnp.asarray(grid.nodes.reshape(-1, 2), jnp.float32)).reshape(20, 20, 1))
    whole, parts = (GNO(1, 1, 2, 0.4, 6, 2, kernel=(6,), head_width=8, nodes=n, key=KEY) for n in (400, 200))
    u, v = (jax.jit(lambda m=m: m(a, grid))() for m in (whole, parts))
    assert v.shape == (20, 20, 1) and varying_part(u, v) < 0.25


def test_sampled_l2_is_relative_l2_without_a_key_and_near_it_with_one():
    grid, model = Grid([UniformBasis(16), UniformBasis(16)]), gno(256)
    a = Samples(grid, jnp.asarray(RNG.standard_normal((3, 16, 16, 1)), jnp.float32))
    batch = Batch(a, Samples(grid, 1 + 0.3 * a.values))
    objective = SampledL2(120)
    full = relative_l2(model, batch, None)[0]
    assert objective(model, batch, None)[0] == full
    few, metrics = jax.jit(lambda k: objective(model, batch, k))(KEY)
    np.testing.assert_allclose(few, full, rtol=0.1)
    assert float(metrics["relative_l2"]) == float(few) and float(few) != float(full)
    assert float(objective(lambda a, x, *, key=None: a.values, Batch(a, a), KEY)[0]) == 0
    with pytest.raises(UsageError, match="points"):
        SampledL2(0)


@pytest.mark.parametrize("n", [4, 24, 40, 56, 64])
def test_every_pair_of_cells_is_in_exactly_one_list(n):
    counts = cell_counts(n)
    seen = np.zeros((n, n), int)
    for level, m in enumerate(counts):
        offsets, counted = interactions(m, level == 0, jnp.float32)
        lists = [(offsets, counted)] + ([((-1, 0, 1), jnp.ones((m, 3)))] if m == n else [])
        for shifts, weight in lists:
            for i in range(m):
                for o, w in zip(shifts, np.asarray(weight[i]), strict=True):
                    size, j = n // m, (i + o) % m
                    seen[i * size : (i + 1) * size, j * size : (j + 1) * size] += int(w)
    assert (seen == 1).all()


@pytest.mark.slow
def test_the_orthogonal_form_converges_at_first_order():
    model = OrthogonalMultipole(1, 1, 6, 2, cycles=2, kernel_width=4, head_width=8, key=KEY)

    def answer(n):
        grid = Grid([FourierBasis(n)])
        return jax.jit(lambda v: model(Samples(grid, v), grid))(jnp.sin(jnp.asarray(grid.nodes, jnp.float32)))[:: n // 32]

    coarse, middle, fine = (answer(n) for n in (32, 64, 128))
    ratio = float(jnp.linalg.norm(coarse - middle) / jnp.linalg.norm(middle - fine))
    assert 1.7 < ratio < 2.4, ratio


def test_errors_say_what_is_wrong():
    grid = Grid([FourierBasis(8)])
    a = Samples(grid, jnp.zeros((8, 1)))
    with pytest.raises(UsageError, match="period="):
        GNO(1, 1, 1, 0.5, 4, 1, kernel=(4,), key=KEY)(a, grid)
    with pytest.raises(UsageError, match="channels"):
        gno()(Samples(cloud(5), jnp.zeros((5, 2))))
    with pytest.raises(UsageError, match="nothing to hear"):
        GNO(1, 1, 1, 0.1, 4, 1, kernel=(4,), period=(2 * np.pi,), key=KEY)(a)
    with pytest.raises(UsageError, match="radii"):
        MultipoleGraphOperator(1, 1, 1, 4, nodes=(8, 4), radii=(1.0,), between=(1.0,), key=KEY)
    with pytest.raises(UsageError, match="power of 2"):
        cell_counts(36)
    with pytest.raises(UsageError, match="nodes or more"):
        OrthogonalMultipole(1, 1, 4, 4, key=KEY)(a, grid)
