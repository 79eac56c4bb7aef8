"""Steady problems whose input is a source."""

import equinox as eqx
from jaxtyping import Array, Bool

from pdesurr.fields import Grid
from pdesurr.pdes._direct import AbstractDirect, by_nodes
from pdesurr.pdes._prior import KernelField
from pdesurr.types import Key


class AbstractSource(AbstractDirect):
    """The map from a source to u, what the nodes hold being all there is. The prior of the source: a smooth Gaussian process of the width
    `scale`, on `modes` nodes an axis (see `KernelField`)."""

    scale: eqx.AbstractVar[float]
    modes: eqx.AbstractVar[int]

    def __check_init__(self):
        self.prior  # noqa: B018  (refuses a bad scale or modes)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u",)

    @property
    def prior(self) -> KernelField:
        """The law of the source."""
        return KernelField(self.scale, self.modes)

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(self, key, grid, finer)
