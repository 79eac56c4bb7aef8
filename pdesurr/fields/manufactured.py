"""The method of manufactured solutions: choose the answer, derive the right side."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields._field import AbstractField
from pdesurr.fields.autodiff import AutodiffField
from pdesurr.fields.grid import Grid


def manufactured(
    operator: Callable[[AbstractField], AbstractField],
    exact: Callable[[Float[Array, " d"]], Float[Array, ""]],
    names: Sequence[str],
    points: "Grid | Float[Array, 'n d']",
) -> Float[Array, "..."]:
    """f = operator(exact) at points, so that u = `exact` solves operator(u) = f: `(n,)`, or `(*grid,)` on a grid.

    `operator` is an equation's text, e.g. `lambda u: d(u, "t") - nu * d(u, "x", 2)`; `exact(point)` takes an array `(d,)` whose
    entries are the axes `names`, and may use anything jax differentiates. The derivatives are exact (forward mode), so the
    error of a solver fed with f is all its own. What the operator needs besides u (a coefficient a(x)) it holds itself, as
    an `AutodiffField`. Raises `UsageError` where names and points differ in length.

    Source: Roache, J. Fluids Eng. 124 (2002), "Code verification by the method of manufactured solutions".
    """
    at = jnp.asarray(points.nodes, jnp.result_type(float)) if isinstance(points, Grid) else points
    require(at.shape[-1] == len(names), "points", f"one coordinate for each of {tuple(names)}", tuple(at.shape))
    f = operator(AutodiffField(exact, tuple(names)))
    require(isinstance(f, AutodiffField), "operator", "a function from a field to a field", f)
    assert isinstance(f, AutodiffField)
    return f(at.reshape(-1, len(names))).reshape(at.shape[:-1])
