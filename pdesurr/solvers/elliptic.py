"""-div(a grad u) = f between walls where u = 0: finite volumes, and conjugate gradients (CG) with two preconditioners.

One text in any number of dimensions. Unknowns are `(*cells,)`; each axis has one more face than cells, walls included, and a
list of face coefficients, one array for each axis, is all that the operator knows of `a` and of the grid.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require

Operator = Callable[[Array], Array]
Faces = list[Array]


def harmonic(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """The mean that makes the flux through a face between two constant coefficients exact."""
    return 2 * a * b / (a + b)


def cell_faces(a: Float[Array, "*cells"], spacings: Sequence[float]) -> Faces:
    """Face coefficients / h^2 where unknowns sit at cell centres and walls half a cell from the outermost: second order."""
    faces = []
    for axis, h in enumerate(spacings):
        first, last = lax.slice_in_dim(a, 0, 1, axis=axis), lax.slice_in_dim(a, a.shape[axis] - 1, a.shape[axis], axis=axis)
        inner = harmonic(lax.slice_in_dim(a, 1, None, axis=axis), lax.slice_in_dim(a, 0, -1, axis=axis))
        faces.append(jnp.concatenate([2 * first, inner, 2 * last], axis=axis) / h**2)
    return faces


def node_faces(a: Float[Array, "*nodes"], spacings: Sequence[float]) -> Faces:
    """Face coefficients / h^2 where `a` is given on nodes that include the walls, and unknowns are the inner ones: each node's
    coefficient fills the cell around it."""
    faces = []
    for axis, h in enumerate(spacings):
        inside = tuple(slice(None) if i == axis else slice(1, -1) for i in range(a.ndim))
        v = a[inside]
        faces.append(harmonic(lax.slice_in_dim(v, 1, None, axis=axis), lax.slice_in_dim(v, 0, -1, axis=axis)) / h**2)
    return faces


def diffusion(faces: Faces) -> Operator:
    """u -> -div(a grad u), symmetric and positive definite."""

    def apply(u: Array) -> Array:
        out = jnp.zeros_like(u)
        for axis, coefficient in enumerate(faces):
            padded = jnp.pad(u, [(1, 1) if i == axis else (0, 0) for i in range(u.ndim)])
            out = out - jnp.diff(coefficient * jnp.diff(padded, axis=axis), axis=axis)
        return out

    return apply


# Fast direct solution for a = 1: the sine transform diagonalises the operator.


def sine_transform(n: int, walls: str) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, " n"]]:
    """The orthonormal eigenvectors (rows) and eigenvalues * h^2 of -u_xx on `n` unknowns; `walls` is "nodes" where the walls are a
    whole spacing from the outermost unknowns, "cells" where they are half of one."""
    require(walls in ("nodes", "cells"), "walls", "'nodes' or 'cells'", walls)
    k, j = np.arange(1, n + 1)[:, None], np.arange(n)
    size, shift = (n + 1, 1.0) if walls == "nodes" else (n, 0.5)
    vectors = np.sin(np.pi * k * (j + shift) / size)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 4 * np.sin(np.pi * k[:, 0] / (2 * size)) ** 2


def fast_poisson(shape: Sequence[int], spacings: Sequence[float], walls: str) -> Operator:
    """f -> u with -Lap u = f by the same finite volumes, exact to rounding: products with the sine matrices of each axis, at the
    highest precision (a TF32 product would cost 3e-4)."""
    pairs = [sine_transform(n, walls) for n in shape]
    inverse = 1 / sum(np.reshape(value / h**2, [-1 if i == axis else 1 for i in range(len(shape))])
                      for axis, ((_, value), h) in enumerate(zip(pairs, spacings, strict=True)))

    def product(matrix: Array, v: Array, axis: int) -> Array:
        return jnp.moveaxis(lax.dot_general(matrix, v, (((1,), (axis,)), ((), ())), precision=lax.Precision.HIGHEST), 0, axis)

    def solve(f: Array) -> Array:
        matrices = [lax.optimization_barrier(jnp.asarray(vectors, f.dtype)) for vectors, _ in pairs]  # else XLA folds them for seconds
        for axis, matrix in enumerate(matrices):
            f = product(matrix, f, axis)
        f = f * jnp.asarray(inverse, f.dtype)
        for axis, matrix in enumerate(matrices):
            f = product(matrix.T, f, axis)
        return f

    return solve


# Multigrid, for coefficients of high contrast.


def multigrid(faces: Faces, *, sweeps: int = 3) -> Operator:
    """f -> about the solution: one V-cycle of cell-centred multigrid, symmetric and positive definite, so that CG may use it.

    Coarse cells are pairs along each axis; a coarse face is half the sum of the fine ones it covers, which is the operator on cells
    of twice the size (Wesseling 1988; Khalil and Wesseling, J. Comput. Phys. 98, 1992); transfers are constant on each coarse cell.
    `sweeps` of damped Jacobi smooth before and after, damped so that together they are the Chebyshev polynomial that is smallest on
    the upper three quarters of the spectrum.
    """
    levels = [faces]
    while max(_cells(levels[-1])) > 4:
        levels.append(_coarse(levels[-1]))
    roots = np.cos(np.pi * (2 * np.arange(sweeps) + 1) / (2 * sweeps))
    return lambda f: _v_cycle(levels, f, tuple(float(w) for w in 1 / (1.25 + 0.75 * roots)))


def _cells(faces: Faces) -> tuple[int, ...]:
    return tuple(s - (axis == 0) for axis, s in enumerate(faces[0].shape))


def _coarse(faces: Faces) -> Faces:
    coarse = []
    for axis, face in enumerate(faces):
        cells = face.shape[axis] - 1
        kept = lax.slice_in_dim(face, 0, None, stride=2, axis=axis)
        if cells % 2:  # the last coarse cell is one fine cell, whose wall is twice as near
            kept = jnp.concatenate([kept, 2 * lax.slice_in_dim(face, cells, None, axis=axis)], axis=axis)
        for other in range(face.ndim):
            kept = kept if other == axis else _pair_sums(kept, other)
        coarse.append(kept / 2)
    return coarse


def _pair_sums(v: Array, axis: int) -> Array:
    v = jnp.pad(v, [(0, v.shape[i] % 2 if i == axis else 0) for i in range(v.ndim)])
    return lax.slice_in_dim(v, 0, None, stride=2, axis=axis) + lax.slice_in_dim(v, 1, None, stride=2, axis=axis)


def _v_cycle(levels: list[Faces], f: Array, dampings: tuple[float, ...]) -> Array:
    apply, diagonal = _stencil(levels[0])
    scale = 1 / diagonal

    def smooth(u: Array, sweeps: tuple[float, ...]) -> Array:  # a loop: XLA would fuse sweeps and compute each again inside the next
        return lax.scan(lambda v, w: (v + w * (scale * (f - apply(v))), None), u, jnp.asarray(sweeps, f.dtype))[0]

    from_zero = dampings if len(levels) > 1 else 6 * dampings
    u = smooth(from_zero[0] * scale * f, from_zero[1:])
    if len(levels) == 1:
        return u
    residual = functools.reduce(_pair_sums, range(f.ndim), f - apply(u))
    correction = _v_cycle(levels[1:], residual, dampings)
    for axis in range(f.ndim):
        correction = jnp.repeat(correction, 2, axis=axis)
    return smooth(u + correction[tuple(slice(n) for n in f.shape)], dampings)


def _stencil(faces: Faces) -> tuple[Operator, Array]:
    """The operator of `diffusion` as a diagonal and neighbours, and the diagonal: half the time, since every neighbour is one shift
    of the flattened unknowns, but differences of large numbers. A preconditioner can do without those digits."""
    shape = _cells(faces)
    count, reach = math.prod(shape), math.prod(shape[1:])
    diagonal: Any = 0.0
    neighbours: list[tuple[int, Array]] = []
    for axis, face in enumerate(faces):
        stride, ends = math.prod(shape[axis + 1 :]), [(0, 0)] * len(shape)
        below, above = lax.slice_in_dim(face, 0, -1, axis=axis), lax.slice_in_dim(face, 1, None, axis=axis)
        diagonal = diagonal + below + above
        inner = lax.slice_in_dim(face, 1, -1, axis=axis)
        for shift, end in ((-stride, (1, 0)), (stride, (0, 1))):
            ends[axis] = end
            neighbours.append((shift, jnp.pad(inner, ends).ravel()))
    flat = diagonal.ravel()

    def apply(u: Array) -> Array:
        padded, out = jnp.pad(u.ravel(), reach), flat * u.ravel()
        for shift, coefficient in neighbours:
            out = out - coefficient * lax.slice_in_dim(padded, reach + shift, reach + shift + count)
        return out.reshape(shape)

    return apply, diagonal


# Direct solution in two dimensions, whatever the signs of the coefficients.


def block_tridiagonal(faces: Faces, b: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """u with diffusion(faces)(u) = b by block elimination along the first axis: O(n m^3) work and n m^2 memory, exact to rounding
    also where the operator is indefinite and conjugate gradients are not allowed."""
    down, across = faces
    diagonal = down[:-1] + down[1:] + across[:, :-1] + across[:, 1:]

    def eliminate(carry: Any, row: Any) -> tuple[Any, Any]:
        inverse, y = carry
        main, side, coupling, right = row
        block = jnp.diag(main) - jnp.diag(side, 1) - jnp.diag(side, -1) - coupling[:, None] * inverse * coupling[None, :]
        inverse = jnp.linalg.inv(block)
        y = inverse @ (right + coupling * y)
        return (inverse, y), (inverse, y)

    nothing = 0 * down[0] * b[0]  # made of the data, so that its axes vary over devices as theirs do
    start = (nothing[:, None] + nothing[None, :], nothing)
    _, (inverses, ys) = lax.scan(eliminate, start, (diagonal, across[:, 1:-1], down[:-1].at[0].set(0.0), b))

    def substitute(u: Array, row: Any) -> tuple[Array, Array]:
        inverse, y, coupling = row
        u = y + inverse @ (coupling * u)
        return u, u

    return lax.scan(substitute, nothing, (inverses, ys, down[1:]), reverse=True)[1]


# Conjugate gradients.


def conjugate_gradients(apply: Operator, b: Array, precondition: Operator, iterations: int) -> Array:
    """u with apply(u) = b after a fixed number of iterations, so that batches stay in step; `apply` and `precondition` symmetric
    and positive definite. Differentiable in everything `apply` and `b` depend on, by the adjoint solve (the implicit function
    theorem) and not through the iterations."""
    require(isinstance(iterations, int) and iterations >= 1, "iterations", "a whole number >= 1", iterations)

    def solve(matvec: Operator, b: Array) -> Array:
        tiny = jnp.finfo(b.dtype).tiny

        def body(carry: Any, _: None) -> tuple[Any, None]:
            u, r, p, rz = carry
            q = matvec(p)
            alpha = rz / jnp.maximum(jnp.vdot(p, q), tiny)
            u, r = u + alpha * p, r - alpha * q
            z = precondition(r)
            again = jnp.vdot(r, z)
            return (u, r, z + again / jnp.maximum(rz, tiny) * p, again), None

        z = precondition(b)
        return lax.scan(body, (0 * z, b + 0 * z, z, jnp.vdot(b, z)), None, length=iterations)[0][0]

    return lax.custom_linear_solve(apply, b, solve, symmetric=True)


def iterations_for(contrast: float, tolerance: float) -> int:
    """Enough CG iterations for a relative error of `tolerance` in the energy norm when the preconditioned operator's eigenvalues lie
    within a factor `contrast`: 2 ((sqrt(c) - 1) / (sqrt(c) + 1))^m."""
    root = math.sqrt(max(contrast, 1.0 + 1e-12))
    return max(1, math.ceil(math.log(tolerance / 2) / math.log((root - 1) / (root + 1))))


def relative_residual(apply: Operator, u: Array, b: Array) -> Float[Array, ""]:
    """||apply(u) - b|| / ||b||."""
    return jax.numpy.linalg.norm(jnp.ravel(apply(u) - b)) / jax.numpy.linalg.norm(jnp.ravel(b))
