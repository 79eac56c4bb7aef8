"""A model averaged over the symmetries of its problem."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.fields.symmetries import GROUPS, inverse
from pdesurr.nn.pointwise import grids
from pdesurr.types import Key, Model, Samples, apply, batch_of_one, describe


class Symmetrised(eqx.Module):
    """u = (1 / |G|) sum_{g in G} g^-1 model(g a): commutes with every symmetry g of the group G, whatever `model` is.

    Where the true map commutes with G too, the mean square error of the average is at most that of the model over all images, as the
    part of the error that differs from image to image cancels: an ensemble from one training, for |G| times the work of an answer. Train
    the model under the same symmetries (`data.augment.AugmentedSource`) and wrap it afterwards.

    `group`, by name, as a bundle knows it: "reflection", u(x) -> -u(-x) on the periodic axes; "line", that and sixteen shifts of one
    periodic axis (for models that do not commute with shifts by themselves); "square", the eight symmetries of a square between walls.
    Values `(*grid, c)`, to answers on the same grid or on a grid `x` which the symmetries map onto itself. A surrogate's normalisers
    go around it, without means where symmetries change the sign (`fit_scaler(centre=False)`): there constants cancel, and a last bias of
    the model is without influence.
    Raises `UsageError` for another group, scattered points, and a grid that the symmetries do not map onto itself.
    Source: Yarotsky (arXiv 1804.10306); Puny et al., ICLR 2022 (arXiv 2110.03336), who call it group averaging.
    """

    model: Model
    group: str = eqx.field(static=True)

    def __check_init__(self):
        require(callable(self.model), "model", "a model, called as model(a, x)", self.model)
        require(self.group in GROUPS, "group", f"one of {', '.join(GROUPS)}", self.group)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given: a bundle keeps it beside the weights."""
        return {"model": describe(self.model), "group": self.group}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, c)`. One image after the other: memory as for the model."""
        grid, out = grids(a, x, "which symmetries map onto itself")
        acting = [lambda v, grid: v, *GROUPS[self.group]]
        images = jnp.stack([jax.vmap(lambda v, g=g: g(v, grid))(a.values) for g in acting])
        answers = lax.map(lambda v: apply(self.model, Samples(grid, v, a.params), x, key=key), images)
        back = [jax.vmap(lambda u, g=g: inverse(g)(u, out))(u) for g, u in zip(acting, answers, strict=True)]
        return jnp.mean(jnp.stack(back), axis=0)
