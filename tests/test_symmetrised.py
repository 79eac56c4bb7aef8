"""A model averaged over symmetries commutes with them, and is the closer for it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.fields.symmetries import GROUPS, inverse
from pdesurr.models import FNO, GNO, Symmetrised
from pdesurr.types import Samples, apply

LINE, SQUARE = Grid([FourierBasis(32)]), Grid([UniformBasis(9)] * 2)
ON = {"reflection": LINE, "line": LINE, "square": SQUARE}
GROUP = pytest.mark.parametrize("group", GROUPS)


def network(group: str) -> FNO:
    """One that commutes with nothing."""
    axes = ON[group].ndim
    model = FNO(1, 1, (4,) * axes, 6, 1, coordinates=(True,) * axes, key=jax.random.key(0))
    return jax.tree.map(lambda v: v + 0.1 if v.ndim == 1 else v, model)


def values(group: str, seed: int = 1) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (*ON[group].shape, 1))


@GROUP
def test_it_commutes_with_the_group(group):
    grid, a = ON[group], values(group)
    inner, model = (eqx.filter_jit(m) for m in (network(group), Symmetrised(network(group), group)))
    for symmetry in GROUPS[group][::5]:
        image = Samples(grid, symmetry(a, grid))
        np.testing.assert_allclose(model(image), symmetry(model(Samples(grid, a)), grid), atol=1e-5)
        assert float(jnp.abs(inner(image) - symmetry(inner(Samples(grid, a)), grid)).max()) > 1e-2


@GROUP
def test_groups_are_groups(group):
    """The inverse undoes it, and products are members: an average over less would not commute."""
    grid, a = ON[group], values(group)
    images = np.stack([a, *(g(a, grid) for g in GROUPS[group])])
    for g in GROUPS[group]:
        np.testing.assert_array_equal(inverse(g)(g(a, grid), grid), a)
        for image in (g(jnp.asarray(v), grid) for v in images):
            assert np.any(np.all(np.asarray(image)[None] == images, axis=tuple(range(1, images.ndim))))


def test_the_mean_square_error_over_images_is_no_larger():
    """For a map that commutes, here the identity."""
    a, inner = values("square"), network("square")
    error = lambda m, v: float(jnp.sum((m(Samples(SQUARE, v), None) - v) ** 2))  # noqa: E731
    images = [a, *(g(a, SQUARE) for g in GROUPS["square"])]
    assert error(Symmetrised(inner, "square"), a) < np.mean([error(inner, v) for v in images])


def test_answers_on_another_grid_and_params():
    fine = Grid([UniformBasis(17)] * 2)
    graph = GNO(1, 1, 2, 1.5, 4, 1, kernel=(4,), nodes=81, head_width=4, key=jax.random.key(0))
    model, a = Symmetrised(graph, "square"), values("square")
    symmetry = GROUPS["square"][4]
    answer = lambda v: model(Samples(SQUARE, v), fine)  # noqa: E731
    np.testing.assert_allclose(answer(symmetry(a, SQUARE)), symmetry(answer(a), fine), atol=1e-5)
    one = Samples(SQUARE, a, {"nu": jnp.asarray(0.1)})
    many = Samples(SQUARE, a[None], {"nu": jnp.asarray([0.1])})
    np.testing.assert_allclose(model(one, None), apply(model, many, None)[0], atol=1e-6)


def test_what_it_refuses():
    inner = network("reflection")
    with pytest.raises(UsageError, match="group"):
        Symmetrised(inner, "all")
    with pytest.raises(UsageError, match="a.points"):
        Symmetrised(inner, "reflection")(Samples(jnp.ones((4, 1)), jnp.ones((4, 1))))
    with pytest.raises(UsageError, match="a.values"):
        Symmetrised(inner, "reflection")(Samples(LINE, jnp.ones((16, 1))))
    with pytest.raises(UsageError, match="mirror"):
        Symmetrised(network("square"), "square")(Samples(Grid([FourierBasis(8)] * 2), jnp.ones((8, 8, 1))))
    for grid in (Grid([UniformBasis(9)]), Grid([UniformBasis(9), UniformBasis(8)])):
        with pytest.raises(UsageError, match="grid"):
            Symmetrised(network("square"), "square")(Samples(grid, jnp.ones((*grid.shape, 1))))
