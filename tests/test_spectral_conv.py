"""The Fourier layer: its two forms, an independent reference, resolution, derivatives, errors."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.nn import SpectralConv, cheaper

KEY = jax.random.key(0)
PERIODIC = [((16,), (5,)), ((15,), (8,)), ((12, 13), (4, 5)), ((9, 8, 11), (5, 1, 4))]


def conv(in_channels, out_channels, modes):
    """A layer with numpy's random weights: compiling jax's generator would take longer than the tests."""
    layer = jax.eval_shape(lambda: SpectralConv(in_channels, out_channels, modes, key=KEY))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), layer)


def apply(layer, v, grid, **options):
    """Compiled: op by op, a small test spends its time compiling each operation."""
    return jax.jit(lambda layer, v: layer(v, grid, **options))(layer, v)


def periodic(*shape):
    return Grid([FourierBasis(n, -1.0, 2.0) for n in shape])


def values(*shape):
    return jnp.asarray(np.random.default_rng(1).standard_normal(shape))


def reference(layer, v, bias):
    """numpy's rfftn, one complex matrix per kept wavenumber, irfftn: nothing of the layer's own code."""
    axes, shape, modes = tuple(range(2, v.ndim)), v.shape[2:], layer.modes
    v_hat = np.fft.rfftn(np.asarray(v), axes=axes, norm="forward")
    u_hat = np.zeros((layer.out_channels, *v_hat.shape[1:]), complex)
    weight = np.asarray(layer.weight)
    for k in itertools.product(*(range(-m + 1, m) for m in modes[:-1]), range(modes[-1])):
        row = tuple(j if j >= 0 else m - 1 - j for j, m in zip(k, modes, strict=True))
        matrix = weight[row][0] + 1j * weight[row][1]
        where = (slice(None), slice(None), *k)
        u_hat[where] = matrix @ v_hat[where]
    return np.fft.irfftn(u_hat, s=shape, axes=axes, norm="forward") + np.asarray(bias)[:, None].reshape(-1, *(1,) * (v.ndim - 1))


@pytest.mark.parametrize("shape, modes", PERIODIC)
@pytest.mark.parametrize("form", ["dense", "fft"])
def test_equals_rfftn(shape, modes, form, x64):
    layer, v, bias = conv(3, 2, modes), values(3, 4, *shape), np.array([0.5, -2.0])
    u = apply(layer, v, periodic(*shape), bias=jnp.asarray(bias), form=form)
    np.testing.assert_allclose(u, reference(layer, v, bias), atol=1e-13)


@pytest.mark.parametrize("ends, padding", [("closed", 0.25), ("cells", 1.0), ("left", 1.0)])
def test_forms_agree_between_walls(ends, padding, x64):
    grid = Grid([UniformBasis(17, 0.0, 3.0, ends), FourierBasis(9), UniformBasis(9, -1.0, 0.0, ends)])
    layer, v = conv(2, 3, (4, 3, 3)), values(2, 2, *grid.shape)
    dense, fft = (apply(layer, v, grid, padding=padding, form=form) for form in ("dense", "fft"))
    np.testing.assert_allclose(dense, fft, atol=1e-13)


@pytest.mark.parametrize("form", ["dense", "fft"])
def test_spare_columns_are_ignored_and_come_back_zero(form, x64):
    layer, grid, v = conv(3, 2, (4, 3)), periodic(12, 8), values(3, 4, 12, 8)
    wide = jnp.concatenate([v, jnp.full((3, 4, 12, 2), 1e9)], axis=-1)
    u = apply(layer, wide, grid, form=form, spare=2)
    np.testing.assert_allclose(u[..., :8], apply(layer, v, grid, form=form), atol=1e-13)
    assert u.shape == (2, 4, 12, 10) and not np.any(u[..., 8:])


def test_float32_forms_agree_to_rounding():
    layer, v, grid = conv(8, 8, (12, 12)), values(8, 2, 85, 85), periodic(85, 85)
    dense, fft = (apply(layer, v, grid, form=form) for form in ("dense", "fft"))
    assert dense.dtype == jnp.float32
    np.testing.assert_allclose(dense, fft, atol=2e-6 * float(np.abs(fft).max()))


@pytest.mark.parametrize("coarse, fine", [((16,), (37,)), ((15, 12), (40, 31))])
def test_resolution_change_is_exact_for_band_limited_input(coarse, fine, x64):
    layer = conv(2, 2, (4,) * len(coarse))

    def sampled(grid):
        x = grid.nodes
        wave = np.cos(2 * np.pi / 3 * (3 * x[..., 0] + 0.3)) + np.sin(2 * np.pi / 3 * (x.sum(-1) + 0.1))
        return jnp.asarray(np.stack([wave, wave**2 - wave])[:, None])

    u = [apply(layer, sampled(periodic(*shape)), periodic(*shape)) for shape in (coarse, fine)]
    for value, channel in zip(u[0][:, 0], u[1][:, 0], strict=True):
        np.testing.assert_allclose(jax.jit(lambda u: periodic(*coarse).resample(u, *fine))(value), channel, atol=1e-12)


def test_between_walls_the_operator_does_not_depend_on_resolution(x64):
    """Trapezoidal quadrature converges at order two to the same operator; the nodes of the coarse grid are every eighth."""
    layer = conv(1, 1, (4,))
    u = {}
    for n in (33, 65, 513):
        basis = UniformBasis(n, 0.0, 2.0)
        v = jnp.asarray((np.sin(basis.nodes) + 1)[None, None])
        u[n] = np.asarray(apply(layer, v, Grid([basis]), padding=0.3))[0, 0, :: (n - 1) // 32]
    errors = [float(np.abs(u[n] - u[513]).max()) for n in (33, 65)]
    assert errors[1] < 0.3 * errors[0] < 1e-2


@pytest.mark.parametrize("form", ["dense", "fft"])
def test_derivatives(form, x64):
    """Reverse mode, forward mode and finite differences, in weight, input and bias."""
    grid, layer = periodic(7, 8), conv(2, 2, (3, 4))
    point = (layer.weight, values(2, 3, 7, 8), jnp.asarray([0.1, 0.2]))
    direction = tuple(jnp.cos(x) for x in point)

    def f(weight, v, bias):
        u = eqx.tree_at(lambda s: s.weight, layer, weight)(v, grid, bias=bias, form=form)
        return jnp.sum(jnp.sin(u))

    def slopes(step):
        reverse = sum(jnp.vdot(g, d) for g, d in zip(jax.grad(f, (0, 1, 2))(*point), direction, strict=True))
        ends = [f(*(p + s * step * d for p, d in zip(point, direction, strict=True))) for s in (1, -1)]
        return reverse, jax.jvp(f, point, direction)[1], (ends[0] - ends[1]) / (2 * step)

    reverse, forward, difference = jax.jit(slopes)(1e-6)
    np.testing.assert_allclose(reverse, forward, rtol=1e-12)
    np.testing.assert_allclose(reverse, difference, rtol=1e-7)


def test_matrices_of_a_long_axis_do_not_burden_the_compiler():
    layer, grid = conv(2, 2, (64,)), periodic(8192)
    lowered = jax.jit(lambda v: layer(v, grid, form="dense")).lower(values(2, 1, 8192))
    assert len(lowered.as_text()) < 20_000_000
    lowered.compile()


def test_rule():
    assert cheaper((85, 85), (12, 12), "cpu") == "dense"
    assert cheaper((8192,), (512,), "cpu") == "fft"


def test_errors_teach():
    layer, v = conv(2, 2, (9,)), values(2, 1, 16)
    with pytest.raises(UsageError, match=r"at most \(8,\).*received \(9,\)"):
        layer(v, periodic(16))
    with pytest.raises(UsageError, match=r"shape \(2, batch, 32\)"):
        layer(v, periodic(32))
    with pytest.raises(UsageError, match="modes"):
        SpectralConv(2, 2, (0,), key=KEY)
    with pytest.raises(UsageError, match="2 axes"):
        layer(values(2, 1, 16, 16), periodic(16, 16))
    with pytest.raises(UsageError, match="'dense' where"):
        layer(v, Grid([UniformBasis(16)]), padding=1.003, form="fft")
    with pytest.raises(UsageError, match="padding"):
        layer(v, periodic(16), padding=-0.1)
