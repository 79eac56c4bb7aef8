"""The Gray-Scott reaction-diffusion system."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.fields import AbstractField, GaussianRandomField, Grid, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._periodic import AbstractUnadvected
from pdesurr.types import Key

Pair = tuple[AbstractField, AbstractField]


class GrayScott(AbstractUnadvected):
    """u_t = d_u Lap u - u v^2 + feed (1 - u),  v_t = d_v Lap v + u v^2 - (feed + kill) v on (0, length)^2, periodic.

    Pearson, Science 261 (1993): from the rest state (1, 0), spots and stripes grow where v starts large enough. Records at equal
    intervals. Prior: v = 1/4 and u = 1/2 in blobs where a Gaussian random field of correlation length about length / 6 exceeds one
    deviation, blended smoothly; (1, 0) elsewhere.
    Good values: d_u = 2e-5, d_v = 1e-5, length 2.5, feed .029, kill .057 (Pearson's), 128 nodes an axis, steps of one time unit.
    """

    feed: float | Float[Array, ""] = 0.029
    kill: float | Float[Array, ""] = 0.057
    d_u: float | Float[Array, ""] = 2e-5
    d_v: float | Float[Array, ""] = 1e-5
    length: float = eqx.field(static=True, default=2.5)
    horizon: float = eqx.field(static=True, default=1000.0)
    intervals: int = eqx.field(static=True, default=10)
    history: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=1)
    largest_step: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        require_numbers(self, "feed", "kill", "d_u", "d_v")

    @property
    def components(self) -> tuple[str, ...]:
        return ("u", "v")

    @property
    def lengths(self) -> tuple[float, ...]:
        return (self.length, self.length)

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n n 2"]:
        tau = 6 / self.length
        field = GaussianRandomField(grid, 1.0, tau, 4.0, zero_mean=True)
        g = field(key) / field.mean_square**0.5
        blob = 0.5 * (1 + jnp.tanh(4 * (g - 1)))
        return jnp.concatenate([1 - blob / 2, blob / 4], axis=-1)

    def linear(self, u: Pair) -> Pair:
        u, v = u  # pyright: ignore[reportAssignmentType]
        return self.d_u * laplacian(u, "x", "y") - self.feed * u, self.d_v * laplacian(v, "x", "y") - (self.feed + self.kill) * v  # pyright: ignore

    def nonlinear(self, u: Pair) -> Pair:
        u, v = u  # pyright: ignore[reportAssignmentType]
        reaction = u * v * v  # pyright: ignore[reportOperatorIssue]
        return self.feed - reaction, reaction
