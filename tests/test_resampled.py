"""`Resampled`: what averages keep, how splines converge, models bound to their resolution on other grids, its refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO, MgNO, Resampled
from pdesurr.models.resampled import averages, splines
from pdesurr.types import Samples

KEY = jax.random.key(0)
WALLS = [UniformBasis(81, -1.0, 2.0), UniformBasis(80, 0.0, 1.0, "cells"), ChebyshevBasis(81), FourierBasis(80), CosineBasis(80)]


@pytest.mark.parametrize("fine", WALLS, ids=lambda b: type(b).__name__)
def test_averages_keep_constants_and_integrals_and_halves_are_full_weighting(fine):
    coarse = fine.with_n((fine.n + 1) // 2)
    matrix = averages(fine, coarse)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    u = np.exp(np.sin(2 * np.pi * fine.nodes / fine.length))
    mass = (matrix != 0) @ np.ones(fine.n)
    assert mass.max() <= 5 and abs(coarse.weights @ (matrix @ u) - fine.weights @ u) < 2e-3 * fine.length
    if isinstance(fine, FourierBasis):
        np.testing.assert_allclose(matrix[3, 4:9], [0, 0.25, 0.5, 0.25, 0], atol=1e-12)


@pytest.mark.parametrize("kind", WALLS, ids=lambda b: type(b).__name__)
def test_splines_are_of_fourth_order(kind):
    fine, errors = kind.with_n(241), []
    wave = lambda x: np.cos(2 * np.pi * x / kind.length)  # noqa: E731
    for n in (20, 40):
        coarse = kind.with_n(n)
        errors.append(np.abs(splines(coarse, fine) @ wave(coarse.nodes) - wave(fine.nodes)).max())
    assert errors[1] < errors[0] / 14 and errors[1] < 1e-4


def test_the_place_of_a_jump_between_nodes_is_told():
    fine, own = Grid([UniformBasis(41, 0.0, 1.0)]), Grid([UniformBasis(5, 0.0, 1.0)])
    told = [averages(fine.bases[0], own.bases[0]) @ (fine.nodes[:, 0] < place) for place in (0.54, 0.6)]
    assert (fine.nodes[::10, 0] < 0.54).tolist() == (fine.nodes[::10, 0] < 0.6).tolist()
    np.testing.assert_allclose(own.bases[0].weights @ (told[1] - told[0]), 2 / 40, atol=1e-12)  # two nodes of the fine grid


def test_a_model_bound_to_its_resolution_answers_on_others():
    own = Grid([UniformBasis(9, 0.0, 1.0), FourierBasis(8)])
    model = MgNO(1, 2, own.shape, 4, 1, boundary=("dirichlet", "periodic"), key=KEY)
    resampled = Resampled(model, own.shape)
    a = jax.random.normal(KEY, (2, 9, 8, 1))
    np.testing.assert_array_equal(resampled.batched(Samples(own, a)), model.batched(Samples(own, a)))
    found = []
    for grid in (own.with_shape(33, 32), own.with_shape(65, 64)):
        x, y = np.moveaxis(grid.nodes, -1, 0)
        u = resampled(Samples(grid, jnp.asarray(np.sin(np.pi * x) * np.cos(y), jnp.float32)[..., None]))
        assert u.shape == (*grid.shape, 2)
        found.append(u[:: (grid.shape[0] - 1) // 32, :: grid.shape[1] // 32])
    np.testing.assert_allclose(*found, atol=0.02 * float(jnp.abs(found[0]).max()))
    finer = own.with_shape(17, 16)
    np.testing.assert_allclose(resampled(Samples(own, a[0]), finer)[::2, ::2], model(Samples(own, a[0])), atol=1e-6)


def test_refusals_name_the_argument():
    model = Resampled(FNO(1, 1, (3,), 4, 1, key=KEY), (8,))
    for a, x, words in ((Samples(jnp.zeros((9, 1)), jnp.zeros((9, 1))), None, "a.points: expected a Grid"),
                        (Samples(Grid([FourierBasis(6)]), jnp.zeros((6, 1))), None, "8,\\) nodes or more"),
                        (Samples(Grid([FourierBasis(8)] * 2), jnp.zeros((8, 8, 1))), None, "8,\\) nodes or more"),
                        (Samples(Grid([FourierBasis(9)]), jnp.zeros((8, 1))), None, "a.values: expected shape"),
                        (Samples(Grid([FourierBasis(9)]), jnp.zeros((9, 1))), Grid([FourierBasis(9, 0.0, 1.0)]), "x: expected a grid")):
        with pytest.raises(UsageError, match=words):
            model(a, x)
    with pytest.raises(UsageError, match="shape"):
        Resampled(model.model, (0,))
