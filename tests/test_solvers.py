"""ETDRK: coefficients, and measured orders on a diffusive (real) and a dispersive (complex) symbol."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import FourierBasis, Grid
from pdesurr.solvers import Semilinear, checkpointed, etdrk, phi, repeated, trajectory, with_filter

GRID = Grid([FourierBasis(32)])


def equation(kind):
    """u_t = 0.1 u_xx - (u^2/2)_x (diffusive), or u_t = -u_xxx / 50 - (u^2/2)_x (dispersive, as in KdV)."""
    k = GRID.wavenumbers()[0]
    symbol = -0.1 * k**2 + 0j if kind == "diffusive" else 0.02j * k**3
    mask = (k < 10).astype(float)

    def nonlinear(u_hat):
        u = GRID.inverse(u_hat * jnp.asarray(mask, u_hat.dtype))
        return GRID.transform(u * u / 2) * jnp.asarray(-1j * k * mask, u_hat.dtype)

    return Semilinear(symbol, nonlinear)


def start(dtype=jnp.float64):
    x = jnp.asarray(GRID.bases[0].nodes, dtype)
    return GRID.transform(jnp.sin(x) + 0.3 * jnp.cos(2 * x))


@pytest.mark.parametrize("kind", ["diffusive", "dispersive"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_measured_order(kind, order, x64):
    solve = lambda steps: repeated(etdrk(equation(kind), 0.6 / steps, order), steps)(start())  # noqa: E731
    truth = repeated(etdrk(equation(kind), 0.6 / 1000, 4), 1000)(start())
    steps = np.array([16, 32, 64, 128])[: 3 if order == 4 else 4]
    errors = [float(jnp.linalg.norm(solve(int(s)) - truth)) for s in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.25, (slope, errors)


def test_keeping_real_parts_would_drop_the_dispersive_equation_to_order_one(x64):
    """What the complex coefficients are for; this also shows that the order test above can fail."""
    complex_equation = equation("dispersive")
    real = lambda z, count: [p.real.astype(complex) for p in phi(z, count)]  # noqa: E731
    module = sys.modules["pdesurr.solvers.etdrk"]
    truth = repeated(etdrk(complex_equation, 0.6 / 1000, 4), 1000)(start())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "phi", real)
        errors = [float(jnp.linalg.norm(repeated(etdrk(complex_equation, 0.6 / s, 4), s)(start()) - truth)) for s in (32, 64, 128)]
    assert np.all(np.log2(np.array(errors[:-1]) / np.array(errors[1:])) < 1.3)


def test_phi_functions_are_right_near_zero_and_for_complex_arguments():
    for z in (0.0, 1e-9, 1e-3, -1e-2, 0.5j, -3.0 + 2j, -40.0, 30j):
        values = [complex(p) for p in phi(np.array(z, complex), 3)]
        for j, value in enumerate(values, start=1):
            np.testing.assert_allclose(value, series(z, j), rtol=1e-12, atol=1e-14)


def series(z, j):
    """phi_j(z) = int_0^1 exp((1 - s) z) s^(j-1) / (j-1)! ds, by Gauss-Legendre quadrature with many nodes."""
    from math import factorial

    s, w = np.polynomial.legendre.leggauss(120)
    s, w = (s + 1) / 2, w / 2
    return np.sum(w * np.exp((1 - s) * z) * s ** (j - 1)) / factorial(j - 1)


def test_float32_coefficients_are_host_precision_cast_once():
    step32 = repeated(etdrk(equation("dispersive"), 1e-3, 4), 100)
    u32 = step32(start(jnp.float32))
    with jax.enable_x64(True):
        u64 = repeated(etdrk(equation("dispersive"), 1e-3, 4), 100)(start())
    assert u32.dtype == jnp.complex64
    np.testing.assert_allclose(np.asarray(u32), np.asarray(u64), atol=2e-6)


def test_traced_symbol_agrees_with_the_host(x64):
    """Coefficients that are differentiated are computed on the device, by the same text."""
    base = equation("diffusive")

    def end(scale):
        step = etdrk(Semilinear(base.symbol * scale, base.nonlinear), 0.02, 4)
        return jnp.sum(jnp.abs(repeated(step, 10)(start())) ** 2)

    np.testing.assert_allclose(end(jnp.asarray(1.0)), jnp.sum(jnp.abs(repeated(etdrk(base, 0.02, 4), 10)(start())) ** 2), rtol=1e-12)
    h = 1e-5
    difference = (end(jnp.asarray(1 + h)) - end(jnp.asarray(1 - h))) / (2 * h)
    np.testing.assert_allclose(jax.grad(end)(jnp.asarray(1.0)), difference, rtol=1e-7)


def test_combinators():
    double = lambda u: 2 * u  # noqa: E731
    assert float(repeated(double, 5)(jnp.asarray(1.0))) == 32
    np.testing.assert_array_equal(trajectory(double, 3)(jnp.asarray(1.0)), [2, 4, 8])
    np.testing.assert_array_equal(trajectory(double, 3, include_start=True)(jnp.asarray(1.0)), [1, 2, 4, 8])
    assert float(repeated(with_filter(double, lambda u: u - 1), 2)(jnp.asarray(2.0))) == 5


def turn(u):
    return u + 0.01 * jnp.sin(u) * jnp.cos(2 * u)


def gradient_of(loop, n):
    return jax.jit(jax.grad(lambda v: jnp.sum(loop(turn, n)(v) ** 4)))


@pytest.mark.parametrize("n", [0, 3, 103])
def test_checkpointed_steps_have_the_same_value_and_gradient(n, x64):
    u = jnp.linspace(0.0, 3.0, 200)
    np.testing.assert_allclose(jax.jit(checkpointed(turn, n))(u), repeated(turn, n)(u), rtol=1e-14)
    np.testing.assert_allclose(gradient_of(checkpointed, n)(u), gradient_of(repeated, n)(u), rtol=1e-12, atol=1e-14)


def test_checkpointed_gradients_take_a_tenth_of_the_memory():
    def held(loop, n):
        memory = gradient_of(loop, n).lower(jnp.zeros(1000)).compile().memory_analysis()
        return memory.temp_size_in_bytes  # pyright: ignore[reportOptionalMemberAccess]

    assert held(checkpointed, 400) < held(repeated, 400) / 10
    assert held(checkpointed, 1600) < 2.5 * held(checkpointed, 400)  # it grows with the root of n


def test_bad_arguments_are_named():
    with pytest.raises(UsageError, match="order: expected one of"):
        etdrk(equation("diffusive"), 0.1, 5)
    with pytest.raises(UsageError, match="n: expected a whole number"):
        repeated(lambda u: u, -1)
