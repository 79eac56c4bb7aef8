"""What every objective must show."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import OBJECTIVES, PERIODIC, WALLS

from pdesurr.types import Batch, Samples

CASES = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
GRIDS = pytest.mark.parametrize("grid", [PERIODIC, WALLS], ids=["periodic", "walls"])


class Offset(eqx.Module):
    """A model whose answer is its input plus a function times a number: zero is exact where the truth is the input."""

    size: jax.Array

    def __call__(self, a, x=None, *, key=None):
        return a.values + self.size * jnp.cos(jnp.arange(a.values.size, dtype=a.values.dtype)).reshape(a.values.shape)


def batch(grid, dtype=jnp.float32):
    a = Samples(grid, jax.random.normal(jax.random.key(3), (5, *grid.shape, 2), dtype))
    return Batch(a, a)


@CASES
@GRIDS
def test_zero_at_the_exact_answer_and_positive_off_it(objective, grid):
    call = jax.jit(lambda size, key: objective(Offset(size), batch(grid), key))
    for key in (None, jax.random.key(0)):
        loss, metrics = call(jnp.asarray(0.0), key)
        assert float(loss) < 1e-6
        assert metrics and all(np.isfinite(v) for v in metrics.values())
        assert float(call(jnp.asarray(0.1), key)[0]) > 1e-3


@CASES
@GRIDS
def test_gradient_is_the_finite_difference(objective, grid, x64):
    data = batch(grid, jnp.float64)
    loss = jax.jit(lambda s: objective(Offset(s), data, jax.random.key(0))[0])
    s, h = jnp.asarray(0.3), 1e-6
    np.testing.assert_allclose(jax.grad(loss)(s), (loss(s + h) - loss(s - h)) / (2 * h), rtol=1e-7)


@CASES
def test_order_of_the_batch_does_not_matter(objective):
    data = batch(PERIODIC)
    back = jax.tree.map(lambda v: v[::-1], data)
    np.testing.assert_allclose(
        objective(Offset(jnp.asarray(0.2)), data, None)[0], objective(Offset(jnp.asarray(0.2)), back, None)[0], rtol=1e-6
    )
