"""Flow mixing: a front wound up by a vortex, exact along streamlines."""


import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, ChebyshevBasis, GaussianRandomField, Grid, SineBasis, d, known
from pdesurr.pdes._direct import AbstractExactInTime, by_nodes
from pdesurr.pdes._inputs import require_numbers
from pdesurr.types import Key


class FlowMixing(AbstractExactInTime):
    """u_t + a u_x + b u_y = 0 on (-4, 4)^2, (a, b) = omega (-y, x), omega(r) = sech(r)^2 tanh(r) / (`v_max` r); the map from u at time 0
    to u at `intervals` equal times up to `horizon`.

    Every point turns about the origin by omega(r) t, so u(t, x, y) = u(0, x', y') with (x', y') = (x cos + y sin, y cos - x sin)(omega
    t): exact. The benchmark starts at -tanh(y / 2), hence -tanh((y cos omega t - x sin omega t) / 2) (Tamamidis and Assanis, Int. J.
    Numer. Meth. Fluids 16, 1993; PIG, ICLR 2025, where v_max = 0.385 and t <= 4). Corners are fed from outside the box: there the
    benchmark's start stands. Prior: it plus `sigma` times a Gaussian field of variance about 1 that vanishes on the walls and outside.

    A start is evaluated between the nodes by its grid's own expansion, exactly for what the nodes hold: 28 nodes an axis hold the prior
    to 1e-7. Gradients of u grow in proportion to t. Conserved: every streamline's values, so the maximum.
    """

    v_max: float = eqx.field(static=True, default=0.385)
    horizon: float = eqx.field(static=True, default=4.0)
    intervals: int = eqx.field(static=True, default=1)
    sigma: float = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        require_numbers(self, "v_max")
        require_numbers(self, "sigma", zero=True)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("u",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u",)

    def grid(self, n: int) -> Grid:
        return Grid([ChebyshevBasis(n, -4.0, 4.0)] * 2)

    # The equation.

    def omega(self, x: Array, y: Array) -> Array:
        """The angular velocity at a point, finite at the origin and differentiable everywhere."""
        square = x * x + y * y
        near = square < 1e-8
        r = jnp.sqrt(jnp.where(near, 1.0, square))
        return jnp.where(near, 1.0, jnp.tanh(r) / jnp.cosh(r) ** 2 / r) / self.v_max

    def residual(self, u: AbstractField) -> AbstractField:
        """u_t + a u_x + b u_y."""
        a = known(u, lambda x, y: -y * self.omega(x, y), "x", "y")
        b = known(u, lambda x, y: x * self.omega(x, y), "x", "y")
        return d(u, "t") + a * d(u, "x") + b * d(u, "y")

    def back(self, t: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """Where the point (x, y) was a time `t` ago."""
        angle = self.omega(x, y) * t
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return x * cos + y * sin, y * cos - x * sin

    def exact(self, t: Array, x: Array, y: Array) -> Array:
        """The benchmark solution."""
        return -jnp.tanh(self.back(t, x, y)[1] / 2)

    # The prior and the reference solution.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n m 1"]:
        _, y = jnp.moveaxis(jnp.asarray(grid.nodes, jnp.result_type(float)), -1, 0)
        law = GaussianRandomField(Grid([SineBasis(8, b.lower, b.upper) for b in grid.bases]), 1.0, 1.0, 3.0)
        w = law.grid.interpolate(law.coefficients(key), grid) * (self.sigma / law.mean_square**0.5)
        return (-jnp.tanh(y / 2) + w.astype(y.dtype))[..., None]

    def check(self, a: Float[Array, "n m 1"], grid: Grid) -> None:
        box = all(isinstance(b, ChebyshevBasis) and (b.lower, b.upper) == (-4.0, 4.0) for b in grid.bases)
        require(grid.ndim == 2 and box, "grid", "two ChebyshevBasis axes on (-4, 4)", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "n m 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes, a.dtype), -1, 0)
        departure = grid.transform(a[..., 0] + jnp.tanh(y / 2))

        def at(t: Array) -> Array:
            p, q = self.back(t, x, y)
            inside = (jnp.abs(p) <= 4) & (jnp.abs(q) <= 4)
            points = jnp.stack([jnp.where(inside, p, 0.0).ravel(), jnp.where(inside, q, 0.0).ravel()], axis=-1)
            w = grid.evaluate(departure, points).reshape(grid.shape)
            return jnp.where(inside, w, 0.0) - jnp.tanh(q / 2)

        later = jax.lax.map(at, jnp.asarray(self.record_times[1:], a.dtype))
        return {"u": jnp.concatenate([a[None, ..., 0], later])}, jnp.all(jnp.isfinite(later))

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(self, key, grid, finer)
