"""Darcy flow and what solves it: against dense algebra, exact solutions, and an independent port of the released script."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from pdesurr.checks import UsageError
from pdesurr.fields import Grid, UniformBasis
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


@pytest.mark.parametrize("shape", [(7,), (6, 9)])
def test_operator_is_symmetric_positive_and_the_fast_solver_inverts_it_for_a_constant(shape):
    spacings = tuple(1 / n for n in shape)
    matrix = dense(diffusion(cell_faces(coefficient(shape), spacings)), shape)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert np.linalg.eigvalsh(matrix).min() > 0
    f = jnp.asarray(np.random.default_rng(1).standard_normal(shape))
    cells, nodes = cell_faces(jnp.ones(shape), spacings), node_faces(jnp.ones([n + 2 for n in shape]), spacings)
    for walls, faces in (("cells", cells), ("nodes", nodes)):
        np.testing.assert_allclose(diffusion(faces)(fast_poisson(shape, spacings, walls)(f)), f, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(57, 83), (21, 18, 13)])
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


@pytest.mark.slow
def test_replay_is_the_released_script_and_the_reference_beats_it():
    pde = Darcy(PiecewiseConstant(low=4.0), refinement=3, cells=True)
    grid, key = pde.grid(29), jax.random.key(0)
    replayed, ok = jax.jit(lambda k: pde.replay_record(k, grid))(key)
    assert bool(ok)
    np.testing.assert_allclose(replayed["u"], released_script(np.asarray(replayed["a"])), atol=1e-13)
    ours, truth = jax.jit(lambda k: (pde.record(k, grid, "multigrid")[0]["u"], pde._recorded(k, grid, "multigrid", 15)[0]["u"]))(key)
    error = lambda u: float(jnp.linalg.norm(u - truth))  # noqa: E731
    assert error(ours) < error(replayed["u"]) / 2


@pytest.mark.parametrize(("call", "words"), [
    (lambda g: Darcy().solve(jnp.zeros((9, 9, 1)), g), "a: expected a coefficient > 0 everywhere, received 0.0"),
    (lambda g: Darcy().solve(jnp.full((9, 9, 1), jnp.nan), g), "a: expected finite values"),
    (lambda g: Darcy().solve(jnp.ones((9, 8, 1)), g), "one sample of shape"),
    (lambda g: Darcy(cells=True), "refinement: expected a whole number >= 1, odd on cells"),
    (lambda g: PiecewiseConstant(low=-1.0), "low: expected a coefficient > 0"),
    (lambda g: LogNormal(gamma=0.5), "gamma: expected a smoothness > 1"),
    (lambda g: Darcy().replay_record(jax.random.key(0), g), "cells: expected True"),
])
def test_bad_input_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call(Darcy().grid(9))
