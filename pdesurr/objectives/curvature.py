"""The curvature of a problem's loss, as far as it is convex in the function: what natural gradients divide by."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields.jets import Jet
from pdesurr.models.coordinate import derivatives
from pdesurr.objectives.physics import Drawn, Problem, unknowns_of
from pdesurr.types import flattened


def curvature_rows(model: Any, problem: Problem, drawn: Mapping[str, Drawn]) -> Float[Array, "rows numbers"]:
    """A with A^T A = sum_points J^T H J, the network's numbers in the order of `flattened`.

    J is the derivative of what a term reads at a point (u and partial derivatives) in all numbers, H the second derivative of the term's
    share of the loss in what it reads, negative curvature left out. For an energy it is the Hessian in function space pulled back to
    the network, for squares of linear residuals twice Gauss-Newton's matrix. Memory: points times derivatives read times numbers.
    Source: Mueller and Zeinhofer, ICML 2023 (energy natural gradients).
    """
    flat, back = flattened(model)
    q, blocks = unknowns_of(model), []
    for name, d in drawn.items():
        indices = problem.indices(name, q)

        def reads(p: Array, x: Array, indices=indices) -> Array:
            jet = derivatives(back(p), x[None], indices)
            return jnp.stack([jet.part(i)[0] for i in indices])

        def rows(point: Drawn, name=name, indices=indices, reads=reads, d=d) -> Array:
            single = Drawn(point.points[None], point.values[None], point.weights[None])
            parts = reads(flat, point.points)

            def share(v: Array) -> Array:
                jet = Jet(tuple(v.reshape(parts.shape)[:, None]), indices)
                return problem.amount(name, problem.evaluate(name, jet, single, q), single) / len(d.points)

            values, vectors = jnp.linalg.eigh(jax.hessian(share)(parts.ravel()))
            slopes = jax.jacrev(reads)(flat, point.points).reshape(parts.size, -1)
            return jnp.sqrt(jnp.maximum(values, 0.0))[:, None] * jnp.matmul(vectors.T, slopes, precision="highest")

        blocks.append(jax.vmap(rows)(d).reshape(-1, flat.size))
    return jnp.concatenate(blocks)
