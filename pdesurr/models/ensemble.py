"""Several models of one architecture, answering together."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.types import Key, Model, Samples, apply, describe


class Ensemble(eqx.Module):
    """u = mean_i model_i(a), over `members` models whose arrays are stacked on a leading axis: one vmapped call.

    `Ensemble.of(models)` stacks trained ones (of other seeds); `Ensemble(model, members)` repeats one, for weights to be filled in. Shapes,
    points and resolutions are those of the model. `each` gives the members' own answers, whose spread `uq.Disagreement` reads. Raises
    `UsageError` for no members or members of different architecture. Source: Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017.
    """

    model: Model
    members: int = eqx.field(static=True)

    def __init__(self, model: Model, members: int):
        require(isinstance(members, int) and members >= 1, "members", "a whole number >= 1", members)
        self.members = members
        self.model = jax.tree.map(lambda v: jnp.broadcast_to(v[None], (members, *v.shape)) if eqx.is_array(v) else v, model)

    @classmethod
    def of(cls, models: Sequence[Model]) -> "Ensemble":
        require(len(models) >= 1, "models", "at least one", len(models))
        parts = [eqx.partition(m, eqx.is_array) for m in models]
        shapes = [jax.tree.map(lambda v: (v.shape, v.dtype), arrays) for arrays, _ in parts]
        alike = all(s == shapes[0] and bool(eqx.tree_equal(p[1], parts[0][1])) for s, p in zip(shapes, parts, strict=True))
        require(alike, "models", "one architecture", [type(m).__name__ for m in models])
        stacked = jax.tree.map(lambda *v: jnp.stack(v), *(arrays for arrays, _ in parts))
        return eqx.tree_at(lambda e: e.model, cls(models[0], len(models)), eqx.combine(stacked, parts[0][1]))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.member(0)), "members": self.members}

    def member(self, i: int) -> Model:
        """One of the models."""
        return jax.tree.map(lambda v: v[i] if eqx.is_array(v) else v, self.model)

    def each(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "members *points out"]:
        """The answers of all members to one sample."""
        return self._mapped(lambda model: model(a, x, key=key))

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        return jnp.mean(self.each(a, x, key=key), axis=0)

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "batch *points out"]:
        """A batch of samples with one leading axis on every array."""
        return jnp.mean(self._mapped(lambda model: apply(model, a, x, key=key)), axis=0)

    def _mapped(self, call: Any) -> Array:
        arrays, static = eqx.partition(self.model, eqx.is_array)
        return jax.vmap(lambda part: call(eqx.combine(part, static)))(arrays)
