"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioners."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from pdesurr.checks import require


class Sides(NamedTuple):
    """Of one axis of a matrix: the mean of G G^T and its eigenvectors, by falling eigenvalue."""

    covariance: Float[Array, "n n"]
    basis: Float[Array, "n n"]


class SoapState(NamedTuple):
    """`mean` of the gradient as it is, `square` of the gradient in the basis; `sides`: a pair for each matrix, none for other leaves."""

    count: Int[Array, ""]
    mean: Any
    square: Any
    sides: tuple[tuple[Sides, ...], ...]


def scale_by_soap(turn: int = 2, b1: float = 0.95, b2: float = 0.95, eps: float = 1e-8) -> optax.GradientTransformation:
    """For a matrix with gradient G: L <- b2 L + (1 - b2) G G^T, R <- b2 R + (1 - b2) G^T G, M <- b1 M + (1 - b1) G and, in the eigenbasis
    of both, V <- b2 V + (1 - b2) (Q_L^T G Q_R)^2; the direction is Q_L [Q_L^T M Q_R / (sqrt V + eps)] Q_R^T with Adam's correction for
    the start.

    Every `turn` steps the bases take one step of a power iteration, Q <- QR(L Q), after their columns, and V with them, are sorted by
    Q^T L Q. The first gradient only makes the bases, by an exact decomposition, and moves nothing; what is not a matrix has plain Adam.
    Raises `UsageError` for numbers out of range.
    Source: Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson and Kakade, arXiv 2409.11321 (2024); for PINNs Wang et al.,
    arXiv 2502.00604.
    """
    require(turn >= 1, "turn", "a whole number >= 1", turn)
    require(0 <= b1 < 1 and 0 <= b2 < 1 and eps > 0, "b1, b2, eps", "numbers in [0, 1), eps > 0", (b1, b2, eps))

    def init(params: Any) -> SoapState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
        square = lambda n, dtype: Sides(jnp.zeros((n, n), dtype), jnp.eye(n, dtype=dtype))  # noqa: E731
        sides = tuple(tuple(square(n, p.dtype) for n in p.shape) if p.ndim == 2 else () for p in jax.tree.leaves(params))
        return SoapState(jnp.zeros((), jnp.int32), zeros(), zeros(), sides)

    def update(gradient: Any, state: SoapState, params: Any = None) -> tuple[Any, SoapState]:
        del params
        leaves, tree = jax.tree.flatten(gradient)
        rows = zip(leaves, jax.tree.leaves(state.mean), jax.tree.leaves(state.square), state.sides, strict=True)
        found = [leaf(g, m, v, sides, state.count) for g, m, v, sides in rows]
        moves, means, squares, sides = zip(*found, strict=True)
        back = lambda rows: jax.tree.unflatten(tree, rows)  # noqa: E731
        return back(moves), SoapState(state.count + 1, back(means), back(squares), tuple(sides))

    def leaf(g: Array, m: Array, v: Array, sides: tuple[Sides, ...], count: Array) -> tuple[Array, Array, Array, tuple[Sides, ...]]:
        first, steps = count == 0, jnp.maximum(count, 1).astype(g.dtype)
        held = first & (len(sides) > 0)  # a matrix has no basis yet
        mean, square = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * into(g, sides) ** 2
        steps = steps if sides else (count + 1).astype(g.dtype)
        scaled = into(mean, sides) / (1 - b1**steps) / (jnp.sqrt(square / (1 - b2**steps)) + eps)
        move, mean, square = (jnp.where(held, 0.0, a) for a in (out_of(scaled, sides), mean, square))
        sides = tuple(Sides(b2 * s.covariance + (1 - b2) * gram(g, axis), s.basis) for axis, s in enumerate(sides))
        for axis, side in enumerate(sides):
            due = (count % turn == 0) & ~first
            branch = jnp.where(first, 1, jnp.where(due, 2, 0))
            side, square = jax.lax.switch(branch, (kept, made, lambda s, v, axis=axis: turned(s, v, axis)), side, square)
            sides = (*sides[:axis], side, *sides[axis + 1 :])
        return move, mean, square, sides

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def into(g: Array, sides: tuple[Sides, ...]) -> Array:
    """Q_L^T g Q_R; g where there are no sides."""
    return product(sides[0].basis.T, g, sides[1].basis) if sides else g


def out_of(g: Array, sides: tuple[Sides, ...]) -> Array:
    """Q_L g Q_R^T; g where there are no sides."""
    return product(sides[0].basis, g, sides[1].basis.T) if sides else g


def gram(g: Float[Array, "n m"], axis: int) -> Array:
    """g g^T, or g^T g."""
    g = g if axis == 0 else g.T
    return jnp.matmul(g, g.T, precision="highest")


def product(*matrices: Array) -> Array:
    return jnp.linalg.multi_dot(matrices, precision="highest")


def kept(side: Sides, square: Array) -> tuple[Sides, Array]:
    return side, square


def made(side: Sides, square: Array) -> tuple[Sides, Array]:
    """The exact eigenvectors, by falling eigenvalue."""
    return side._replace(basis=jnp.linalg.eigh(side.covariance)[1][:, ::-1]), square


def turned(side: Sides, square: Array, axis: int) -> tuple[Sides, Array]:
    """One step of a power iteration."""
    image = jnp.matmul(side.covariance, side.basis, precision="highest")
    order = jnp.argsort(-jnp.sum(side.basis * image, axis=0))
    return side._replace(basis=jnp.linalg.qr(image[:, order])[0]), jnp.take(square, order, axis=axis)
