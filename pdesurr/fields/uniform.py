"""Equispaced samples between walls: what measured and imported data come on. No transform, finite differences instead."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractBasis, check_interval, matrix_along

Ends = Literal["closed", "left", "cells"]


class UniformBasis(AbstractBasis):
    """`n` equispaced nodes on a non-periodic `[lower, upper]`.

    `ends` says where the nodes are: "closed" has both walls, spacing h = length / (n - 1); "left" starts on the lower wall and
    ends h = length / n short of the upper one; "cells" has cell centres, h = length / n. Weights: trapezoidal for "closed",
    h otherwise. Derivatives: second-order differences, one-sided at the ends.
    """

    n: int = eqx.field(static=True)
    lower: float = eqx.field(static=True, default=0.0)
    upper: float = eqx.field(static=True, default=1.0)
    ends: Ends = eqx.field(static=True, default="closed")

    def __check_init__(self):
        check_interval(self.n, self.lower, self.upper, least=3)
        require(self.ends in ("closed", "left", "cells"), "ends", "'closed', 'left' or 'cells'", self.ends)

    @property
    def periodic(self) -> bool:
        return False

    @property
    def spacing(self) -> float:
        return self.length / (self.n - 1 if self.ends == "closed" else self.n)

    @property
    def nodes(self) -> Float[np.ndarray, " n"]:
        shift = 0.5 if self.ends == "cells" else 0.0
        return self.lower + self.spacing * (np.arange(self.n) + shift)

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        weights = np.full(self.n, self.spacing)
        if self.ends == "closed":
            weights[[0, -1]] /= 2
        return weights

    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        require(order >= 1, "order", "an integer >= 1", order)
        u = jnp.moveaxis(u, axis, 0)
        for _ in range(order):
            inner = (u[2:] - u[:-2]) / 2
            first = (-3 * u[0] + 4 * u[1] - u[2]) / 2
            last = (3 * u[-1] - 4 * u[-2] + u[-3]) / 2
            u = jnp.concatenate([first[None], inner, last[None]]) / self.spacing
        return jnp.moveaxis(u, 0, axis)

    def interpolate(self, u: Array, axis: int, x: Float[np.ndarray, " p"]) -> Array:
        """Values at `x` along `axis`: linear between nodes, constant beyond the outermost."""
        return matrix_along(np.stack([np.interp(x, self.nodes, row) for row in np.eye(self.n)], axis=-1), u, axis)

    def with_n(self, n: int) -> "UniformBasis":
        return UniformBasis(n, self.lower, self.upper, self.ends)
