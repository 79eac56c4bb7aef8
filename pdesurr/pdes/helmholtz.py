"""The Helmholtz equation between walls."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, ChebyshevBasis, Grid, laplacian
from pdesurr.pdes._source import AbstractSource
from pdesurr.solvers import fast_helmholtz
from pdesurr.types import Key

CLEAR = 1e-6  # how far, relative to itself, the square of k must stay from an eigenvalue


class Helmholtz(AbstractSource):
    """Lap u + k^2 u = f on (-1, 1)^2, u = 0 on the walls; the map f -> u.

    `k`: wavenumber >= 0. At k^2 = (m^2 + n^2) pi^2 / 4 with whole m, n >= 1 there is no solution, and a concrete `k` closer to one than
    1e-6 of it is refused; a traced `k` is not checked. Exact to rounding for what the nodes hold (an analytic f converges
    exponentially once there are pi nodes a wavelength; corners where f is not zero cost what they cost `Poisson`). The benchmark of
    PINN papers has k = 1 and u = sin(a1 pi x) sin(a2 pi y), (a1, a2) = (1, 4) (Wang, Teng and Perdikaris, SIAM J. Sci. Comput. 43,
    2021) or (10, 10) (Kang et al., PIG, ICLR 2025): `exact` and `source`. Prior of f: a smooth Gaussian process (see
    `KernelField`).
    """

    k: float | Float[Array, ""] = 1.0
    scale: float = eqx.field(static=True, default=0.2)
    modes: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        if isinstance(self.k, (int, float)):
            require(math.isfinite(self.k) and self.k >= 0, "k", "a wavenumber >= 0", self.k)
            far = distance_to_spectrum(float(self.k) ** 2)
            require(far > CLEAR, "k", "a k^2 away from the eigenvalues (m^2 + n^2) pi^2 / 4 of -Lap, where there is no solution", self.k,
                    f"the nearest is {far:.1e} of k^2 away")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("f",)

    def grid(self, n: int) -> Grid:
        return Grid([ChebyshevBasis(n)] * 2)

    # The equation.

    def operator(self, u: AbstractField) -> AbstractField:
        """Lap u + k^2 u."""
        return laplacian(u, "x", "y") + self.k**2 * u

    def residual(self, u: AbstractField, f: AbstractField) -> AbstractField:
        """Lap u + k^2 u - f."""
        return self.operator(u) - f

    @staticmethod
    def exact(x: Array, y: Array, a1: int = 1, a2: int = 4) -> Array:
        """sin(a1 pi x) sin(a2 pi y)."""
        return jnp.sin(a1 * jnp.pi * x) * jnp.sin(a2 * jnp.pi * y)

    def source(self, x: Array, y: Array, a1: int = 1, a2: int = 4) -> Array:
        """The f whose solution is `exact`."""
        return (self.k**2 - (a1**2 + a2**2) * jnp.pi**2) * self.exact(x, y, a1, a2)

    # The prior and the reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n m 1"]:
        return self.prior(key, grid)[..., None]

    def check(self, a: Float[Array, "n m 1"], grid: Grid) -> None:
        walls = all(isinstance(b, ChebyshevBasis) and (b.lower, b.upper) == (-1.0, 1.0) for b in grid.bases)
        require(grid.ndim == 2 and walls, "grid", "two ChebyshevBasis axes on (-1, 1)", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "n m 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        u = fast_helmholtz(grid, self.k**2)(a[..., 0])
        return {"f": a[..., 0], "u": u}, jnp.all(jnp.isfinite(u))


def distance_to_spectrum(square: float) -> float:
    """The least |1 - (m^2 + n^2) pi^2 / (4 square)| over whole m, n >= 1; infinite at 0."""
    if square == 0:
        return math.inf
    m = np.arange(1, 3 + math.ceil(2 * math.sqrt(square) / math.pi)) ** 2
    return float(np.min(np.abs(1 - (m[:, None] + m) * math.pi**2 / 4 / square)))
