"""What every evolution equation must show."""

# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import EVOLUTIONS

from pdesurr.fields import AutodiffField, SpectralField
from pdesurr.pdes import Burgers, NavierStokes
from pdesurr.solvers import etdrk, repeated, trajectory

pytestmark = pytest.mark.usefixtures("x64")
# What takes longest to compile runs with the slow tests, but for the equation's text, its exact solution and its prior.
LONG = ("Burgers2D", "GrayScott", "AllenCahn", "Heat")


def over(wanted, slow=()):
    chosen = [pytest.param(c, id=name, marks=[pytest.mark.slow] * (name in slow)) for name, c in EVOLUTIONS.items() if wanted(c)]
    return pytest.mark.parametrize("case", chosen)


CASES = over(lambda c: True)
DYNAMIC = over(lambda c: True, LONG)
WITH_EXACT = over(lambda c: c.exact is not None)
CONVERGENT = over(lambda c: c.exact is not None, LONG)
STEPPED = over(lambda c: not c.exact_in_time, LONG)


def names(case):
    return ("t", *case.pde.grid(4).names)


def each(fields):
    return fields if isinstance(fields, tuple) else (fields,)


def as_unknown(case, fields):
    """One field for a scalar equation, a tuple for a system."""
    return fields[0] if len(case.pde.components) == 1 else tuple(fields)


def grid_of(case, n=None):
    n = n or case.n
    return case.pde.grid(n)


@functools.cache
def band_limited(ndim, lengths, c):
    """A smooth random function of few modes: wavenumbers and coefficients, so that it can be evaluated anywhere."""
    rng = np.random.default_rng(ndim * 10 + c)
    modes = np.stack([m.ravel() for m in np.meshgrid(*[np.arange(-2, 3)] * ndim, indexing="ij")], -1)
    return 2 * np.pi * modes / np.asarray(lengths), rng.standard_normal((c, 2, len(modes))) / (1 + (modes**2).sum(-1)) ** 1.5


def smooth(case, n=None):
    """A random band-limited state as values `(*grid, c)` and as functions of a point (t, *x)."""
    grid, c = grid_of(case, n), len(case.pde.components)
    k, coefficient = band_limited(grid.ndim, tuple(b.length for b in grid.bases), c)

    def at(i):
        def value(point):
            phase = k @ (point[1:] - jnp.asarray([b.lower for b in grid.bases]))
            mean = case.centre[i % len(case.centre)]
            return mean + case.amplitude * jnp.sum(coefficient[i, 0] * jnp.cos(phase) + coefficient[i, 1] * jnp.sin(phase))

        return value

    functions = [at(i) for i in range(c)]
    values = jnp.stack([jax.vmap(f)(points(grid)) for f in functions], -1).reshape(*grid.shape, c)
    return values - (jnp.mean(values) if isinstance(case.pde, NavierStokes) else 0.0), functions, grid


def points(grid, t=0.0):
    x = jnp.asarray(grid.nodes).reshape(-1, grid.ndim)
    return jnp.concatenate([jnp.full((len(x), 1), t), x], axis=-1)


def exact_values(case, t, grid):
    x = jnp.moveaxis(jnp.asarray(grid.nodes), -1, 0)
    return jnp.stack([jnp.broadcast_to(v, grid.shape) for v in each(case.exact(t, *x))], axis=-1)


def coefficients(case, u, grid):
    u_hat = jnp.moveaxis(grid.transform(u), -1, 0)
    return u_hat[0] if len(case.pde.components) == 1 else u_hat


def values(case, u_hat, grid):
    u_hat = u_hat[None] if len(case.pde.components) == 1 else u_hat
    return grid.inverse(jnp.moveaxis(u_hat, 0, -1))


@CASES
@pytest.mark.parametrize("half", ["linear", "nonlinear"])
def test_autodiff_and_spectral_read_the_same_text(case, half):
    u, functions, grid = smooth(case)
    spectral = getattr(case.pde, half)(as_unknown(case, [SpectralField(grid, nodal=u[..., i], dealias=1.0) for i in range(u.shape[-1])]))
    if isinstance(case.pde, NavierStokes) and half == "nonlinear":  # no inverse Laplacian there: the same text, of the stream function
        psi = (-SpectralField(grid, nodal=u[..., 0], dealias=1.0)).inverse_laplacian().values
        k, c = band_limited(2, (1.0, 1.0), 1)
        square = (k**2).sum(-1)
        c = case.amplitude * c[0] / np.where(square > 0, square, np.inf)
        stream = lambda p: jnp.sum(c[0] * jnp.cos(k @ p[1:]) + c[1] * jnp.sin(k @ p[1:]))  # noqa: E731
        np.testing.assert_allclose(psi.ravel(), jax.vmap(stream)(points(grid)), atol=1e-12)
        autodiff = (case.pde.advection(AutodiffField(stream, names(case))),)
    else:
        autodiff = each(getattr(case.pde, half)(as_unknown(case, [AutodiffField(f, names(case)) for f in functions])))
    for s, a in zip(each(spectral), autodiff, strict=True):
        expected = jax.jit(lambda x, a=a: a(x))(points(grid))
        np.testing.assert_allclose(s.values.ravel(), expected, atol=1e-10 * max(1.0, float(jnp.max(jnp.abs(expected)))))


@CASES
def test_linear_is_linear(case):
    u, _, grid = smooth(case)
    v = jnp.roll(u, 5, axis=0) ** 2

    def apply(w):
        fields = [SpectralField(grid, nodal=w[..., i], dealias=1.0) for i in range(w.shape[-1])]
        return jnp.stack([f.values for f in each(case.pde.linear(as_unknown(case, fields)))], -1)

    np.testing.assert_allclose(apply(2 * u - 3 * v), 2 * apply(u) - 3 * apply(v), atol=1e-9 * float(jnp.max(jnp.abs(apply(v)))))


@WITH_EXACT
def test_exact_solution_has_no_residual(case):
    def residual(factor):
        one = lambda i: AutodiffField(lambda p: factor * each(case.exact(*p))[i], names(case))  # noqa: E731
        fields = as_unknown(case, [one(i) for i in range(len(case.pde.components))])
        if isinstance(case.pde, NavierStokes):
            stream = AutodiffField(lambda p: factor * case.exact(*p) / (8 * jnp.pi**2), names(case))
            return case.pde.residual_of_stream(stream)(at)
        return jnp.stack([r(at) for r in each(case.pde.residual(fields))])

    lengths = np.array([b.length for b in grid_of(case).bases])
    x = np.random.default_rng(0).uniform(size=(9, len(lengths))) * lengths
    at = jnp.concatenate([jnp.linspace(0.1, 0.7, 9)[:, None], jnp.asarray(x)], -1)
    assert float(jnp.max(jnp.abs(residual(1.0)))) < 1e-9
    if not case.exact_in_time and not isinstance(case.pde, NavierStokes):  # of those any multiple solves the equation too
        assert float(jnp.max(jnp.abs(residual(1.1)))) > 1e-6


@pytest.mark.parametrize(("n", "dealias"), [(16, 1.5), (15, 1.5), (16, 2 / 3)])
def test_dealiased_squares_are_exact_on_the_modes_that_are_kept(n, dealias):
    """Against a grid that holds all of -(u^2 / 2)_x: with 3/2 every mode below Nyquist is right, with 2/3 the lower ones."""
    pde, grid, fine = Burgers(), Burgers().grid(n), Burgers().grid(64)
    kept = math.ceil(min(dealias, 1) * n / 2)  # modes 0 ... kept - 1
    draw = np.random.default_rng(0).standard_normal((2, kept))
    u_hat = np.zeros(33, complex)
    u_hat[:kept] = draw[0] + 1j * draw[1] * (np.arange(kept) > 0)
    right = pde.semilinear(fine, 1.0).nonlinear(jnp.asarray(u_hat))[:kept]
    found = pde.semilinear(grid, dealias).nonlinear(jnp.asarray(u_hat[: n // 2 + 1]))
    np.testing.assert_allclose(found[:kept], right, atol=1e-12)
    np.testing.assert_allclose(found[kept:], 0, atol=1e-12)
    if dealias > 1:  # and products on the same nodes are not
        assert float(jnp.max(jnp.abs(pde.semilinear(grid, 1.0).nonlinear(jnp.asarray(u_hat[: n // 2 + 1]))[:kept] - right))) > 1.0


def solved(case, n, steps, order=4, start=None):
    grid = grid_of(case, n)
    u = exact_values(case, 0.0, grid) if start is None else start
    step = etdrk(case.pde.semilinear(grid), case.horizon / steps, order)
    return values(case, jax.jit(repeated(step, steps))(coefficients(case, u, grid)), grid)


@STEPPED
def test_order_in_time(case):
    grid = grid_of(case)
    use_exact = case.exact is not None and not isinstance(case.pde, NavierStokes)
    start = exact_values(case, 0.0, grid) if use_exact else smooth(case)[0]
    fine = 16 * case.steps
    truth = exact_values(case, case.horizon, grid) if use_exact else solved(case, case.n, fine, 4, start)
    for order in case.orders:
        steps = np.array([1, 2, 4]) * case.steps * (1 if order == 4 else 2)
        errors = [float(jnp.max(jnp.abs(solved(case, case.n, int(s), order, start) - truth))) for s in steps]
        slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
        assert abs(slope - order) < 0.3, (order, slope, errors)


@CONVERGENT
def test_spectral_convergence_in_space(case):
    sizes = (case.n // 4, case.n // 2, case.n)
    steps = 1 if case.exact_in_time else 10 * case.steps
    errors = []
    for n in sizes:
        grid = grid_of(case, n)
        errors.append(float(jnp.max(jnp.abs(solved(case, n, steps) - exact_values(case, case.horizon, grid)))))
    assert errors[0] < 1e-11 or (errors[1] < max(errors[0] / 5, 1e-11) and errors[2] < max(errors[1] / 30, 1e-11)), errors


@DYNAMIC
def test_invariants_along_a_trajectory(case):
    u, _, grid = smooth(case)
    steps = 8 * case.steps
    states = trajectory(etdrk(case.pde.semilinear(grid), case.horizon / steps), steps, include_start=True)
    along = [values(case, s, grid) for s in jax.jit(states)(coefficients(case, u, grid))]
    for functional in case.invariants:
        found = np.asarray([functional(s, grid) for s in along])
        np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-5 * float(np.abs(found[0]).max()) + 1e-11)
    for functional in case.decaying:
        assert np.all(np.diff([functional(s, grid) for s in along[:: max(1, steps // 16)]]) < 1e-12)


@STEPPED
def test_residual_of_the_solvers_own_trajectory_vanishes(case):
    """u_t by fourth-order differences against the equation's right side: the data and the physics agree, at that order."""
    u, _, grid = smooth(case)
    found = []
    for steps in (4 * case.steps, 8 * case.steps):
        dt = case.horizon / steps
        states = jax.jit(trajectory(etdrk(case.pde.semilinear(grid), dt), steps))(coefficients(case, u, grid))
        now, equation = states[steps // 2 - 3 : steps // 2 + 2], case.pde.semilinear(grid)
        u_t = (now[0] - 8 * now[1] + 8 * now[3] - now[4]) / (12 * dt)
        gap = values(case, u_t - equation.symbol * now[2] - equation.nonlinear(now[2]), grid)
        found.append(float(jnp.max(jnp.abs(gap)) / jnp.max(jnp.abs(values(case, u_t, grid)))))
    assert found[1] < max(found[0] / 8, 1e-9) and found[1] < 1e-3, found


@DYNAMIC
def test_gradient_with_respect_to_the_input(case):
    """Taylor test: the remainder after the gradient falls with the square of the step."""
    u, _, grid = smooth(case)
    step = etdrk(case.pde.semilinear(grid), case.horizon / case.steps)
    objective = jax.jit(lambda v: jnp.sum(values(case, repeated(step, case.steps)(coefficients(case, v, grid)), grid) ** 4))
    direction = smooth(case)[0][::-1] * jnp.cos(3 * u)
    slope, size = jnp.vdot(jax.grad(objective)(u), direction), 1e-3 * float(jnp.max(jnp.abs(u)) / jnp.max(jnp.abs(direction)))
    remainders = [float(jnp.abs(objective(u + h * direction) - objective(u) - h * slope)) for h in (4 * size, 2 * size, size)]
    rates = np.log2(np.array(remainders[:-1]) / np.array(remainders[1:]))
    assert np.all(np.abs(rates - 2) < 0.1), (rates, remainders)


@CASES
def test_prior_is_finite_smooth_and_the_same_at_every_resolution(case):
    n = 128 if grid_of(case).ndim == 1 else 64
    coarse, fine = grid_of(case, n), grid_of(case, 2 * n)
    a, b = case.pde.sample(jax.random.key(3), coarse), case.pde.sample(jax.random.key(3), fine)
    every_other = b[(slice(None, None, 2),) * coarse.ndim]
    assert a.shape == (*coarse.shape, len(case.pde.components)) and bool(jnp.all(jnp.isfinite(b)))
    assert float(jnp.linalg.norm(a - every_other) / jnp.linalg.norm(every_other)) < 0.05


@over(lambda c: True, ("Burgers2D", "GrayScott"))
def test_fastest_route_records_a_draw_of_the_prior(case):
    """It reaches its end on a few nodes, from the draw itself, and the numbers that identify a file can be written down."""
    pde, key = case.pde, jax.random.key(2)
    grid = pde.grid(64 if len(pde.grid(4).shape) == 1 else 24)
    # Both compiled: deviates are drawn in float32, which compilers round in their own ways.
    draw, (fields, right) = jax.jit(lambda k: (pde.sample(k, grid), pde.record(k, grid, pde.routes[0])))(key)
    assert bool(right) and all(np.isfinite(list(pde.parameters.values())))
    start = jnp.stack([fields[name][0] for name in pde.components], -1)
    np.testing.assert_allclose(start, draw, atol=1e-12)
