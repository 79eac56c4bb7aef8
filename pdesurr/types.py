"""The nouns every room shares: a sampled function, a model, an objective.

Array shapes, at every door: `(*grid, channel)` on a grid, `(n, channel)` on scattered points. Everything is written for
ONE sample; batching is `jax.vmap` by the caller (or a model's own `batched`, where it is faster than `vmap` of a call).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from pdesurr.checks import require

if TYPE_CHECKING:
    from pdesurr.fields import Grid

Key = PRNGKeyArray
Metrics = dict[str, Array]


class Samples(eqx.Module):
    """A function seen at points, and the numbers of the equation it belongs to.

    `points`: a `Grid` (static: it carries no arrays) or an array `(n, d)`. `values`: `(*grid, channel)` or `(n, channel)`.
    `params`: the equation's coefficients by name, each a scalar; a model's docstring says which it reads.
    """

    points: "Grid | Float[Array, 'n d']"
    values: Float[Array, "*grid channel"]
    params: dict[str, Array] = eqx.field(default_factory=dict)


def as_samples(a: Any) -> Samples:
    """`a` itself. Raises `UsageError` for an array, which does not know its points."""
    require(isinstance(a, Samples), "a", "Samples(points, values)", type(a).__name__, "wrap them: pdesurr.types.Samples(grid, values)")
    return a


def batch_of_one(a: Samples) -> Samples:
    """With a leading axis on the values and the params."""
    return Samples(as_samples(a).points, a.values[None], jax.tree.map(lambda v: jnp.asarray(v)[None], a.params))


class Batch(eqx.Module):
    """Input and output functions with one leading sample axis on every array; the grid is shared."""

    input: Samples
    output: Samples


@runtime_checkable
class Model(Protocol):
    """A pytree that can be called: `model(a, x, *, key=None) -> values at x`, for one sample."""

    def __call__(self, a: Samples, x: Any, *, key: Key | None = None) -> Array: ...


@runtime_checkable
class StorableModel(Model, Protocol):
    """A model that a bundle can hold: its class and these arguments, with the weights, make it again."""

    @property
    def arguments(self) -> dict[str, Any]: ...


@runtime_checkable
class Objective(Protocol):
    """A number about a model and a batch: `(model, batch, key) -> (loss, metrics)`."""

    def __call__(self, model: Model, batch: Batch, key: Key | None, /) -> tuple[Array, Metrics]: ...


def apply(model: Model, a: Samples, x: Any, *, key: Key | None = None) -> Array:
    """`model` on a batch: every array of `a` has a leading sample axis; `x` is shared.

    A model that arranges a batch in memory better than `vmap` would offers `batched(a, x, key=...)`; both agree.
    """
    if hasattr(model, "batched"):
        return model.batched(a, x, key=key)  # pyright: ignore[reportAttributeAccessIssue]
    if key is None:
        return jax.vmap(lambda s: model(s, x))(a)
    keys = jax.random.split(key, a.values.shape[0])
    return jax.vmap(lambda s, k: model(s, x, key=k))(a, keys)


def describe(model: Model) -> dict[str, Any]:
    """A model as plain data, `{"class": name, "arguments": {...}}`: how a model that wraps another names it among its own arguments.
    Raises `UsageError` for a model without `arguments`."""
    require(isinstance(model, StorableModel), "model", "one with `arguments`, from which it can be made again", type(model).__name__)
    return {"class": type(model).__name__, "arguments": model.arguments}  # pyright: ignore[reportAttributeAccessIssue]


def flattened(model: PyTree, trained: Any = eqx.is_inexact_array) -> tuple[Float[Array, " p"], Callable[[Array], Any]]:
    """The numbers of a model that `trained` picks, as a filter does, in a row; and the way back to the model."""
    params, static = eqx.partition(model, trained)
    x, back = ravel_pytree(params)
    return x, lambda x: eqx.combine(back(x), static)


def parameter_count(model: PyTree) -> int:
    """Real numbers that training may change (a complex weight is stored as a real pair and counts twice)."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
