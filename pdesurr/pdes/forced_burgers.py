"""The Burgers equation under a force that is held for a while: one slot of a control problem."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, Grid, d
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._prior import AbstractRandomStart, AbstractStart, GaussianStart, KernelStart
from pdesurr.types import Key

Pair = tuple[AbstractField, AbstractField]


class ForcedBurgers(AbstractRandomStart):
    """u_t + (u^2 / 2)_x = nu u_xx + w,  w_t = 0 on (0, length), periodic; (u, w)(., 0) -> (u, w)(., horizon).

    w is a control, held for one slot of length `horizon`: roll-outs put the next one in its place. mean(u) grows by mean(w) t. Prior: u
    of the law `prior`, standard deviation about 0.6; w independent, `strength` times `KernelStart(scale)`; both without mean. (Wei
    et al., NeurIPS 2024, control the same equation at nu = 0.01 over ten slots of 0.1, between walls.)
    Good values: nu = 0.01 on 128 nodes.
    """

    nu: float | Float[Array, ""] = 0.01
    strength: float = eqx.field(static=True, default=1.5)
    scale: float = eqx.field(static=True, default=0.12)
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=0.1)
    intervals: int = eqx.field(static=True, default=1)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    prior: AbstractStart = GaussianStart(108.0, 7.0, 2.5)
    largest_step: float = eqx.field(static=True, default=0.01)

    def __check_init__(self):
        require_numbers(self, "nu")
        require_numbers(self, "strength", zero=True)
        self.force  # noqa: B018  (refuses a bad scale)

    @property
    def components(self) -> tuple[str, ...]:
        return ("u", "w")

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length,)

    @property
    def force(self) -> KernelStart:
        """The law of w at `strength` 1."""
        return KernelStart(self.scale, 32)

    @property
    def fastest(self) -> float:
        return 6 * (self.deviation + self.strength * self.horizon)

    def speed(self, u: Float[Array, "n 2"], grid: Grid) -> Float[Array, ""]:
        return jnp.max(jnp.abs(u[..., 0]))

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n 2"]:
        of_u, of_w = jax.random.split(key)
        return jnp.stack([self.prior(of_u, grid), self.strength * self.force(of_w, grid)], axis=-1)

    def linear(self, u: Pair) -> Pair:
        return self.nu * d(u[0], "x", 2), 0.0 * u[1]  # pyright: ignore[reportReturnType]

    def nonlinear(self, u: Pair) -> Pair:
        return u[1] - d(u[0] * u[0] / 2, "x"), 0.0 * u[1]  # pyright: ignore[reportReturnType]
