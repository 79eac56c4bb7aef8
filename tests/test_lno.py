"""The low-rank neural operator against its own definition, and its answers away from the input's points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import LNO
from pdesurr.models.lno import LowRankLayer
from pdesurr.nn.mlp import rows
from pdesurr.types import Samples

GRID = Grid([FourierBasis(16)])
A = jax.random.normal(jax.random.key(1), (16, 1))


def model(**settings):
    return LNO(1, 2, 1, 4, 2, 2, kernel=(6,), head_width=8, key=jax.random.key(0), **settings)


def test_a_layer_is_its_kernel():
    """Integrating first gives what the kernel sum_r phi_r(x) psi_r(y), written out for all pairs, gives."""
    layer = LowRankLayer(2, 3, 2, (5,), "gelu", key=jax.random.key(0))
    z, v, m = (jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(7, 2), (7, 3), (7,)]))
    phi, psi = (f(z).reshape(7, 2, 3, 3) for f in (layer.phi, layer.psi))
    pairs = jnp.einsum("xroi,yroi->xyoi", phi, psi)
    dense = jnp.einsum("xyoi,yi,y->xo", pairs, v, m) + rows(layer.skip, v)
    np.testing.assert_allclose(layer.expand(z, v, layer.integrate(z, v, m)), dense, atol=1e-5)


def test_answers_between_nodes_continue_those_on_them():
    """On a Fourier grid, asked at the nodes of a grid three times finer, every third answer is the one on the input's own grid."""
    fine = model()(Samples(GRID, A), GRID.with_shape(48))
    np.testing.assert_allclose(fine[::3], model()(Samples(GRID, A)), atol=1e-5)
    np.testing.assert_allclose(model()(Samples(GRID, A), jnp.asarray(GRID.nodes, jnp.float32)), fine[::3], atol=1e-5)


def test_a_period_is_exact():
    shift = jnp.array([[0.3], [0.3 + 2 * np.pi]])
    u = model(period=(2 * np.pi,))(Samples(GRID, A), shift)
    np.testing.assert_allclose(u[0], u[1], atol=1e-5)


def test_without_a_transform_the_nearest_value_counts():
    grid = Grid([UniformBasis(16)])
    near = jnp.asarray(grid.nodes[3:4] + 0.4 / 15, jnp.float32)
    points, values = jnp.asarray(grid.nodes, jnp.float32), A
    lno = LNO(1, 1, 1, 4, 2, 1, kernel=(6,), head_width=8, key=jax.random.key(0))
    moved = lambda i: lno(Samples(points, values.at[i].add(1e-3)), near)  # noqa: E731
    assert float(jnp.abs(moved(3) - moved(4)).max()) > 1e-5
    np.testing.assert_allclose(lno(Samples(points, values), points[3:4]), lno(Samples(points, values))[3:4], atol=1e-6)


def test_refusals_name_the_argument():
    with pytest.raises(UsageError, match="period"):
        model(period=(1.0, 1.0))
    with pytest.raises((UsageError, TypeCheckError), match="activation"):
        model(activation="swish")
    with pytest.raises(UsageError, match="channels"):
        model()(Samples(GRID, jnp.zeros((16, 3))))
    with pytest.raises(UsageError, match="points"):
        model()(Samples(jnp.zeros((5, 2)), jnp.zeros((5, 1))))
