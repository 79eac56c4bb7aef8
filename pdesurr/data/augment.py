"""Exact symmetries of an equation and its grid as extra data: every epoch sees each sample under a random one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from pdesurr.checks import require
from pdesurr.data.sources import AbstractSource
from pdesurr.fields import Grid
from pdesurr.fields.symmetries import Symmetry
from pdesurr.types import Batch, Key, Samples

REACH = 1 << 26  # the base's numbers stay below it; times an index of a few symmetries they still fit 32 bits


class AugmentedSource(AbstractSource):
    """`base` under the identity or one of `symmetries`, drawn anew for every sample and epoch.

    A symmetry `(values (*grid, c), grid) -> values` acts on the input and the output alike: if u is the answer to a, its image
    is the answer to a's image.
    """

    base: AbstractSource
    symmetries: tuple[Symmetry, ...] = eqx.field(static=True)

    def __init__(self, base: AbstractSource, symmetries: tuple[Symmetry, ...]):
        require(len(symmetries) < 32, "symmetries", "at most 31", len(symmetries))
        self.base, self.symmetries = base, symmetries

    @property
    def grid(self) -> Grid:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base.grid

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base.size

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        """Numbers of the base, plus `REACH` times the index of the symmetry (0: none)."""
        numbers = self.base.plan(key, epoch)
        which = jax.random.randint(jax.random.fold_in(jax.random.fold_in(key, epoch), 1), numbers.shape, 0, len(self.symmetries) + 1)
        return numbers % REACH + REACH * which

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        batch, which = self.base.take(numbers % REACH), numbers // REACH

        def image(values: Array) -> Array:
            for i, symmetry in enumerate(self.symmetries, start=1):
                moved = jax.vmap(lambda v, s=symmetry: s(v, self.grid))(values)
                values = jnp.where((which == i).reshape(-1, *(1,) * (values.ndim - 1)), moved, values)
            return values

        return Batch(*(Samples(s.points, image(s.values), s.params) for s in (batch.input, batch.output)))
