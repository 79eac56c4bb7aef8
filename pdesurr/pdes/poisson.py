"""The Poisson equation."""

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, ChebyshevBasis, FourierBasis, Grid, SineBasis, SpectralField, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._source import AbstractSource
from pdesurr.solvers import fast_helmholtz
from pdesurr.types import Key

BALANCED = 1e-5  # how far from zero, relative to its maximum, rounding in float32 may leave a mean


class Poisson(AbstractSource):
    """-Lap u = s on (0, length)^dimension; the map s -> u.

    `walls` = False: periodic, s and u without their means, on Fourier axes. `walls` = True: u = 0 on the walls, on Chebyshev axes.
    `solve` reads the grid's own bases, so sine (u = 0) and cosine (no slope) axes, and mixtures, are solved too. Exact to rounding for
    what the nodes hold: an analytic s converges exponentially. With walls u has weak singularities (r^2 log r) at corners where s is not
    zero: relative errors of 4e-6 at 17 nodes, 1e-7 at 33, 5e-9 at 65. `scale` and `modes`: the Gaussian processes of Neural Spectral
    Methods (Du et al., ICLR 2024), which draw on 16 nodes an axis.
    """

    walls: bool = eqx.field(static=True, default=False)
    dimension: int = eqx.field(static=True, default=2)
    length: float = eqx.field(static=True, default=1.0)
    scale: float = eqx.field(static=True, default=0.2)
    modes: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        require(self.dimension in (1, 2, 3), "dimension", "1, 2 or 3", self.dimension)
        require_numbers(self, "length")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("s",)

    def grid(self, n: int) -> Grid:
        basis = ChebyshevBasis if self.walls else FourierBasis
        return Grid([basis(n, 0.0, self.length)] * self.dimension)

    # The equation.

    def residual(self, u: AbstractField, s: AbstractField) -> AbstractField:
        """-Lap u - s."""
        return -laplacian(u, *("x", "y", "z")[: self.dimension]) - s

    def correction(self, u: Float[Array, "*grid 1"], s: Float[Array, "*grid 1"], grid: Grid) -> Float[Array, "*grid 1"]:
        """The solution minus u: the direct solver on the residual, at the price of a solve."""
        read = lambda v: SpectralField(grid, nodal=v[..., 0], dealias=1.0)  # noqa: E731
        return fast_helmholtz(grid)(self.residual(read(u), read(s)).values)[..., None]  # pyright: ignore[reportAttributeAccessIssue]

    # The prior and the reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid 1"]:
        s = self.prior(key, grid)
        return (s if self.walls else s - jnp.mean(s))[..., None]

    def check(self, a: Float[Array, "*grid 1"], grid: Grid) -> None:
        require(grid.ndim == self.dimension, "grid", f"{self.dimension} axes", grid.ndim)
        require(grid.spectral, "grid", "spectral bases", grid, "use pde.grid(n)")
        if not isinstance(a, Tracer) and not any(isinstance(b, (ChebyshevBasis, SineBasis)) for b in grid.bases):
            excess = float(jnp.abs(jnp.mean(a))) / max(float(jnp.max(jnp.abs(a))), 1e-300)
            require(excess <= BALANCED, "s", "a right side of mean zero, since without a wall that holds u nothing else has a solution",
                    f"a mean of {excess:.1e} times its maximum", "subtract it: s - jnp.mean(s)")

    def recorded(self, a: Float[Array, "*grid 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        u = fast_helmholtz(grid)(-a[..., 0])
        return {"s": a[..., 0], "u": u}, jnp.all(jnp.isfinite(u))
