"""The Poisson equation with a cubic term, which is the minimum of an energy."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, CosineBasis, Grid, d, laplacian
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._source import AbstractSource
from pdesurr.solvers import fast_helmholtz
from pdesurr.solvers.elliptic import conjugate_gradients
from pdesurr.types import Key

NEWTON, CG = 14, 20  # steps; enough for residuals at rounding on all draws of the prior tried up to an amplitude of 100


class NonlinearPoisson(AbstractSource):
    """-Lap u + u^3 = f on (0, 1)^dimension without flux through the walls; the map f -> u.

    u minimises the integral of `energy_density` over all functions, the walls' condition being the natural one: what a Ritz method
    trains against. The integral is strictly convex, so there is one solution. Prior of f: `amplitude` times a smooth Gaussian process
    (see `KernelField`). Reference: Newton's method on cosine axes with conjugate gradients, 1 to 3 axes. An f of
    the prior has slopes at the walls, which cosines do not: the error falls like 1 / n^2 (about 2e-4 on 32 nodes an axis, 5e-5 on 64). The
    equation itself may have any number of axes.
    """

    dimension: int = eqx.field(static=True, default=2)
    amplitude: float = eqx.field(static=True, default=10.0)
    scale: float = eqx.field(static=True, default=0.3)
    modes: int = eqx.field(static=True, default=12)

    def __check_init__(self):
        require(self.dimension >= 1, "dimension", "a whole number >= 1", self.dimension)
        require_numbers(self, "amplitude")

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("f",)

    @property
    def names(self) -> tuple[str, ...]:
        """The axes: x, y, z, or x1, x2, ... where there are more than three."""
        return ("x", "y", "z")[: self.dimension] if self.dimension <= 3 else tuple(f"x{i + 1}" for i in range(self.dimension))

    def grid(self, n: int) -> Grid:
        require(self.dimension <= 3, "dimension", "1 to 3 for a grid and the reference solver", self.dimension)
        return Grid([CosineBasis(n, 0.0, 1.0)] * self.dimension)

    # The equation.

    def residual(self, u: AbstractField, f: AbstractField) -> AbstractField:
        """-Lap u + u^3 - f."""
        return -laplacian(u, *self.names) + u**3 - f

    def energy_density(self, u: AbstractField, f: AbstractField) -> AbstractField:
        """|grad u|^2 / 2 + u^4 / 4 - f u."""
        slopes = [d(u, name) ** 2 for name in self.names]
        return sum(slopes[1:], slopes[0]) / 2 + u**4 / 4 - f * u

    @staticmethod
    def exact(*x: Array) -> Array:
        """The mean of cos(pi x_i) over the axes."""
        return sum((jnp.cos(jnp.pi * v) for v in x[1:]), jnp.cos(jnp.pi * x[0])) / len(x)

    @classmethod
    def source(cls, *x: Array) -> Array:
        """The f whose solution is `exact`."""
        u = cls.exact(*x)
        return jnp.pi**2 * u + u**3

    # The prior and the reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid 1"]:
        return self.amplitude * self.prior(key, grid)[..., None]

    def check(self, a: Float[Array, "*grid 1"], grid: Grid) -> None:
        unit = all(isinstance(b, CosineBasis) and (b.lower, b.upper) == (0.0, 1.0) for b in grid.bases)
        require(grid.ndim == self.dimension and unit, "grid", f"{self.dimension} CosineBasis axes on (0, 1)", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "*grid 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        f = a[..., 0]
        u, gap = newton_krylov(f, grid)
        return {"f": f, "u": u}, gap <= 1e-3 * jnp.max(jnp.abs(f)) + jnp.finfo(f.dtype).tiny


def newton_krylov(f: Float[Array, "*grid"], grid: Grid) -> tuple[Float[Array, "*grid"], Float[Array, ""]]:
    """(u, max |-Lap u + u^3 - f|) at the nodes. Differentiable in f by the implicit function theorem."""

    def equation(u: Array) -> Array:
        return u**3 - f - sum(grid.derivative(u, name, 2) for name in grid.names)

    def linear_solve(linear: Callable[[Array], Array], b: Array) -> Array:
        """`linear` is -Lap v + 3 u^2 v, and near it is the same with 3 u^2 averaged, which is its mean on a constant."""
        near = fast_helmholtz(grid, -jnp.maximum(lax.stop_gradient(jnp.mean(linear(jnp.ones_like(b)))), 1e-3))
        return conjugate_gradients(linear, b, lambda r: -near(r), CG)

    def solve(g: Callable[[Array], Array], u: Array) -> Array:
        return lax.scan(lambda v, _: (v - linear_solve(jax.linearize(g, v)[1], g(v)), None), u, None, length=NEWTON)[0]

    u = lax.custom_root(equation, lax.stop_gradient(-fast_helmholtz(grid, -1.0)(f)), solve, linear_solve)
    return u, jnp.max(jnp.abs(equation(u)))
