"""Networks on top of one another, each the size and as fine as what the ones below leave."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.models.coordinate import AbstractCoordinateModel
from pdesurr.nn.fixed import Frozen


class MultiStage(AbstractCoordinateModel):
    """u(x) = below(x) + size * top(x). The numbers of `below` are fixed: training reaches those of `top` alone, which are of order one.

    Source: Wang and Lai, J. Comput. Phys. 504 (2024), multi-stage neural networks. `train.multistage` builds it.
    """

    frozen: Frozen
    top: Any
    size: float = eqx.field(static=True)

    def __init__(self, below: Any, top: Any, size: float):
        require(math.isfinite(size) and size > 0, "size", "a number > 0", size)
        self.frozen, self.top, self.size = Frozen(below), top, size

    def jet(self, x: Jet) -> Jet:
        return self.frozen.model.jet(x) + self.top.jet(x).scale(jnp.asarray(self.size, x.dtype))

    # What a linear solve needs, where `top` is linear in its head.

    @property
    def head(self) -> Any:
        """`(features, out)`."""
        return self.top.head

    @property
    def features(self) -> Callable[[Jet], Jet]:
        inner = self.top.features
        return lambda x: inner(x).scale(jnp.asarray(self.size, x.dtype))
