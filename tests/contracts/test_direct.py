"""What every equation must show whose map is computed directly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from direct_cases import DIRECT

from pdesurr.checks import UsageError
from pdesurr.fields import AutodiffField

CASES = pytest.mark.parametrize("case", DIRECT.values(), ids=DIRECT)


def among(quick):
    return pytest.mark.parametrize("case", [pytest.param(c, id=n, marks=[pytest.mark.slow] * (not quick(n))) for n, c in DIRECT.items()])


# Gradients through long loops take long to compile.
GRADIENTS = among(lambda name: name in ("Poisson, walls", "Helmholtz", "Wave, periodic", "NonlinearPoisson"))
ONE_OF_EACH = among(lambda name: "," not in name or name in ("Poisson, walls", "Wave, periodic"))


def coordinates(grid):
    return jnp.moveaxis(jnp.asarray(grid.nodes, jnp.result_type(float)), -1, 0)


def stacked(channels, grid):
    return jnp.stack([jnp.broadcast_to(c, grid.shape) for c in channels], axis=-1)


def start_of(case, grid):
    return stacked(case.start(*coordinates(grid)), grid)


def exact_of(case, grid):
    times = case.pde.record_times[1:] or (0.0,)
    return jnp.concatenate([stacked(case.exact(t, *coordinates(grid)), grid) for t in times], axis=-1)


@pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in DIRECT.items() if hasattr(c.pde, "correction")])
def test_the_correction_is_what_the_answer_lacks(case, x64):
    """None for a solution; of a wrong one, the way back to it (`uq.Corrected` is that promise)."""
    grid = case.pde.grid(case.sizes[-1])
    a, u = start_of(case, grid), exact_of(case, grid)
    size = lambda v: float(jnp.sqrt(jnp.sum(grid.norm(v) ** 2)))  # noqa: E731
    waves = [jnp.sin(2 * jnp.pi * (c - b.lower) / b.length) for c, b in zip(coordinates(grid), grid.bases, strict=True)]
    bump = stacked([functools.reduce(jnp.multiply, waves)], grid)
    found = jax.jit(lambda v: case.pde.correction(v, a, grid))
    assert size(found(u)) < 1e-8 * size(u)
    wrong = 0.1 * size(u) / size(bump) * bump
    assert size(found(u + wrong) + wrong) < 0.05 * size(wrong)


@CASES
def test_exact_solution_has_no_residual(case, x64):
    grid = case.pde.grid(8)
    steady = not case.pde.record_times
    names = grid.names if steady else ("t", *grid.names)
    low, high = np.array([b.lower for b in grid.bases]), np.array([b.upper for b in grid.bases])
    at = jnp.asarray(low + (high - low) * np.random.default_rng(0).uniform(0.1, 0.9, (9, grid.ndim)))
    at = at if steady else jnp.concatenate([jnp.linspace(0.1, 0.9, 9)[:, None] * case.pde.record_times[-1], at], axis=-1)

    def residual(factor):
        u = AutodiffField(lambda p: factor * (case.exact(0.0, *p) if steady else case.exact(*p))[0], names)
        given = [AutodiffField(lambda p, i=i: jnp.asarray(case.start(*p)[i]), names) for i in range(len(case.pde.inputs))] if steady else []
        return float(jnp.max(jnp.abs(case.pde.residual(u, *given)(at))))

    assert residual(1.0) < 1e-9
    if not case.multiples:
        assert residual(1.1) > 1e-3


@CASES
def test_reference_equals_exact(case, x64):
    errors = []
    for n in case.sizes:
        grid = case.pde.grid(n)
        truth = exact_of(case, grid)
        found = jax.jit(lambda a, g=grid: case.pde.solve(a, g))(start_of(case, grid))
        errors.append(float(jnp.linalg.norm(found - truth) / jnp.linalg.norm(truth)))
    assert errors[-1] < case.tolerance, errors
    if case.order is None:
        assert errors[0] < case.tolerance, errors
    else:
        assert errors[0] > errors[-1] * (case.sizes[-1] / case.sizes[0]) ** (case.order - 0.3), errors


@ONE_OF_EACH
def test_record_is_the_solution_and_agrees_with_its_refinement(case, x64):
    grid, key = case.pde.grid(case.sizes[-1]), jax.random.key(4)
    a, solution, (fields, right), (fine, fine_right) = jax.jit(lambda k: (
        case.pde.sample(k, grid), case.pde.solve(case.pde.sample(k, grid), grid), case.pde.record(k, grid, case.pde.routes[0]),
        case.pde.refined_record(k, grid, case.pde.refined_routes[-1])))(key)
    assert bool(right) and bool(fine_right)
    pick = lambda channels: jnp.stack([fields[name] if i is None else fields[name][i] for name, i in channels], -1)  # noqa: E731
    np.testing.assert_allclose(pick(case.pde.input), a, atol=1e-14)
    np.testing.assert_allclose(pick(case.pde.output), solution, atol=1e-13 * float(jnp.max(jnp.abs(solution))))
    for name in dict.fromkeys(name for name, _ in (*case.pde.input, *case.pde.output)):
        assert fine[name].shape == fields[name].shape
        gap = float(jnp.linalg.norm(fine[name] - fields[name]) / jnp.linalg.norm(fine[name]))
        assert gap < case.refined, (name, gap)


@GRADIENTS
def test_gradient_in_the_input(case, x64):
    """Taylor test: what remains after the gradient falls with the square of the step; vmap and jit agree with a plain call."""
    grid = case.pde.grid(case.sizes[0])
    b = jax.jit(jax.vmap(lambda k: case.pde.sample(k, grid)))(jax.random.split(jax.random.key(1), 2))
    a, direction = b
    batched, plain = jax.jit(jax.vmap(lambda v: case.pde.solve(v, grid)))(b), case.pde.solve(a, grid)
    scale = float(jnp.max(jnp.abs(plain)))
    np.testing.assert_allclose(batched[0], plain, atol=1e-9 * scale)
    objective = jax.jit(lambda v: jnp.sum((case.pde.solve(v, grid) / scale) ** 4))
    slope = jnp.vdot(jax.jit(jax.grad(objective))(a), direction)
    remainder = lambda h: float(jnp.abs(objective(a + h * direction) - objective(a) - h * slope))  # noqa: E731
    rates = [np.log2(remainder(2 * h) / remainder(h)) for h in (2e-3, 1e-3)]
    assert np.all(np.abs(np.asarray(rates) - 2) < 0.15), rates


@ONE_OF_EACH
def test_float32_and_coarser_settings(case):
    """All of it runs in float32 without promotion; every setting answers on the grid it was asked for."""
    grid = case.pde.grid(case.sizes[-1])
    fields, right = jax.jit(lambda k: case.pde.record(k, grid, case.pde.routes[0]))(jax.random.key(0))
    assert bool(right) and {v.dtype.name for v in fields.values()} == {"float32"}
    a = jax.jit(lambda k: case.pde.sample(k, grid))(jax.random.key(0))
    solutions = jax.jit(lambda v: [case.pde.solve(v, grid)] + [case.pde.solve_at(v, grid, g[0]) for g in case.pde.settings(grid)[-2:]])(a)
    for u in solutions:
        truth = solutions[0]
        assert u.shape == truth.shape == (*grid.shape, len(case.pde.output))
        assert float(jnp.linalg.norm(u - truth) / jnp.linalg.norm(truth)) < 0.5
    assert set(case.pde.units) >= {*case.pde.inputs, *case.pde.outputs, *grid.names} and case.pde.parameters


@CASES
def test_bad_inputs_are_refused(case):
    grid = case.pde.grid(case.sizes[0])
    a = jnp.ones((*grid.shape, len(case.pde.inputs)))
    with pytest.raises(UsageError, match="shape"):
        case.pde.solve(a[..., :0], grid)
    with pytest.raises(UsageError, match="finite"):
        case.pde.solve(a.at[..., 0].set(jnp.nan), grid)
    for arguments in case.refused:
        with pytest.raises(UsageError):
            functools.partial(type(case.pde), **arguments)()
