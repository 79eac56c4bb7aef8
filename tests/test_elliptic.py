"""Darcy flow and what solves it: against dense algebra, exact solutions, and an independent port of the released script."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from pdesurr.checks import UsageError
from pdesurr.fields import AutodiffField, Grid, UniformBasis
from pdesurr.pdes import Darcy, LogNormal, PiecewiseConstant
from pdesurr.solvers.elliptic import (
    block_tridiagonal,
    cell_faces,
    conjugate_gradients,
    diffusion,
    fast_poisson,
    iterations_for,
    multigrid,
    node_faces,
    relative_residual,
)
from pdesurr.solvers.splines import spline_matrix

pytestmark = pytest.mark.usefixtures("x64")


def coefficient(shape, contrast=100.0, seed=0):
    return jnp.asarray(contrast ** np.random.default_rng(seed).uniform(-0.5, 0.5, shape))


def dense(apply, shape):
    n = int(np.prod(shape))
    return np.asarray(jax.jit(jax.vmap(apply))(jnp.eye(n).reshape(n, *shape))).reshape(n, n).T


@pytest.mark.parametrize("shape", [(7,), (6, 9), (4, 5, 3)])
def test_operator_is_symmetric_positive_and_the_fast_solver_inverts_it_for_a_constant(shape):
    spacings = tuple(1 / n for n in shape)
    matrix = dense(diffusion(cell_faces(coefficient(shape), spacings)), shape)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert np.linalg.eigvalsh(matrix).min() > 0
    f = jnp.asarray(np.random.default_rng(1).standard_normal(shape))
    cells, nodes = cell_faces(jnp.ones(shape), spacings), node_faces(jnp.ones([n + 2 for n in shape]), spacings)
    for walls, faces in (("cells", cells), ("nodes", nodes)):
        np.testing.assert_allclose(diffusion(faces)(fast_poisson(shape, spacings, walls)(f)), f, atol=1e-9)


@pytest.mark.parametrize("shape", [(64, 64), (57, 83), (21, 18, 13)])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_multigrid_takes_the_same_iterations_for_any_size_and_contrast(shape, scale):
    """Contrasts of about 100 and of 10^8."""
    grid = Grid([UniformBasis(n, 0.0, 1.0, "cells") for n in shape])

    @jax.jit
    def residual(key):
        faces = cell_faces(LogNormal(scale=scale, modes=12, gamma=2.5)(key, grid), [1 / n for n in shape])
        u = conjugate_gradients(diffusion(faces), jnp.ones(shape), multigrid(faces), 20)
        return relative_residual(diffusion(faces), u, jnp.ones(shape))

    assert float(residual(jax.random.key(0))) < 1e-8


def test_multigrid_is_symmetric_and_positive():
    faces = cell_faces(coefficient((9, 6)), (1 / 9, 1 / 6))
    matrix = dense(multigrid(faces), (9, 6))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12 * np.abs(matrix).max())
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_sine_preconditioner_needs_what_the_contrast_says():
    a = PiecewiseConstant()(jax.random.key(0), Grid([UniformBasis(40, 0.0, 1.0, "cells")] * 2))
    faces = cell_faces(a, (1 / 40,) * 2)
    m = iterations_for(4.0, 1e-8)
    u = jax.jit(lambda b: conjugate_gradients(diffusion(faces), b, fast_poisson(a.shape, (1 / 40,) * 2, "cells"), m))(jnp.ones(a.shape))
    assert m <= 20 and float(relative_residual(diffusion(faces), u, jnp.ones(a.shape))) < 1e-6


@pytest.mark.parametrize("cells", [False, True])
def test_second_order_for_a_smooth_coefficient(cells):
    """u = sin(pi x) sin(2 pi y), a = exp(x y): the right side by the equation's own text."""
    errors = []
    for n in (16, 32):
        grid = Darcy(cells=cells, refinement=1).grid(n + (0 if cells else 1))
        x, y = np.moveaxis(grid.nodes, -1, 0)
        exact = lambda p: jnp.sin(jnp.pi * p[0]) * jnp.sin(2 * jnp.pi * p[1])  # noqa: E731
        a = lambda p: jnp.exp(p[0] * p[1])  # noqa: E731
        text = Darcy(forcing=0.0).residual(AutodiffField(exact, ("x", "y")), AutodiffField(a, ("x", "y")))
        f = text(jnp.asarray(grid.nodes).reshape(-1, 2)).reshape(grid.shape)
        given, inner = jnp.exp(jnp.asarray(x * y)), (slice(None),) * 2 if cells else (slice(1, -1),) * 2
        faces = (cell_faces if cells else node_faces)(given, (1 / n,) * 2)
        u = jax.jit(lambda b, faces=faces: conjugate_gradients(diffusion(faces), b, multigrid(faces), 25))(f[inner])
        errors.append(float(jnp.max(jnp.abs(u - np.asarray(np.sin(np.pi * x) * np.sin(2 * np.pi * y))[inner]))))
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.2, errors


def test_energy_derivative_is_the_residual_and_the_solution_minimises_it():
    pde = Darcy(LogNormal(), refinement=1)
    grid = pde.grid(17)
    a = pde.sample(jax.random.key(2), grid)
    u = pde.solve(a, grid)
    v = u + jnp.pad(jax.random.normal(jax.random.key(3), (15, 15)), 1)[..., None]
    slope = jax.grad(pde.energy)(v, a, grid)[1:-1, 1:-1, 0] * 16**2
    faces = node_faces(a[..., 0], (1 / 16,) * 2)
    np.testing.assert_allclose(slope, diffusion(faces)(v[1:-1, 1:-1, 0]) - 1.0, atol=1e-8)
    assert float(jnp.max(jnp.abs(jax.grad(pde.energy)(u, a, grid)[1:-1, 1:-1]))) < 1e-10 < float(jnp.max(jnp.abs(slope)))


def test_gradients_by_the_adjoint_solve():
    """Taylor tests in the coefficient and in the forcing."""
    pde = Darcy(LogNormal(), refinement=1)
    grid = pde.grid(13)
    a = pde.sample(jax.random.key(0), grid)
    direction = a * jnp.sin(5 * jnp.asarray(grid.nodes)[..., :1])

    @jax.jit
    def objective(h, forcing=1.0):
        return jnp.sum(Darcy(LogNormal(), forcing=forcing, refinement=1).solve(a + h * direction, grid) ** 2) * 1e4

    slope = jax.grad(objective)(0.0)
    rest = [abs(float(objective(h) - objective(0.0) - h * slope)) for h in (2e-2, 1e-2, 5e-3)]
    assert np.all(np.abs(np.log2(np.array(rest[:-1]) / np.array(rest[1:])) - 2) < 0.1), rest
    assert float(jax.grad(objective, argnums=1)(0.0, 1.0)) == pytest.approx(2 * float(objective(0.0)), rel=1e-8)


def test_block_elimination_is_exact_where_the_operator_is_indefinite():
    faces = [jnp.asarray(np.random.default_rng(4).standard_normal(s)) for s in ((6, 7), (5, 8))]
    b = jnp.asarray(np.random.default_rng(5).standard_normal((5, 7)))
    matrix = dense(diffusion(faces), (5, 7))
    assert np.linalg.eigvalsh(matrix).min() < 0
    np.testing.assert_allclose(block_tridiagonal(faces, b).ravel(), np.linalg.solve(matrix, b.ravel()), atol=1e-10)


def test_splines_are_scipys():
    x, y = np.sort(np.random.default_rng(0).uniform(size=9)), np.linspace(-0.1, 1.1, 30)
    f = np.sin(5 * x)
    np.testing.assert_allclose(spline_matrix(x, y) @ f, CubicSpline(x, f, bc_type="not-a-knot")(y), atol=1e-10)


def released_script(a):
    """What the released generator does, written from its description with SciPy's splines and a dense solution."""
    k = len(a)
    centres, nodes = (np.arange(k) + 0.5) / k, np.linspace(0, 1, k)
    spline = lambda v, x, y: CubicSpline(x, CubicSpline(x, v, axis=0)(y), axis=1)(y)  # noqa: E731
    c = spline(a, centres, nodes)
    n = k - 2
    matrix = np.zeros((n * n, n * n))
    for i in range(n):
        for j in range(n):
            at, here = i * n + j, c[i + 1, j + 1]
            for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                face = (here + c[i + 1 + di, j + 1 + dj]) / 2 * (k - 1) ** 2
                matrix[at, at] += face
                if 0 <= i + di < n and 0 <= j + dj < n:
                    matrix[at, (i + di) * n + j + dj] -= face
    u = np.zeros((k, k))
    u[1:-1, 1:-1] = np.linalg.solve(matrix, np.ones(n * n)).reshape(n, n)
    return spline(u, nodes, centres)


def test_replay_is_the_released_script_and_the_reference_beats_it():
    pde = Darcy(PiecewiseConstant(low=4.0), refinement=3, cells=True)
    grid, key = pde.grid(29), jax.random.key(0)
    replayed, ok = jax.jit(lambda k: pde.replay_record(k, grid))(key)
    assert bool(ok)
    np.testing.assert_allclose(replayed["u"], released_script(np.asarray(replayed["a"])), atol=1e-13)
    ours, truth = jax.jit(lambda k: (pde.record(k, grid, "multigrid")[0]["u"], pde._recorded(k, grid, "multigrid", 15)[0]["u"]))(key)
    error = lambda u: float(jnp.linalg.norm(u - truth))  # noqa: E731
    assert error(ours) < error(replayed["u"]) / 2


def test_nested_nodes_and_refined_records_agree():
    pde = Darcy(LogNormal(), refinement=2)
    key = jax.random.key(1)
    grid = pde.grid(17)
    coarse, fine = jax.jit(lambda k: (pde.record(k, grid, "multigrid")[0], pde.refined_record(k, grid, "multigrid")[0]))(key)
    np.testing.assert_allclose(coarse["a"], fine["a"], rtol=1e-12)
    assert float(jnp.linalg.norm(coarse["u"] - fine["u"]) / jnp.linalg.norm(fine["u"])) < 5e-3
    setting = [s for group in pde.settings(pde.grid(17)) for s in group if s.shape == (9, 9)]
    pair = pde.solve_at(coarse["a"][..., None], pde.grid(17), setting[0]) if setting else coarse["u"][..., None]
    assert pair.shape == (17, 17, 1) and bool(jnp.all(jnp.isfinite(pair)))


@pytest.mark.parametrize(("call", "words"), [
    (lambda g: Darcy().solve(jnp.zeros((9, 9, 1)), g), "a: expected a finite coefficient > 0 everywhere, received 0.0"),
    (lambda g: Darcy().solve(jnp.full((9, 9, 1), jnp.nan), g), "a: expected a finite coefficient > 0"),
    (lambda g: Darcy().solve(jnp.ones((9, 8, 1)), g), "one coefficient of shape"),
    (lambda g: Darcy(cells=True), "refinement: expected a whole number >= 1, odd on cells"),
    (lambda g: PiecewiseConstant(low=-1.0), "low: expected a coefficient > 0"),
    (lambda g: LogNormal(gamma=0.5), "gamma: expected a smoothness > 1"),
    (lambda g: Darcy().replay_record(jax.random.key(0), g), "cells: expected True"),
])
def test_bad_input_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call(Darcy().grid(9))
