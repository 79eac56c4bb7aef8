"""Transolver: its attention written out, points asked elsewhere, what it is symmetric in, its refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import Transolver
from pdesurr.models.transolver import PhysicsAttention
from pdesurr.types import Samples

KEY = jax.random.key(0)


def softmax(v):
    e = np.exp(v - v.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_the_attention_is_the_papers(x64):
    """One head after another, in loops, with weights that are not uniform."""
    attention = PhysicsAttention(6, 2, 4, key=KEY)
    v, weights = (np.random.default_rng(0).random(s) for s in ((10, 6), (10,)))
    affine = lambda p, u: u @ np.asarray(p.weight).T + (0 if p.bias is None else np.asarray(p.bias))  # noqa: E731
    heads = []
    for h in range(2):
        part = slice(3 * h, 3 * h + 3)
        x, f = affine(attention.shares, v)[:, part], affine(attention.values, v)[:, part]
        w = softmax(affine(attention.slices, x) / 0.5)
        z = np.stack([sum(m * s * g for m, s, g in zip(weights, w[:, j], f, strict=True)) / (weights @ w[:, j]) for j in range(4)])
        q, k, values = (affine(p, z) for p in (attention.query, attention.key, attention.value))
        heads.append(w @ softmax(q @ k.T / 3**0.5) @ values)
    wanted = affine(attention.out, np.concatenate(heads, axis=1))
    np.testing.assert_allclose(attention(jnp.asarray(v), jnp.asarray(weights)), wanted, rtol=1e-5)


def test_convolutions_of_one_node_are_the_matrices_and_others_see_the_neighbours():
    """A bump of the input at one node moves the shares at the nodes about it."""
    grid = Grid([UniformBasis(5, 0.0, 1.0, "closed"), UniformBasis(4, 0.0, 1.0, "closed")])
    plain, model = (Transolver(1, 1, 2, 8, 1, heads=2, slices=4, convolved=c, key=KEY) for c in (False, True))
    layers = lambda m: [m.blocks[0].attention.shares, m.blocks[0].attention.values]  # noqa: E731
    alike = [eqx.tree_at(lambda s: (s.kernel, s.bias), s, (jnp.zeros_like(s.kernel).at[1, 1].set(matrix.weight.T), matrix.bias))
             for s, matrix in zip(layers(model), layers(plain), strict=True)]
    a = Samples(grid, jax.random.normal(KEY, (5, 4, 1)))
    np.testing.assert_allclose(eqx.tree_at(layers, model, alike)(a), plain(a), atol=1e-6)
    bump = jnp.zeros((20, 8)).at[9].set(1.0)  # node (2, 1)
    moved = np.abs(layers(model)[0](bump, grid) - layers(model)[0](0.0 * bump, grid)).max(axis=1).reshape(5, 4) > 0
    assert moved[1:4, :3].all() and moved.sum() == 9


@pytest.mark.slow
def test_points_asked_elsewhere_change_nothing_and_agree_with_the_grid():
    """Asked at the grid's own nodes as bare points, it answers as on the grid: a(x) is the expansion's value there."""
    grid = Grid([FourierBasis(8), ChebyshevBasis(6)])
    model = Transolver(1, 2, 2, 8, 2, heads=2, slices=4, period=(2 * np.pi, None), key=KEY)
    a = Samples(grid, jax.random.normal(KEY, (8, 6, 1)))
    points = jnp.asarray(grid.nodes.reshape(-1, 2), jnp.float32)
    np.testing.assert_allclose(model(a, points), model(a).reshape(-1, 2), atol=1e-4)
    np.testing.assert_allclose(model(a, points[3:5]), model(a, points)[3:5], atol=1e-5)
    with pytest.raises(UsageError, match="points: expected a Grid or an array"):
        model(a, points[:0])


@pytest.mark.slow
def test_values_converge_with_the_resolution_between_walls():
    """Twice the nodes, a quarter of the difference: the trapezoidal rule's order."""
    model = Transolver(1, 1, 1, 8, 2, heads=2, slices=4, key=KEY)
    shared = []
    for n in (17, 33, 65):
        grid = Grid([UniformBasis(n, 0.0, 1.0, "closed")])
        a = jnp.asarray(np.cos(3 * grid.nodes), jnp.float32)
        shared.append(np.asarray(model(Samples(grid, a.reshape(n, 1)))[:: (n - 1) // 16]))
    first, second = (np.abs(v - shared[-1]).max() for v in shared[:2])
    assert second < 0.3 * first < 0.01


def test_a_permutation_of_scattered_points_permutes_the_answer():
    points, a = jax.random.uniform(KEY, (50, 3)), jax.random.normal(KEY, (50, 2))
    model, order = Transolver(2, 1, 3, 8, 2, heads=4, slices=6, key=KEY), jax.random.permutation(KEY, 50)
    np.testing.assert_allclose(model(Samples(points[order], a[order])), model(Samples(points, a))[order], atol=1e-5)


def test_refusals_name_the_argument():
    with pytest.raises(UsageError, match="heads: expected a divisor of the width 8"):
        Transolver(1, 1, 1, 8, 2, heads=3, key=KEY)
    with pytest.raises(UsageError, match="slices"):
        Transolver(1, 1, 1, 8, 2, slices=0, key=KEY)
    convolved = Transolver(1, 1, 2, 8, 1, heads=2, slices=4, convolved=True, key=KEY)
    with pytest.raises(UsageError, match="needs values on a grid"):
        convolved(Samples(jnp.zeros((9, 2)), jnp.zeros((9, 1))))
    model = Transolver(1, 1, 2, 8, 1, heads=2, slices=4, key=KEY)
    with pytest.raises(UsageError, match="a.values: expected 1 channels"):
        model(Samples(jnp.zeros((9, 2)), jnp.zeros((9, 2))))
    with pytest.raises(UsageError, match="points"):
        model(Samples(jnp.zeros((9, 3)), jnp.zeros((9, 1))))
