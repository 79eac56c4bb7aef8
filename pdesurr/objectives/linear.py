"""The Jacobian of a problem's residuals: for a field that is linear in its head from its features, for any network point by point."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.objectives.physics import Drawn, Problem, unknowns_of
from pdesurr.types import flattened

System = tuple[Float[Array, "rows columns"], Float[Array, " rows"]]


def head_system(model: Any, problem: Problem, drawn: Mapping[str, Drawn]) -> System:
    """(J, r): the weighted residuals of a feature model and their derivative in its head, `(features, channels)` in that order.

    A residual at a point reads the derivatives u_i there alone, so J = sum_i diag(dr / du_i) phi_i with the features' derivatives phi_i."""
    require(hasattr(model, "features"), "model", "one that is linear in its head (RandomFourierField, GaussianField)", type(model).__name__)
    q, rows, residuals = unknowns_of(model), [], []
    for name, d in drawn.items():
        read = problem.indices(name, q)
        x = Jet.coordinates(d.points, read)
        features, u = model.features(x), model.jet(x)
        at = lambda parts, name=name, d=d, u=u: problem.evaluate(name, Jet(parts, u.indices), d, q) * problem.root(name, d)  # noqa: E731
        residuals.append(at(u.parts).ravel())
        slopes = _slopes(at, u.parts, read, u.indices)
        block = sum(jnp.einsum("nec,nf->nefc", slope, features.part(i), precision="highest") for i, slope in slopes.items())
        rows.append(block.reshape(residuals[-1].shape[0], -1))  # pyright: ignore[reportAttributeAccessIssue]
    return jnp.concatenate(rows), jnp.concatenate(residuals)


def _slopes(at: Any, parts: tuple[Float[Array, "n c"], ...], read: tuple, indices: tuple) -> dict:
    """dr / du of each derivative that is read: `(n, e, c)`."""
    found = {}
    for index in read:
        row, columns = indices.index(index), []
        for c in range(parts[0].shape[-1]):
            direction = tuple(jnp.zeros_like(p).at[:, c].set(float(k == row)) for k, p in enumerate(parts))
            columns.append(jax.jvp(at, (parts,), (direction,))[1])
        found[index] = jnp.stack(columns, axis=-1)
    return found


def weights_system(model: Any, problem: Problem, drawn: Mapping[str, Drawn], moving: Any = eqx.is_inexact_array) -> System:
    """(J, r): the weighted residuals of any coordinate network and their derivative in its numbers, in the order of `flattened`: all, or
    those that `moving` picks as a filter does."""
    flat, back = flattened(model, moving)
    rows, residuals = [], []
    for name, d in drawn.items():

        def one(p: Array, point: Drawn, name=name, d=d) -> Array:
            single = Drawn(point.points[None], point.values[None], point.weights[None])
            root = problem.root(name, single)[0] / len(d.points) ** 0.5
            return problem.term_residual(name, back(p), single)[0] * root

        pulled = jax.vmap(jax.jacrev(one), in_axes=(None, 0))(flat, d)
        rows.append(pulled.reshape(-1, flat.size))
        residuals.append(jax.vmap(one, in_axes=(None, 0))(flat, d).ravel())
    return jnp.concatenate(rows), jnp.concatenate(residuals)
