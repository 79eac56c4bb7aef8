"""Steady diffusion in a random medium: Darcy flow."""

import math
from functools import partial
from typing import Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from pdesurr.checks import DivergedError, require
from pdesurr.fields import AbstractField, Grid, UniformBasis, d
from pdesurr.pdes._base import AbstractPDE, Setting
from pdesurr.pdes._coefficients import AbstractCoefficient, PiecewiseConstant
from pdesurr.pdes._inputs import looked_at, require_state
from pdesurr.solvers.elliptic import (
    Operator,
    block_tridiagonal,
    cell_faces,
    conjugate_gradients,
    diffusion,
    fast_poisson,
    multigrid,
    node_faces,
    relative_residual,
)
from pdesurr.solvers.splines import spline_matrix
from pdesurr.types import Key

Preconditioner = Literal["multigrid", "sine"]
ITERATIONS = {"float64": 20, "float32": 12}
RESIDUAL = {"float64": 1e-9, "float32": 1e-4}  # what counts as solved


class Darcy(AbstractPDE):
    """-div(a grad u) = forcing on the unit square, u = 0 on its walls; the map a -> u.

    `coefficient`: the law of a > 0. The default is the problem of Li et al. (ICLR 2021, section 5.2) and Kovachki et al. (JMLR 24(89),
    section 6.3): a is 12 or 3 by the sign of a Gaussian field, forcing 1; u has mean about .006 and standard deviation .004.

    Finite volumes with harmonic means on faces: first order at a jump of `a`, second where it is smooth. The reference is solved on
    `refinement` times finer cells, so that what is stored on n nodes is better than n nodes can compute. Nodes include the
    walls, so that every second, third ... node is a grid again; with `cells` they are cell centres, as in the released script.
    """

    coefficient: AbstractCoefficient = PiecewiseConstant()
    forcing: float | Float[Array, ""] = 1.0
    refinement: int = eqx.field(static=True, default=2)
    cells: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        whole = isinstance(self.refinement, int) and self.refinement >= 1
        require(whole and (self.refinement % 2 == 1 or not self.cells), "refinement", "a whole number >= 1, odd on cells", self.refinement)

    @property
    def units(self) -> dict[str, str]:
        return dict.fromkeys(("a", "u", "x", "y", *self.parameters), "1")

    @property
    def record_times(self) -> tuple[float, ...]:
        return ()

    @property
    def input(self) -> tuple[tuple[str, int | None], ...]:
        return (("a", None),)

    @property
    def output(self) -> tuple[tuple[str, int | None], ...]:
        return (("u", None),)

    def grid(self, n: int) -> Grid:
        return Grid([UniformBasis(n, 0.0, 1.0, "cells" if self.cells else "closed")] * 2)

    # The equation.

    def residual(self, u: AbstractField, a: AbstractField) -> AbstractField:
        """-div(a grad u) - forcing, where `a` is smooth; a jump has no strong form."""
        return -(d(a * d(u, "x"), "x") + d(a * d(u, "y"), "y")) - self.forcing

    def energy_density(self, u: AbstractField, a: AbstractField) -> AbstractField:
        """a |grad u|^2 / 2 - forcing u. u minimises its integral among functions that vanish on the walls: the Ritz objective."""
        return a * (d(u, "x") ** 2 + d(u, "y") ** 2) / 2 - self.forcing * u

    # The reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n m 1"]:
        return self.coefficient(key, grid)[..., None]

    def solve(self, a: Float[Array, "n m 1"], grid: Grid, *, iterations: int | None = None,
              preconditioner: Preconditioner = "multigrid") -> Float[Array, "n m 1"]:
        """u on the nodes that `a` is given on. `iterations` of conjugate gradients: 20 (float64) or 12 (float32) unless given, after
        which multigrid's residual was below 1e-9 in float64 on all nodes up to 841 an axis and contrasts tried. "sine" preconditions by
        the fast solution for a = 1: iterations grow with the square root of the contrast.

        Gradients in `a` and `forcing` are by the adjoint solve. Outside jit raises `UsageError` for a coefficient that is not positive
        and finite, or a wrong shape, and `DivergedError` if the residual stays large.
        """
        require(preconditioner in get_args(Preconditioner), "preconditioner", f"one of {get_args(Preconditioner)}", preconditioner)
        a = require_state(a, (*grid.shape, 1))
        with looked_at(a) as concrete:
            least = float(jnp.min(a)) if concrete else None
            require(least is None or least > 0, "a", "a coefficient > 0 everywhere", least)
        require(iterations is None or iterations >= 1, "iterations", "None or a whole number >= 1", iterations)
        count = ITERATIONS[a.dtype.name] if iterations is None else iterations
        u, residual = self._solved(a[..., 0], grid, count, preconditioner)
        if not isinstance(residual, Tracer) and not bool(residual <= RESIDUAL[a.dtype.name]):
            raise DivergedError(f"Darcy: the residual is {float(residual):.1e} after {count} iterations; give more iterations")
        return u[..., None]

    def energy(self, u: Float[Array, "n m 1"], a: Float[Array, "n m 1"], grid: Grid) -> Float[Array, ""]:
        """The discrete energy, whose derivative in u is the residual of the finite volumes."""
        apply, inner = self._operator(a[..., 0], grid)
        v, volume = u[..., 0][inner], math.prod(_spacings(grid))
        return volume * (jnp.vdot(v, apply(v)) / 2 - jnp.asarray(self.forcing, v.dtype) * jnp.sum(v))

    def correction(self, u: Float[Array, "n m 1"], a: Float[Array, "n m 1"], grid: Grid) -> Float[Array, "n m 1"]:
        """What one multigrid cycle on the residual of the finite volumes would add to u: about the discrete solution minus u.
        `solve` takes twelve to twenty such cycles."""
        faces, inner = _faces(a[..., 0], grid)
        held = u[..., 0][inner]
        e = multigrid(faces)(jnp.asarray(self.forcing, u.dtype) + 0 * held - diffusion(faces)(held))
        return (jnp.pad(e, 1) if _closed(grid) else e)[..., None]

    def _operator(self, a: Float[Array, "n m"], grid: Grid) -> tuple[Operator, tuple[slice, ...]]:
        faces, inner = _faces(a, grid)
        return diffusion(faces), inner

    @eqx.filter_jit
    def _solved(self, a: Float[Array, "n m"], grid: Grid, iterations: int, preconditioner: Preconditioner) -> tuple[Array, Array]:
        """u with its walls, and the relative residual."""
        faces, inner = _faces(a, grid)
        apply, b = diffusion(faces), 0 * a[inner] + jnp.asarray(self.forcing, a.dtype)
        walls = "nodes" if _closed(grid) else "cells"
        pre = multigrid(faces) if preconditioner == "multigrid" else fast_poisson(b.shape, _spacings(grid), walls)
        u = conjugate_gradients(apply, b, pre, iterations)
        return (jnp.pad(u, 1) if _closed(grid) else u), relative_residual(apply, u, b)

    # What a data file stores, and its error.

    @property
    def routes(self) -> tuple[str, ...]:
        return ("multigrid", "multigrid, three times the iterations")

    @property
    def refined_routes(self) -> tuple[str, ...]:
        return self.routes

    def record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return self._recorded(key, grid, route, self.refinement)

    def refined_record(self, key: Key, grid: Grid, route: str) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return self._recorded(key, grid, route, 2 * self.refinement + (0 if _closed(grid) else 1))

    def _recorded(self, key: Key, grid: Grid, route: str, factor: int) -> tuple[dict[str, Array], Bool[Array, ""]]:
        fine, keep = _refined(grid, factor)
        a = self.coefficient(key, fine)
        iterations = ITERATIONS[a.dtype.name] * (1 if route == "multigrid" else 3)
        u, residual = self._solved(a, fine, iterations, "multigrid")
        return {"a": a[keep], "u": u[keep]}, (residual <= RESIDUAL[a.dtype.name]) & (jnp.min(a) > 0)

    # The released script's own discretisation.

    def replay(self, a: Float[Array, "n n 1"]) -> Float[Array, "n n 1"]:
        """u at cell centres as the script of Li et al. finds it: the coefficient there, after its jumps, by not-a-knot cubic splines
        to nodes that include the walls (where it rings, and may even turn negative), central differences with arithmetic means, a
        direct solution, splines back. About 1 % from the truth at 85 nodes and 0.1 % at 421."""
        n = a.shape[0]
        nodes, centres = np.linspace(0.0, 1.0, n), (np.arange(n) + 0.5) / n
        there, back = (jnp.asarray(spline_matrix(x, y), a.dtype) for x, y in ((centres, nodes), (nodes, centres)))
        both = partial(jnp.einsum, "ij,jk,lk->il", precision="highest")
        coefficient = both(there, a[..., 0], there)
        faces = [(v[:-1] + v[1:]) / 2 * (n - 1) ** 2 for v in (coefficient[:, 1:-1], coefficient.T[:, 1:-1])]
        u = block_tridiagonal([faces[0], faces[1].T], 0 * a[1:-1, 1:-1, 0] + jnp.asarray(self.forcing, a.dtype))
        return both(back, jnp.pad(u, 1), back)[..., None]

    def replay_record(self, key: Key, grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """What the released script would store of this sample; needs `cells`."""
        require(self.cells, "cells", "True (1) for a replay, since the released script has cell centres", self.cells,
                "the set to replay is darcy_released")
        a = self.sample(key, grid)
        u = self.replay(a)
        return {"a": a[..., 0], "u": u[..., 0]}, jnp.all(jnp.isfinite(u))

    # Ways to solve, for comparisons at equal error.

    def settings(self, grid: Grid) -> tuple[tuple[Setting, ...], ...]:
        factors = [f for f in (8, 6, 5, 4, 3, 2, 1) if all((n - 1) % f == 0 and n // f >= 8 for n in grid.shape)] if _closed(grid) else [1]
        shapes = [tuple((n - 1) // f + 1 for n in grid.shape) for f in factors]
        return tuple(tuple(Setting("multigrid", shape, m) for m in (12, 9, 6, 4, 3)) for shape in shapes)

    def solve_at(self, a: Float[Array, "n m 1"], grid: Grid, setting: Setting) -> Float[Array, "n m 1"]:
        """On every f-th node, then linear interpolation back."""
        assert setting.steps is not None
        if setting.shape == grid.shape:
            return self._solved(a[..., 0], grid, setting.steps, "multigrid")[0][..., None]
        factor = (grid.shape[0] - 1) // (setting.shape[0] - 1)
        u, _ = self._solved(a[::factor, ::factor, 0], grid.with_shape(*setting.shape), setting.steps, "multigrid")
        for axis in range(u.ndim):
            u = _between(u, factor, axis)
        return u[..., None]


def _closed(grid: Grid) -> bool:
    ends = {b.ends if isinstance(b, UniformBasis) else None for b in grid.bases}
    require(ends in ({"closed"}, {"cells"}), "grid", "a UniformBasis with ends 'closed', or 'cells', on every axis", grid)
    return ends == {"closed"}


def _spacings(grid: Grid) -> tuple[float, ...]:
    return tuple(float(b.nodes[1] - b.nodes[0]) for b in grid.bases)


def _faces(a: Float[Array, "n m"], grid: Grid) -> tuple[list[Array], tuple[slice, ...]]:
    """Face coefficients, and where the unknowns are among the nodes."""
    if _closed(grid):
        return node_faces(a, _spacings(grid)), (slice(1, -1),) * a.ndim
    return cell_faces(a, _spacings(grid)), (slice(None),) * a.ndim


def _refined(grid: Grid, factor: int) -> tuple[Grid, tuple[slice, ...]]:
    """A grid with cells `factor` times smaller, and where the old nodes are among its own."""
    if _closed(grid):
        return grid.with_shape(*(factor * (n - 1) + 1 for n in grid.shape)), (slice(None, None, factor),) * grid.ndim
    require(factor % 2 == 1, "refinement", "an odd number on cells, whose centres only then stay nodes", factor)
    return grid.with_shape(*(factor * n for n in grid.shape)), (slice(factor // 2, None, factor),) * grid.ndim


def _between(u: Float[Array, "..."], factor: int, axis: int) -> Float[Array, "..."]:
    """Linear interpolation to `factor` times finer cells along one axis."""
    u = jnp.moveaxis(u, axis, 0)
    w = jnp.arange(factor, dtype=u.dtype).reshape(1, -1, *(1,) * (u.ndim - 1)) / factor
    steps = u[:-1, None] * (1 - w) + u[1:, None] * w
    return jnp.moveaxis(jnp.concatenate([steps.reshape(-1, *u.shape[1:]), u[-1:]]), 0, axis)
