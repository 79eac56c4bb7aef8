"""Diffusion that grows with what diffuses: the porous medium equation with exponent 2."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractField, Grid, UniformBasis, d
from pdesurr.pdes._direct import AbstractExactInTime
from pdesurr.pdes._inputs import require_numbers
from pdesurr.solvers import trajectory
from pdesurr.solvers.diffrax_bridge import adaptive, begin
from pdesurr.types import Key

TOLERANCES = {"float64": (1e-8, 1e-10), "float32": (1e-5, 1e-6)}


class NonlinearDiffusion(AbstractExactInTime):
    """u_t = alpha div(u grad u) = alpha Lap(u^2) / 2 on (-1, 1)^2, u = 0 on the walls, u >= 0; the map u(., 0) -> u at `intervals` equal
    times up to `horizon`.

    `alpha`: diffusivity per unit of u, > 0. Where u = 0 nothing diffuses, so fronts move at a finite speed and have a kink. Prior: `bumps`
    Gaussian bumps, heights uniform in (0.2, 0.4), centres in (-0.5, 0.5)^2, exp(-s r^2) with s in (10, 30). `benchmark` is the one start of
    SPINN (NeurIPS 2023) and PIG (ICLR 2025) with alpha = 0.05; the reference that those share is off by 7e-4.

    Reference: finite volumes in u^2 on cells `refinement` times smaller (odd, so that cell centres stay), conservative. The relative error
    of the benchmark is about h^2, h = 2 / (nodes times refinement): 5e-5 for 100 and 3, 5e-4 without; at a kink it is first order. In
    time Diffrax's adaptive 5(4) pair, whose error is far smaller. Its steps are limited by stability, h^2 / (2 alpha max u): some hundred
    at 100 nodes. Without walls in reach the integral of u is conserved; its maximum never grows. A sample whose steps run out, or that
    falls below -1e-3, counts as not right.
    """

    alpha: float | Float[Array, ""] = 0.05
    bumps: int = eqx.field(static=True, default=3)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    refinement: int = eqx.field(static=True, default=3)

    def __check_init__(self):
        require_numbers(self, "alpha")
        require(self.refinement >= 1 and self.refinement % 2 == 1, "refinement", "an odd whole number >= 1", self.refinement)
        require(self.bumps >= 1, "bumps", "a whole number >= 1", self.bumps)

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("u",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u",)

    def grid(self, n: int) -> Grid:
        return Grid([UniformBasis(n, -1.0, 1.0, "cells")] * 2)

    # The equation.

    def residual(self, u: AbstractField) -> AbstractField:
        """u_t - alpha div(u grad u)."""
        return d(u, "t") - self.alpha * (d(u * d(u, "x"), "x") + d(u * d(u, "y"), "y"))

    # The prior.

    @staticmethod
    def benchmark(x: Array, y: Array) -> Array:
        """The start of SPINN and PIG."""
        first = jnp.exp(-((x - 0.3) ** 2 + (y - 0.2) ** 2) / 0.1) / 4
        return first + 0.4 * jnp.exp(-15 * ((x + 0.5) ** 2 + (y + 0.1) ** 2)) + 0.3 * jnp.exp(-20 * (x**2 + (y + 0.5) ** 2))

    def sample(self, key: Key, grid: Grid) -> Float[Array, "n m 1"]:
        x, y = jnp.moveaxis(jnp.asarray(grid.nodes, jnp.result_type(float)), -1, 0)
        draw = jax.random.uniform(key, (self.bumps, 4), jnp.float32).astype(x.dtype)
        height, px, py, s = 0.2 + 0.2 * draw[:, 0], draw[:, 1] - 0.5, draw[:, 2] - 0.5, 10 + 20 * draw[:, 3]
        one = lambda i: height[i] * jnp.exp(-s[i] * ((x - px[i]) ** 2 + (y - py[i]) ** 2))  # noqa: E731
        return sum((one(i) for i in range(self.bumps)), jnp.zeros_like(x))[..., None]

    def barenblatt(self, t: Array | float, x: Array, y: Array, mass: float = 0.1) -> Array:
        """The self-similar solution s^(-1/2) max(mass - r^2 / (16 s^(1/2)), 0), s = alpha t / 2: exact while its front, at
        r^2 = 16 mass s^(1/2), has not reached the walls (Barenblatt 1952; Vazquez, The Porous Medium Equation, 2007)."""
        root = jnp.sqrt(jnp.asarray(self.alpha * t / 2, x.dtype))
        return jnp.maximum(mass - (x * x + y * y) / (16 * root), 0.0) / root

    # The reference solution.

    def check(self, a: Float[Array, "n m 1"], grid: Grid) -> None:
        cells = all(isinstance(b, UniformBasis) and (b.ends, b.lower, b.upper) == ("cells", -1.0, 1.0) for b in grid.bases)
        require(grid.ndim == 2 and cells, "grid", "two axes of cells on (-1, 1)", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "n m 1"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        """On the nodes of `a` themselves, without refinement: nothing is known between them."""
        u, right = self.evolve(a[..., 0], grid)
        return {"u": u}, right

    def evolve(self, u: Float[Array, "n m"], grid: Grid) -> tuple[Float[Array, "time n m"], Bool[Array, ""]]:
        """u at `record_times` by finite volumes on this grid, and whether all steps reached their end."""
        scale = [jnp.asarray(self.alpha, u.dtype) / (2 * (b.length / b.n) ** 2) for b in grid.bases]

        def rate(v: Array) -> Array:
            square, total = v * jnp.abs(v), jnp.zeros_like(v)
            for axis, s in enumerate(scale):  # walls are half a cell away, where u = 0: a ghost cell of the opposite sign
                first, last = (jnp.take(square, np.array([i]), axis=axis) for i in (0, v.shape[axis] - 1))
                total = total + s * jnp.diff(jnp.concatenate([-first, square, -last], axis=axis), n=2, axis=axis)
            return total

        rtol, atol = TOLERANCES[u.dtype.name]
        gap = self.horizon / self.intervals
        most = 4096 + math.ceil(gap * max(grid.shape) ** 2 / 4)
        later, right = trajectory(adaptive(rate, gap, rtol=rtol, atol=atol, most=most), self.intervals)(begin(u))
        states = jnp.concatenate([u[None], later])
        return states, right[-1] & (jnp.min(states) > -1e-3)

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        factor = self.refinement + (2 if finer else 0)
        fine = grid.with_shape(*(factor * n for n in grid.shape))
        u, right = self.evolve(self.sample(key, fine)[..., 0], fine)
        keep = slice(factor // 2, None, factor)
        return {"u": u[:, keep, keep]}, right
