"""A model in the frame of the mean velocity."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO, CoMoving
from pdesurr.models.comoving import translated
from pdesurr.pdes import Burgers
from pdesurr.types import Model, Samples

GRID = Grid([FourierBasis(64)])


class Solver(eqx.Module):
    """Burgers' own solution after a unit time, for velocities without a mean; NaN for others."""

    def __call__(self, a: Samples, x=None, *, key=None):
        del x, key
        still = jnp.abs(jnp.mean(a.values)) < 1e-5
        return jnp.where(still, Burgers(nu=0.1).solve(a.values, GRID, (1.0,), method="cole_hopf")[0], jnp.nan)


def test_the_solver_at_rest_solves_in_every_frame(x64):
    u = 0.8 * jnp.sin(jnp.asarray(GRID.nodes)) + 0.3 * jnp.cos(2 * jnp.asarray(GRID.nodes)) + 1.7
    want = Burgers(nu=0.1).solve(u, GRID, (1.0,), method="cole_hopf")[0]
    np.testing.assert_allclose(CoMoving(Solver(), 1.0)(Samples(GRID, u)), want, atol=1e-6)


def test_two_components_move_along_two_axes(x64):
    grid = Grid([FourierBasis(16), FourierBasis(12)])
    f = lambda x: jnp.stack([jnp.sin(x[..., 0] - x[..., 1]), jnp.cos(x[..., 1])], -1)  # noqa: E731
    x, m = jnp.asarray(grid.nodes), jnp.array([0.4, -1.1])

    class Same(eqx.Module):
        def __call__(self, a, x=None, *, key=None):
            return a.values

    model: Model = Same()
    np.testing.assert_allclose(CoMoving(model, 0.5)(Samples(grid, f(x) + m[None, None])), f(x - 0.5 * m[None, None]) + m[None, None],
                               atol=1e-12)
    np.testing.assert_allclose(translated(f(x), grid, m), f(x - m[None, None]), atol=1e-12)


def test_what_it_refuses():
    inner = FNO(1, 1, (4,), 4, 1, key=jax.random.key(0))
    with pytest.raises(UsageError, match="time"):
        CoMoving(inner, float("nan"))
    with pytest.raises(UsageError, match="Fourier"):
        CoMoving(inner, 1.0)(Samples(Grid([UniformBasis(8)]), jnp.ones((8, 1))))
    with pytest.raises(UsageError, match="a.values"):
        CoMoving(inner, 1.0)(Samples(GRID, jnp.ones((64, 2))))
