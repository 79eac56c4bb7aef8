"""The Poisson equation with a conductivity that depends on the solution."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, ChebyshevBasis, Grid, applied, d, known
from pdesurr.pdes._direct import AbstractDirect, by_nodes
from pdesurr.pdes._inputs import require_numbers
from pdesurr.solvers.newton import newton
from pdesurr.types import Key

ITERATIONS = 12  # of Newton's method: residuals at rounding for all draws of the prior


class QuasilinearPoisson(AbstractDirect):
    """-(k u')' = w on (-1, 1), u(-1) = u(1) = 0, k(u, x) = log(1 + exp(u c(x))) + floor; the map (c, w) -> u.

    Prior: c = sum_i z_i T_i(x) with `terms` Chebyshev coefficients z_i uniform in (-1, 1), and w constant, uniform in (1, 2): the problem
    of random grid neural processes (Vadeboncoeur et al., 2023), whose z are to be found from u. Reference: Newton's method on
    Chebyshev nodes. Good values: 48 nodes, on which the error is below 1e-7.
    """

    floor: float | Float[Array, ""] = 0.1
    terms: int = eqx.field(static=True, default=5)

    def __check_init__(self):
        require_numbers(self, "floor")
        require(self.terms >= 1, "terms", "a whole number >= 1", self.terms)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("c", "w")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u",)

    def grid(self, n: int) -> Grid:
        return Grid([ChebyshevBasis(n)])

    # The equation.

    def residual(self, u: AbstractField, c: AbstractField, w: AbstractField) -> AbstractField:
        """-(k u')' - w."""
        k = applied(jax.nn.softplus, u * c) + self.floor
        return -d(k * d(u, "x"), "x") - w

    def residual_of_numbers(self, u: AbstractField, z: Float[Array, " terms"], w: Float[Array, " 1"]) -> AbstractField:
        """The same with c = sum_i z_i T_i and w constant."""
        return self.residual(u, known(u, lambda x: self.coefficient(z, x), "x"), known(u, lambda x: w[0] + 0 * x, "x"))

    @staticmethod
    def coefficient(z: Float[Array, " terms"], x: Float[Array, "..."]) -> Float[Array, "..."]:
        """c(x) = sum_i z_i T_i(x)."""
        last, now, total = jnp.zeros_like(x), jnp.ones_like(x), jnp.zeros_like(x)
        for i in range(z.size):  # by recurrence: the cosine of an arc cosine has no derivative at the ends
            total = total + z[i].astype(x.dtype) * now
            last, now = now, (2 * x * now - last) if i else x
        return total

    # The prior and the reference solution.

    def numbers(self, key: Key) -> dict[str, Float[Array, " n"]]:
        """z and w of one sample."""
        z_key, w_key = jax.random.split(key)
        z = jax.random.uniform(z_key, (self.terms,), minval=-1, maxval=1)
        return {"z": z, "w": jax.random.uniform(w_key, (1,), minval=1, maxval=2)}

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n 2"]:
        x = jnp.asarray(grid.bases[0].nodes, jnp.result_type(float))
        p = self.numbers(key)
        return jnp.stack([self.coefficient(p["z"], x), jnp.broadcast_to(p["w"], x.shape)], axis=-1)

    def check(self, a: Float[Array, "n 2"], grid: Grid) -> None:
        basis = grid.bases[0]
        walls = isinstance(basis, ChebyshevBasis) and (basis.lower, basis.upper) == (-1.0, 1.0)
        require(grid.ndim == 1 and walls, "grid", "one ChebyshevBasis axis on (-1, 1)", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "n 2"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        c, w = a[..., 0], a[..., 1]
        whole = lambda v: jnp.pad(v, 1)  # noqa: E731

        def equation(v: Array) -> Array:
            u = whole(v)
            k = jax.nn.softplus(u * c) + self.floor
            return -(grid.derivative(k * grid.derivative(u, "x"), "x") + w)[1:-1]

        v, gap = newton(equation, jnp.zeros_like(w[1:-1]), ITERATIONS)
        tolerance = 1e3 * jnp.finfo(w.dtype).eps * grid.shape[0] ** 2
        return {"c": c, "w": w, "u": whole(v)}, gap <= tolerance * (1 + jnp.max(jnp.abs(w)))

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(self, key, grid, finer)
