"""The stencil calculus: a field of nodal values, differentiated by finite differences of a chosen order."""

import functools
from collections.abc import Callable
from typing import Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractBasis, along, check_order, matrix_along
from pdesurr.fields._field import AbstractField, without_a_basis
from pdesurr.fields.grid import Grid
from pdesurr.fields.split import SplitGrid, halo

Order = Literal[2, 4, 6]


class StencilField(AbstractField):
    """A real scalar field `(*grid,)` held as values; derivatives are finite differences with an error of O(h^order).

    Central differences inside and on periodic axes; near walls one-sided ones of the same order, so that no condition at the
    walls is assumed. Any basis will do: on nodes that are not equispaced a stencil is one or two nodes wider. Derivatives of
    products are differences of nodal products: no de-aliasing, and no transform. Raises `UsageError` on an axis with fewer
    nodes than the stencil.
    """

    grid: Grid
    values: Float[Array, "*grid"]
    order: Order = eqx.field(static=True, default=2)

    inverse_laplacian = without_a_basis

    def __check_init__(self):
        require(self.order in get_args(Order), "order", f"one of {get_args(Order)}", self.order)
        require(tuple(self.values.shape) == self.grid.shape, "values", f"one scalar field of shape {self.grid.shape}",
                tuple(self.values.shape), "for a batch use jax.vmap")

    def combine(self, op, other, linear):
        values = op(self.values, other.values if isinstance(other, StencilField) else other)
        return self._with(values)

    def derivative(self, name, order):
        axis, grid = self.grid.axis(name), self.grid
        basis = grid.bases[axis]
        if isinstance(grid, SplitGrid) and axis == 0:
            continued = lambda v, width: halo(v, width, 0, grid.split)  # noqa: E731
            return self._with(grid.on_slices(lambda v: differences(v, basis, 0, order, self.order, continued))(self.values))
        return self._with(differences(self.values, basis, axis, order, self.order))

    def _with(self, values) -> "StencilField":
        return StencilField(self.grid, values, self.order)

    def applied(self, function):
        return self._with(function(self.values))

    def known(self, function, names):
        at = [jnp.asarray(self.grid.nodes[..., self.grid.axis(name)], self.values.dtype) for name in names]
        return self._with(jnp.broadcast_to(function(*at), self.grid.shape))


def finite_difference_weights(nodes: Float[np.ndarray, " n"], at: float, order: int) -> Float[np.ndarray, " n"]:
    """Weights w with sum_j w_j f(nodes_j) = f^(order)(at) for every polynomial f of degree < n; nodes distinct, anywhere.

    Source: Fornberg, Math. Comp. 51 (1988), the algorithm of SIAM Rev. 40 (1998), p. 687.
    """
    n = len(nodes)
    check_order(order)
    require(n > order, "nodes", f"more than {order} for a derivative of order {order}", n)
    table = np.zeros((n, order + 1))
    table[0, 0] = 1.0
    scale, offset = 1.0, nodes[0] - at
    for i in range(1, n):
        gaps = nodes[i] - nodes[:i]
        previous, now = offset, nodes[i] - at
        product = float(np.prod(gaps))
        m = np.arange(order + 1)
        lower = np.concatenate([[0.0], table[i - 1, :-1]])
        table[i] = scale / product * (m * lower - previous * table[i - 1])
        shifted = np.concatenate([np.zeros((i, 1)), table[:i, :-1]], axis=1)
        table[:i] = (now * table[:i] - m * shifted) / gaps[:, None]
        scale, offset = product, now
    return table[:, order]


def differences(u: Float[Array, "..."], basis: AbstractBasis, axis: int, order: int, accuracy: int,
                continued: Callable[[Array, int], Array] | None = None) -> Float[Array, "..."]:
    """The `order`-th derivative of values along `axis`, to O(h^accuracy). `continued`: `u` with that many nodes more at either end of a
    periodic axis, if not its own."""
    if order == 0:
        return u
    radius, inner, first, last = _tables(basis, order, accuracy)
    if basis.periodic:
        wrap = [(radius, radius) if i == axis else (0, 0) for i in range(u.ndim)]
        more = jnp.pad(u, wrap, mode="wrap") if continued is None else continued(u, radius)
        return _sum(more, inner[: u.shape[axis]], axis)
    width = first.shape[1]
    near = matrix_along(first, lax.slice_in_dim(u, 0, width, axis=axis), axis)
    far = matrix_along(last, lax.slice_in_dim(u, basis.n - width, basis.n, axis=axis), axis)
    return jnp.concatenate([near, _sum(u, inner, axis), far], axis)


def _sum(u: Array, inner: Float[np.ndarray, "m width"], axis: int) -> Array:
    """sum_s inner[:, s] u[s : s + m] along `axis`."""
    m, width = inner.shape
    used = [s for s in range(width) if np.any(inner[:, s])]
    terms = [jnp.asarray(along(inner[:, s], axis, u.ndim), u.dtype) * lax.slice_in_dim(u, s, s + m, axis=axis) for s in used]
    return functools.reduce(jnp.add, terms)


Tables = tuple[int, Float[np.ndarray, "m width"], Float[np.ndarray, "r w"], Float[np.ndarray, "r w"]]


@functools.lru_cache(maxsize=256)
def _tables(basis: AbstractBasis, order: int, accuracy: int) -> Tables:
    """The stencil's radius, weights of inner nodes, and of the `radius` nodes at either wall. Host float64.

    A central stencil on equispaced nodes gains one order by symmetry, so 2 floor((order + 1) / 2) - 1 + accuracy nodes do;
    elsewhere it takes order + accuracy.
    """
    check_order(order)
    x, n = basis.nodes, basis.n
    even = np.allclose(np.diff(x), (x[-1] - x[0]) / (n - 1), rtol=1e-9, atol=0)
    radius = (order + 1) // 2 + accuracy // 2 - 1 if even else (order + accuracy) // 2
    width = order + accuracy
    least = 2 * radius + 1 if basis.periodic else max(2 * radius + 1, width)
    require(n >= least, "grid", f"at least {least} nodes for derivative {order} to order {accuracy}", n, "refine it or lower the order")
    if even:  # one stencil for all, on whole numbers: no rounding from the nodes' own
        h = (x[-1] - x[0]) / (n - 1)
        row = finite_difference_weights(np.arange(-radius, radius + 1.0), 0.0, order) / h**order
        row[np.abs(row) < 1e-14 * np.abs(row).max()] = 0.0
        inner = np.tile(row, (n if basis.periodic else n - 2 * radius, 1))
        x = h * np.arange(n)
    else:
        inner = np.stack([finite_difference_weights(x[i - radius : i + radius + 1], x[i], order) for i in range(radius, n - radius)])
    first = np.stack([finite_difference_weights(x[:width], x[i], order) for i in range(radius)])
    last = np.stack([finite_difference_weights(x[-width:], x[i], order) for i in range(n - radius, n)])
    return radius, inner, first, last
