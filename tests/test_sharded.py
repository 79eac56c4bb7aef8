"""Fields dealt to devices: the same answers and gradients as on one, by two exchanges a layer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO
from pdesurr.train.parallel import over_slices
from pdesurr.types import Samples

TORUS, WALLS = Grid([FourierBasis(16), FourierBasis(18)]), Grid([UniformBasis(16), UniformBasis(12), FourierBasis(10)])


def model(grid, depth=2, modes=4):
    return FNO(1, 2, (modes,) * grid.ndim, 6, depth, head_width=8, coordinates=(True,) * grid.ndim, key=jax.random.key(0))


@pytest.mark.parametrize("grid", [TORUS, pytest.param(WALLS, marks=pytest.mark.slow)], ids=["torus", "walls in three dimensions"])
def test_answers_and_gradients_are_those_of_one_device(grid, x64):
    net = jax.tree.map(lambda v: v.astype(jnp.float64) if eqx.is_inexact_array(v) else v, model(grid))
    a = jax.random.normal(jax.random.key(1), (2, *grid.shape, 1))
    loss = lambda answer: lambda net, v: jnp.sum(jnp.sin(answer(net)(Samples(grid, v, {}))))  # noqa: E731
    whole = eqx.filter_jit(eqx.filter_value_and_grad(loss(lambda net: net.batched)))(net, a)
    dealt = eqx.filter_jit(eqx.filter_value_and_grad(loss(lambda net: over_slices(net, jax.devices()[:4]))))(net, a)
    for x, y in zip(jax.tree.leaves(dealt), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("depth", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_two_exchanges_a_layer_and_two_more_backward(depth):
    net, a = model(TORUS, depth), jnp.ones((2, *TORUS.shape, 1))
    answer = lambda net, v: over_slices(net, jax.devices()[:4])(Samples(TORUS, v, {}))  # noqa: E731
    forward = eqx.filter_jit(answer).lower(net, a).compile().compiled.as_text()
    both = eqx.filter_jit(eqx.filter_grad(lambda net, v: jnp.sum(answer(net, v) ** 2))).lower(net, a).compile().compiled.as_text()
    for text, wanted in ((forward, 2 * depth), (both, 4 * depth)):
        assert sum("all-to-all(" in line or "all-to-all-start(" in line for line in text.splitlines()) == wanted
        assert "all-gather" not in text


@pytest.mark.parametrize(("grid", "modes", "words"), [(Grid([FourierBasis(14), FourierBasis(16)]), 4, "a multiple of 4 nodes"),
                                                      (TORUS, 3, "a multiple of the 4 devices")])
def test_what_does_not_divide_is_refused(grid, modes, words):
    with pytest.raises(UsageError, match=words):
        over_slices(model(grid, modes=modes), jax.devices()[:4])(Samples(grid, jnp.ones((1, *grid.shape, 1)), {}))
