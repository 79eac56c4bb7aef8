"""What every one-dimensional basis offers; `Grid` is a tensor product of them."""

import abc

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require


class AbstractBasis(eqx.Module):
    """Where functions of one variable live: nodes, quadrature, and a derivative. It holds no arrays, so it is static under jit.

    `n` nodes on `[lower, upper]`. Node and weight arrays are host float64; cast them to the field's dtype where they are used.
    """

    n: eqx.AbstractVar[int]
    lower: eqx.AbstractVar[float]
    upper: eqx.AbstractVar[float]

    @property
    def length(self) -> float:
        return self.upper - self.lower

    @property
    @abc.abstractmethod
    def periodic(self) -> bool:
        """Whether the two ends are one point."""

    @property
    @abc.abstractmethod
    def nodes(self) -> Float[np.ndarray, " n"]:
        """Where the function is sampled."""

    @property
    @abc.abstractmethod
    def weights(self) -> Float[np.ndarray, " n"]:
        """Quadrature weights: `sum(weights * f(nodes))` approximates the integral over `[lower, upper]`."""

    @abc.abstractmethod
    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        """The `order`-th derivative of values along `axis`, as values."""

    @abc.abstractmethod
    def with_n(self, n: int) -> "AbstractBasis":
        """The same interval and kind with another number of nodes."""


def check_interval(n: int, lower: float, upper: float, least: int = 2) -> None:
    require(isinstance(n, int) and n >= least, "n", f"a number of nodes >= {least}", n)
    require(bool(np.isfinite(lower) and np.isfinite(upper)), "interval", "finite ends", (lower, upper))
    require(lower < upper, "interval", "lower < upper", (lower, upper))
