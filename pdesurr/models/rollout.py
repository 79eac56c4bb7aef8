"""A one-step model repeated: from the first records of an evolution to all later ones."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.types import Key, Model, Samples, apply, describe


class RollOut(eqx.Module):
    """u_{k+1} = model(u_{k-h+1}, ..., u_k) for `steps` steps, or with `residual` u_{k+1} = u_k + model(u_{k-h+1}, ..., u_k).

    `model` maps the last h records (h * components channels) to the next one (components channels); h is what the input holds.
    Values `(*grid, h * components)` to `(*grid, steps * components)`, in both the components of a record side by side, record
    after record. It reads what `model` reads, and changes resolution where `model` does. A gradient goes through all steps;
    it keeps the window of each and runs each step's insides again, so its memory grows with the windows alone.

    Between normalisers, all records of a component need one scale: `pdesurr.data.scaling.pooled_scalers`.
    Good values: for `FNO` h = 10 and a gradient through all 10-40 steps, for `FFNO` h = 1, trained on single steps with
    noise (`pdesurr.objectives.RolledOut`). Errors of a step add up: look at each step's (`StepwiseL2`).
    Raises `UsageError` for numbers that are not above 0, an input that is not whole records, a `model` whose answer is not one
    record, or an `x` that is not the input's points. Source: Li et al., ICLR 2021 (arXiv 2010.08895), Navier-Stokes, "2-D with roll-out".
    """

    model: Model
    steps: int = eqx.field(static=True)
    components: int = eqx.field(static=True, default=1)
    residual: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_counts(self.model, self.steps, self.components)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "steps": self.steps, "components": self.components, "residual": self.residual}

    def with_steps(self, steps: int) -> "RollOut":
        """The same model for another number of steps of the same length."""
        return RollOut(self.model, steps, self.components, self.residual)

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample."""
        return self._unrolled(lambda s, k: self.model(s, x, key=k), a, x, key)

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples with one leading axis on every array."""
        return self._unrolled(lambda s, k: apply(self.model, s, x, key=k), a, x, key)

    def _unrolled(self, model: Callable[[Samples, Key | None], Array], a: Samples, x: Any, key: Key | None) -> Array:
        check_points(a, x)
        c, window = self.components, a.values
        require(window.shape[-1] >= c and window.shape[-1] % c == 0, "a.values", f"whole records of {c} channels", window.shape)

        def step(window: Array, key: Key | None) -> tuple[Array, Array]:
            record = model(Samples(a.points, window, a.params), key)
            require(record.shape == (*window.shape[:-1], c), "model", f"an answer of one record, {(*window.shape[:-1], c)}", record.shape)
            record = window[..., -c:] + record if self.residual else record
            return jnp.concatenate([window[..., c:], record], axis=-1), record

        if self.steps == 1:  # nothing to save by running a single step again
            return step(window, key)[1]
        keys = None if key is None else jax.random.split(key, self.steps)
        _, records = lax.scan(jax.checkpoint(step, prevent_cse=False), window, keys, length=self.steps)
        return jnp.moveaxis(records, 0, -2).reshape(*window.shape[:-1], -1)


def check_counts(model: Any, steps: int, components: int) -> None:
    """Raise `UsageError` unless these can be a wrapper's model, steps and components."""
    require(callable(model), "model", "a model, called as model(a, x)", model)
    numbers = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in (steps, components))
    require(numbers, "steps, components", "whole numbers >= 1", (steps, components))


def check_points(a: Samples, x: Any) -> None:
    """Raise `UsageError` unless the answer is wanted where the input is: the next step reads it there. Of two clouds only the shapes
    are compared, as their places may be traced."""
    if isinstance(a.points, Grid) or isinstance(x, Grid):
        same = isinstance(a.points, Grid) and (x is None or (isinstance(x, Grid) and x == a.points))
    else:
        same = x is None or x.shape == a.points.shape[-2:]
    require(same, "x", "None or the input's own points", x, "evaluate there and interpolate the result")
