"""The two-dimensional Burgers equation for a velocity."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart

Pair = tuple[AbstractField, AbstractField]


class Burgers2D(AbstractRandomStart):
    """u_t + u u_x + v u_y = nu Lap u,  v_t + u v_x + v v_y = nu Lap v on (0, length)^2, periodic; (u, v)(., 0) -> (u, v)(., horizon).

    max |u| and max |v| never grow. Where v = u = W(x + y, 2 t), W solves the one-dimensional equation: the exact solution that the
    tests use. Prior: each component N(0, sigma^2 (-Lap + tau^2)^-gamma) without mean, of standard deviation about 0.5.
    Good values: nu = 0.01 on 64 nodes an axis, 0.001 on 256.
    """

    nu: float | Float[Array, ""] = 0.01
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=0.5)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(166.0, 7.0, 3.0)
    largest_step: float = eqx.field(static=True, default=0.01)

    def __check_init__(self):
        require_numbers(self, "nu")

    @property
    def components(self) -> tuple[str, ...]:
        return ("u", "v")

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length, self.length)

    @property
    def fastest(self) -> float:
        return 8 * self.deviation

    def speed(self, u: Float[Array, "n n 2"], grid: Grid) -> Float[Array, ""]:
        return jnp.max(jnp.sum(jnp.abs(u), axis=-1))

    def linear(self, u: Pair) -> Pair:
        return self.nu * laplacian(u[0], "x", "y"), self.nu * laplacian(u[1], "x", "y")

    def nonlinear(self, u: Pair) -> Pair:
        u, v = u  # pyright: ignore[reportAssignmentType]
        return -(u * d(u, "x") + v * d(u, "y")), -(u * d(v, "x") + v * d(v, "y"))  # pyright: ignore
