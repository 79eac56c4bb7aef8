"""Symmetries used as extra data map solutions to solutions, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.fields.symmetries import LINE, SQUARE, SquareSymmetry, Symmetry, Translation, reflection, transposition
from pdesurr.pdes import Burgers, Darcy, NavierStokes

pytestmark = pytest.mark.usefixtures("x64")
PERIODIC = Grid([FourierBasis(32)])
WALLS = Grid([UniformBasis(9), UniformBasis(9)])
BOX = Grid([FourierBasis(8), FourierBasis(4, 0.0, 2.0)])


def names(symmetry: Symmetry) -> str:
    return getattr(symmetry, "__name__", repr(symmetry))


@pytest.mark.parametrize("symmetry", [reflection, LINE[0], LINE[20]], ids=names)
def test_burgers_answers_the_image_by_the_image(symmetry):
    pde = Burgers(nu=0.3)
    a = 0.3 + PERIODIC.with_shape(9).resample(jax.random.normal(jax.random.key(0), (9, 1), jnp.float64), 32)
    solve = lambda v: pde.solve(v, PERIODIC, (0.5,))[0]  # noqa: E731
    assert float(jnp.abs(solve(a) - solve(symmetry(a, PERIODIC))).max()) > 0.1
    np.testing.assert_allclose(solve(symmetry(a, PERIODIC)), symmetry(solve(a), PERIODIC), atol=1e-12)


@pytest.mark.parametrize(("shares", "same"), [((0.25, -0.25), True), ((0.25, 0.25), False)])
def test_navier_stokes_commutes_with_shifts_along_the_forcing(shares, same):
    pde = NavierStokes(nu=1e-2, horizon=2.0, intervals=2, history=1)
    grid, shift = pde.grid(16), Translation(shares)
    a = pde.sample(jax.random.key(0), grid)
    gap = pde.solve(shift(a, grid), grid) - shift(pde.solve(a, grid), grid)
    assert (float(jnp.abs(gap).max()) < 1e-12) == same


@pytest.mark.parametrize("symmetry", [SQUARE[0], SQUARE[4]], ids=names)
def test_darcy_answers_the_image_by_the_image(symmetry):
    pde = Darcy()
    a = jnp.exp(jax.random.normal(jax.random.key(0), (9, 9, 1), jnp.float64))
    np.testing.assert_allclose(pde.solve(symmetry(a, WALLS), WALLS), symmetry(pde.solve(a, WALLS), WALLS), rtol=1e-6)


def test_all_images_differ():
    a, b = jax.random.normal(jax.random.key(0), (32, 1)), jax.random.normal(jax.random.key(0), (9, 9, 1))
    for symmetries, v, grid in ((LINE, a, PERIODIC), (SQUARE, b, WALLS)):
        images = np.stack([v, *(s(v, grid) for s in symmetries)]).reshape(len(symmetries) + 1, -1)
        assert len(np.unique(images, axis=0)) == len(images)


def test_translations_on_two_axes():
    a = jax.random.normal(jax.random.key(0), (8, 4, 1))
    np.testing.assert_array_equal(Translation((0.25, 0.5))(a, BOX), jnp.roll(a, (2, 2), (0, 1)))


@pytest.mark.parametrize(("symmetry", "grid"), [
    (Translation((0.3,)), PERIODIC), (Translation((0.5, 0.5)), WALLS), (Translation((0.5,)), BOX),
    (SquareSymmetry((0,), False), BOX)], ids=str)
def test_a_grid_without_the_symmetry_is_refused(symmetry, grid):
    with pytest.raises(UsageError, match="grid"):
        symmetry(jnp.zeros((*grid.shape, 1)), grid)


def test_transposition():
    a = jax.random.normal(jax.random.key(0), (9, 9, 1))
    np.testing.assert_array_equal(transposition(a, WALLS)[..., 0], a[..., 0].T)
