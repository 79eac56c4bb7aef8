"""MgNO: its stencils at each kind of wall, its size against the published ones, its V-cycle and its symmetries."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import CosineBasis, FourierBasis, Grid, SineBasis, UniformBasis
from pdesurr.models import MgNO
from pdesurr.models.mgno import VCycle, auto_levels
from pdesurr.nn.convolution import convolve, paddings, refine
from pdesurr.types import Samples, parameter_count

KEY = jax.random.key(0)


@pytest.mark.parametrize(("basis", "h", "k", "boundary"), [
    (FourierBasis(9, 0.0, 1.0), 1 / 9, 4 * np.pi, None), (SineBasis(8, 0.0, 1.0), 1 / 9, 3 * np.pi, None),
    (CosineBasis(8, 0.0, 1.0), 1 / 8, 3 * np.pi, None), (UniformBasis(9, 0.0, 1.0), 1 / 8, 3 * np.pi, ("neumann",)),
    (UniformBasis(8, 0.0, 1.0, "cells"), 1 / 8, 3 * np.pi, ("neumann",))])
def test_the_second_difference_has_each_bases_functions(basis, h, k, boundary):
    """Padded as the axis's functions continue, [1, -2, 1] multiplies them with 2 cos(k h) - 2, at the walls too."""
    wave = np.sin if isinstance(basis, SineBasis) else np.cos
    v = jnp.asarray(wave(k * basis.nodes), jnp.float32)[None, :, None]
    u = convolve(v, jnp.array([1.0, -2.0, 1.0])[:, None, None], paddings(Grid([basis]), boundary))
    np.testing.assert_allclose(u, (2 * np.cos(k * h) - 2) * v, atol=2e-6)


@pytest.mark.parametrize(("n", "kernel", "padding"), [(7, 3, "constant"), (8, 4, "constant"), (8, 4, "wrap")])
def test_refining_is_the_transpose_of_coarsening(n, kernel, padding):
    """<refine(v), w> = <v, strided(w)> for all v, w, the strided kernel written out."""
    m = (n + 1) // 2
    weights = np.random.default_rng(0).normal(size=kernel)
    flipped = jnp.asarray(weights[::-1].copy(), jnp.float32)[:, None, None]
    matrix = refine(jnp.eye(m)[:, :, None], flipped, (padding,))[..., 0]
    wanted = np.zeros((m, n))
    for i in range(m):
        for k in range(kernel):
            place = 2 * i - 1 + k
            if padding == "wrap" or 0 <= place < n:
                wanted[i, place % n] += weights[k]
    np.testing.assert_allclose(matrix, wanted, atol=1e-6)


@pytest.mark.parametrize(("nodes", "depth", "count"), [(211, 5, 678_093), (256, 4, 572_661)])
def test_parameters_are_as_many_as_published(nodes, depth, count):
    """Darcy, smooth and rough: width 24, one smoothing on each of six levels and two on the last."""
    model = eqx.filter_eval_shape(lambda: MgNO(1, 1, (nodes, nodes), 24, depth, key=KEY))
    assert model.levels == (1, 1, 1, 1, 1, 2)
    assert sum(leaf.size for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.ShapeDtypeStruct)) == count
    assert parameter_count(MgNO(1, 1, (9,), 2, 1, levels=(1,), key=KEY)) == 3 * 2 + 4 + 2


def test_automatic_levels_end_at_eight_nodes():
    assert auto_levels((64, 64)) == (1, 1, 1, 2) and auto_levels((8,)) == (2,) and auto_levels((9, 300)) == (1, 2)


def test_the_cycle_is_linear():
    cycle = VCycle(2, 3, (9, 8), (1, 2), (1, 1), False, key=KEY)
    f, g = jax.random.normal(KEY, (2, 1, 9, 8, 2))
    apply = lambda v: cycle(v, ("constant", "wrap"))  # noqa: E731
    np.testing.assert_allclose(apply(2 * f - g), 2 * apply(f) - apply(g), atol=1e-4)


def test_a_periodic_axis_of_even_sizes_may_be_shifted():
    grid, model = Grid([FourierBasis(16)]), MgNO(1, 1, (16,), 3, 2, levels=(1, 1, 2), norm=True, key=KEY)
    a = jax.random.normal(KEY, (16, 1))
    np.testing.assert_allclose(model(Samples(grid, jnp.roll(a, 4, 0))), jnp.roll(model(Samples(grid, a)), 4, 0), atol=1e-5)


@pytest.mark.parametrize(("coarse", "fine", "boundary"), [
    ((UniformBasis(5, 0.0, 1.0), UniformBasis(6, 0.0, 1.0)), (UniformBasis(9, 0.0, 1.0), UniformBasis(11, 0.0, 1.0)), None),
    ((FourierBasis(6), UniformBasis(5, 0.0, 1.0)), (FourierBasis(12), UniformBasis(9, 0.0, 1.0)), ("periodic", "neumann"))])
def test_a_refined_model_agrees_with_the_coarse_one_at_its_nodes(coarse, fine, boundary):
    coarse, fine = Grid(coarse), Grid(fine)
    model = MgNO(2, 1, coarse.shape, 3, 2, levels=(2, 1), post=(1, 0), boundary=boundary, key=KEY)
    refined = model.refined(fine.shape, key=KEY)
    assert refined.levels == (1, 2, 1) and refined.post == (0, 1, 0) and refined.shape == fine.shape
    arguments: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in refined.arguments.items()}
    assert jax.tree.structure(refined) == jax.tree.structure(MgNO(**arguments, key=KEY))
    a = jax.random.normal(KEY, (*fine.shape, 2))
    found = refined(Samples(fine, a))[::2, ::2]
    np.testing.assert_allclose(found, model(Samples(coarse, a[::2, ::2])), atol=1e-5)
    slopes = eqx.filter_grad(lambda m: jnp.sum(m(Samples(fine, a)) ** 2))(refined)
    assert all(jnp.any(cycle.levels[0].start != 0) for cycle in slopes.cycles)


def test_what_cannot_be_refined_says_so():
    with pytest.raises(UsageError, match=r"shape.*17 or 18"):
        MgNO(1, 1, (9,), 2, 1, levels=(1, 1), key=KEY).refined((20,), key=KEY)
    with pytest.raises(UsageError, match="norm"):
        MgNO(1, 1, (9,), 2, 1, levels=(1, 1), norm=True, key=KEY).refined((17,), key=KEY)


@pytest.mark.parametrize("shape", [(9,), (8, 7), (5, 4, 6)])
def test_derivatives_of_a_strided_convolution_are_those_of_plain_ones(shape):
    """Against every second node of the convolution with stride 1, forwards, backwards and twice."""
    keys, padding = jax.random.split(KEY, 3), ("constant", "wrap", "symmetric")[: len(shape)]
    v, dv = jax.random.normal(keys[0], (2, 2, *shape, 2))
    kernel, dk = jax.random.normal(keys[1], (2, *(3,) * len(shape), 2, 3))
    every = (slice(None), *(slice(None, None, 2),) * len(shape))

    def strided(v, kernel):
        return convolve(v, kernel, padding, stride=2)

    def plain(v, kernel):
        return convolve(v, kernel, padding)[every]

    def all_of(f):
        twice = jax.grad(lambda v: jnp.sum(jax.grad(lambda v: jnp.sum(f(v, kernel) ** 3))(v) ** 2))
        return (*jax.jvp(f, (v, kernel), (dv, dk)), jax.grad(lambda *p: jnp.sum(f(*p) ** 3), (0, 1))(v, kernel), twice(v))

    for found, wanted in zip(*map(jax.tree.leaves, (all_of(strided), all_of(plain))), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(jnp.abs(wanted).max()))


def test_refusals_name_the_argument():
    with pytest.raises(UsageError, match="levels"):
        MgNO(1, 1, (8,), 3, levels=(1, 1, 1, 1), key=KEY)
    with pytest.raises(UsageError, match="levels"):
        MgNO(1, 1, (8,), 3, levels="many", key=KEY)
    with pytest.raises(UsageError, match="post"):
        MgNO(1, 1, (8,), 3, levels=(1, 1), post=(1,), key=KEY)
    model = MgNO(1, 1, (9,), 3, 1, levels=(1, 1), boundary=("wall",), key=KEY)
    with pytest.raises(UsageError, match="boundary"):
        model(Samples(Grid([FourierBasis(9)]), jnp.zeros((9, 1))))
    with pytest.raises(UsageError, match="odd and even"):
        model(Samples(Grid([FourierBasis(10)]), jnp.zeros((10, 1))))
    with pytest.raises(UsageError, match="own grid"):
        model(Samples(Grid([FourierBasis(9)]), jnp.zeros((9, 1))), Grid([FourierBasis(11)]))
