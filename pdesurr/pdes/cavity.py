"""The lid-driven cavity: steady incompressible flow in a closed square."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, ChebyshevBasis, Grid, d, laplacian
from pdesurr.pdes._direct import AbstractDirect, by_nodes
from pdesurr.pdes._inputs import require_numbers
from pdesurr.solvers.newton import newton
from pdesurr.solvers.stream import LidStream
from pdesurr.types import Key

SOLVED = 1e-7  # largest residual, relative to the largest viscous term, that counts as solved


class Cavity(AbstractDirect):
    """u . grad w = Lap w / re on (0, 1)^2, w = v_x - u_y = -Lap psi, (u, v) = (psi_y, -psi_x); no slip on three walls, u = lid(x) at y = 1.

    The map lid -> (psi, u, v), the lid's velocity repeated along y. `re`: Reynolds number of a unit lid. The lid and its slope must
    vanish at the corners, where the flow would be singular: `profile` is (1 - s^p)^2, s = 2 x - 1, p = `flatness`; 2 is the regularised
    cavity of the spectral literature, 16 comes within 0.4 per cent of the extrema of the unit lid at re = 100 (Botella and Peyret,
    Comput. Fluids 27, 1998). Prior: that profile times 1 + `sigma` sum_{k=1..4} xi_k T_k(s) / k, xi normal.

    Reference: Chebyshev collocation of the stream function in a basis that vanishes with its slope at the walls (Trefethen, Spectral
    Methods in MATLAB, program 38), Newton's method, continued in `re` by factors of two from 100. At re = 100 and flatness 2 velocities
    are right to 1e-4 on 16 nodes, 1e-5 on 24. Dense: the work grows like n^6, so 16 to 40 nodes; float64 only. Gradients in the lid and
    `re` are the implicit function's.
    """

    re: float | Float[Array, ""] = 100.0
    flatness: int = eqx.field(static=True, default=2)
    sigma: float = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        if isinstance(self.re, (int, float)):
            require(0 < self.re <= 5000, "re", "a Reynolds number in (0, 5000], where the flow is steady", self.re)
        require(self.flatness >= 2 and self.flatness % 2 == 0, "flatness", "an even whole number >= 2", self.flatness)
        require_numbers(self, "sigma", zero=True)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("lid",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("psi", "u", "v")

    def grid(self, n: int) -> Grid:
        return Grid([ChebyshevBasis(n, 0.0, 1.0)] * 2)

    # The equation.

    def residual(self, psi: AbstractField) -> AbstractField:
        """u . grad w - Lap w / re of a stream function."""
        w = -laplacian(psi, "x", "y")
        return d(psi, "y") * d(w, "x") - d(psi, "x") * d(w, "y") - laplacian(w, "x", "y") / self.re

    # The prior and the reference solution.

    def profile(self, x: Array) -> Array:
        """The lid of the benchmark."""
        return (1 - (2 * x - 1) ** self.flatness) ** 2

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n n 1"]:
        x = jnp.asarray(grid.bases[0].nodes, jnp.result_type(float))
        xi = jax.random.normal(key, (4,), jnp.float32).astype(x.dtype)
        angle = jnp.arccos(jnp.clip(2 * x - 1, -1, 1))
        change = sum((xi[k - 1] / k * jnp.cos(k * angle) for k in range(1, 5)), jnp.zeros_like(x))
        return jnp.broadcast_to((self.profile(x) * (1 + self.sigma * change))[:, None, None], (*grid.shape, 1))

    def check(self, a: Float[Array, "n n 1"], grid: Grid) -> None:
        walls = all(isinstance(b, ChebyshevBasis) and (b.lower, b.upper) == (0.0, 1.0) for b in grid.bases)
        require(grid.ndim == 2 and walls, "grid", "two ChebyshevBasis axes on (0, 1)", grid, "use pde.grid(n)")
        require(a.dtype == jnp.float64, "a", "float64: fourth derivatives lose nine digits", a.dtype, "run under jax.enable_x64(True)")
        if not isinstance(a, Tracer):
            lid = a[:, 0, 0]
            slope = grid.bases[0].derivative(lid, 0)
            corners = float(jnp.max(jnp.abs(jnp.stack([lid[0], lid[-1], slope[0] / 100, slope[-1] / 100]))))
            require(corners <= 1e-3 * float(jnp.max(jnp.abs(lid))), "a", "a lid that vanishes with its slope at the corners", corners)

    def recorded(self, a: Float[Array, "n n 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        psi, right = self._stream(a[:, 0, 0], grid)
        u, v = grid.derivative(psi, "y"), -grid.derivative(psi, "x")
        return {"lid": a[..., 0], "psi": psi, "u": u, "v": v}, right

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(self, key, grid, finer)

    def _stream(self, lid: Float[Array, " n"], grid: Grid) -> tuple[Float[Array, "n n"], Bool[Array, ""]]:
        stream, inner = LidStream(grid), lid[1:-1]
        equation = lambda phi, re: stream.advection(phi, inner) - stream.diffusion(phi, inner) / re  # noqa: E731
        re = jnp.asarray(self.re, lid.dtype)
        stages = 6 if isinstance(self.re, jax.Array) else max(1, 1 + math.ceil(math.log2(float(self.re) / 100)))
        first = jnp.minimum(re, 100.0)
        phi = jnp.zeros((len(inner), grid.shape[1] - 2), lid.dtype) + 0 * inner[:, None]
        for i in range(stages):
            now = first * (re / first) ** (1.0 if stages == 1 else i / (stages - 1))
            phi, residual = newton(lambda p, now=now: equation(p, now), phi, 8 if i == stages - 1 else 4)
        scale = jnp.max(jnp.abs(stream.part(phi, inner, 4, 0))) / re
        return stream.whole(phi, inner), jnp.isfinite(residual) & (residual <= SOLVED * scale)
