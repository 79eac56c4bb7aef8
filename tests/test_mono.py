"""The mixture: its tree, its route, what it evaluates and what training reaches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid
from pdesurr.models import MoNO, mono_centres
from pdesurr.models.mono import encode
from pdesurr.nn.clusters import tree
from pdesurr.types import Samples, apply, parameter_count

KEY = jax.random.key(0)
GRID = Grid([FourierBasis(16)])


def mono(**settings):
    return MoNO(1, 1, (3,), 4, 1, codes=2, head_width=4, key=KEY, **settings)


def groups():
    """Twelve inputs in four groups of three: constants far apart in two steps, with a little noise."""
    heights = jnp.repeat(jnp.array([-11.0, -9.0, 9.0, 11.0]), 3)
    return heights[:, None, None] + 0.1 * jax.random.normal(KEY, (12, 16, 1))


def test_the_tree_finds_groups_within_groups():
    inputs = groups()
    centres = mono_centres(inputs, GRID, codes=2, seed=0)
    assert [c.shape for c in centres] == [(1, 2, 3), (2, 2, 3)]
    np.testing.assert_allclose(np.sort(centres[0][0, :, 0]), [-10, 10], atol=0.2)
    np.testing.assert_allclose(np.sort(centres[1][..., 0].ravel()), [-11, -9, 9, 11], atol=0.2)
    routes = np.array([mono(centres=centres).route(Samples(GRID, a)) for a in inputs]).reshape(4, 3)
    assert (routes == routes[:, :1]).all() and len(set(routes[:, 0])) == 4


def test_only_the_routed_expert_answers():
    """A batch over all experts: each sample's answer is its expert's, also where every other expert is NaN."""
    inputs, model = groups(), mono(centres=mono_centres(groups(), GRID, codes=2, seed=0))
    u = apply(model, Samples(GRID, inputs), GRID)
    for i in (0, 3, 6, 9):
        route = int(model.route(Samples(GRID, inputs[i])))
        expert = jax.tree.map(lambda p, route=route: p[route], model.experts)
        np.testing.assert_allclose(u[i], expert(Samples(GRID, inputs[i])), rtol=1e-4, atol=1e-5)
        only = jax.tree.map(lambda p, route=route: jnp.full_like(p, jnp.nan).at[route].set(p[route]), model.experts)
        alone = eqx.tree_at(lambda m: m.experts, model, only)
        np.testing.assert_allclose(alone(Samples(GRID, inputs[i])), u[i], rtol=1e-4, atol=1e-5)


def test_gradient_reaches_the_routed_experts_only():
    model, a = mono(), jnp.ones((16, 1))
    route = int(model.route(Samples(GRID, a)))
    gradient = eqx.filter_jit(eqx.filter_grad(lambda m: jnp.sum(m(Samples(GRID, a)) ** 2)))(model)
    reached = [bool(jnp.any(gradient.experts.head[1].weight[i] != 0)) for i in range(4)]
    assert reached == [i == route for i in range(4)]


def test_counts():
    model = mono(branching=3, levels=2)
    one = parameter_count(jax.tree.map(lambda p: p[0], model.experts))
    assert (model.active, model.stored) == (one, 9 * one) and parameter_count(model) == model.stored


def test_codes_are_the_same_at_every_resolution():
    for grid in (Grid([FourierBasis(16)]), Grid([ChebyshevBasis(24, 0.0, 1.0), FourierBasis(8)])):
        fine = grid.with_shape(*(2 * n for n in grid.shape))
        f = lambda g: jnp.asarray(np.exp(np.sin(g.nodes.sum(-1, keepdims=True)) / 2), jnp.float32)  # noqa: E731
        if grid.ndim == 2:
            f = lambda g: jnp.asarray(g.nodes[..., :1] ** 2 * np.cos(g.nodes[..., 1:]), jnp.float32)  # noqa: E731
        np.testing.assert_allclose(encode(Samples(grid, f(grid)), 3), encode(Samples(fine, f(fine)), 3), atol=1e-5)


def test_refusals_name_the_argument():
    with pytest.raises(UsageError, match="inputs"):
        tree(np.zeros((5, 2)), 2, 1, 0)
    with pytest.raises(UsageError, match="mono_centres"):
        mono(centres=[np.zeros((1, 2, 3))])
    with pytest.raises(UsageError, match="branching"):
        mono(branching=1)
