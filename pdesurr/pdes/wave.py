"""The wave equation, exact in the eigenfunctions of each axis."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pdesurr.checks import require
from pdesurr.fields import (
    AbstractBasis,
    AbstractField,
    AbstractTrigonometricBasis,
    CosineBasis,
    FourierBasis,
    GaussianRandomField,
    Grid,
    SineBasis,
    UniformBasis,
    d,
    laplacian,
)
from pdesurr.pdes._direct import AbstractExactInTime, by_nodes
from pdesurr.pdes._inputs import require_numbers
from pdesurr.types import Key

Ends = Literal["periodic", "fixed", "free", "mixed"]


class Wave(AbstractExactInTime):
    """u_tt = c^2 Lap u on a box with sides of `length`; the map (u, u_t) at time 0 to both at `intervals` equal times up to `horizon`.

    `c`: speed, length / time, > 0. `ends` names the condition at the two ends of each axis, one word an axis (one to three axes):
    "periodic"; "fixed", u = 0 at both; "free", no slope at both; "mixed", u = 0 at the lower and no slope at the upper end. Nodes are the
    Fourier, sine and cosine basis' own; a mixed axis has cell centres and functions sin((m + 1/2) pi x / length). Each mode turns by
    cos(w t), w = c |k|, so the solution is exact at any time, to rounding, for what the nodes hold; a mean moves by its own velocity.
    Conserved: `energy`, and the equation runs backwards. Prior: u(., 0) = N(0, (-Lap + tau^2)^-gamma) with the axes' conditions, without
    its mean where there is one, scaled to the root mean square `sigma`; u_t = 0, or `velocity` c tau times another such draw.
    """

    c: float | Float[Array, ""] = 1.0
    ends: tuple[Ends, ...] = eqx.field(static=True, default=("periodic",))
    length: float = eqx.field(static=True, default=1.0)
    horizon: float = eqx.field(static=True, default=1.0)
    intervals: int = eqx.field(static=True, default=1)
    sigma: float = eqx.field(static=True, default=1.0)
    tau: float = eqx.field(static=True, default=7.0)
    gamma: float = eqx.field(static=True, default=4.5)
    velocity: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require_numbers(self, "c", "length", "sigma")
        require_numbers(self, "tau", "velocity", zero=True)
        known = get_args(Ends)
        good = isinstance(self.ends, tuple) and 1 <= len(self.ends) <= 3 and all(e in known for e in self.ends)
        require(good, "ends", f"a tuple of one to three of {known}", self.ends)
        require(self.gamma > len(self.ends) / 2, "gamma", "a smoothness > d / 2, so that u0 has pointwise values", self.gamma)

    @property
    def parameters(self) -> dict[str, float]:
        """The problem's numbers; the kind of each axis' ends by its place in ("periodic", "fixed", "free", "mixed")."""
        numbers = ("c", "length", "horizon", "intervals", "sigma", "tau", "gamma", "velocity")
        kinds = {f"ends_{name}": float(get_args(Ends).index(e)) for name, e in zip("xyz", self.ends, strict=False)}
        return {**{n: float(getattr(self, n)) for n in numbers}, **kinds}

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("u", "v")

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("u", "v")

    def grid(self, n: int) -> Grid:
        return Grid([_basis(e, n, self.length) for e in self.ends])

    # The equation.

    def residual(self, u: AbstractField) -> AbstractField:
        """u_tt - c^2 Lap u."""
        return d(u, "t", 2) - self.c**2 * laplacian(u, *("x", "y", "z")[: len(self.ends)])

    # The prior.

    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid 2"]:
        first, second = jax.random.split(key)
        u = self._draw(first, grid)
        v = self._draw(second, grid) * (self.velocity * self.tau) * jnp.asarray(self.c, u.dtype) if self.velocity else jnp.zeros_like(u)
        return jnp.stack([u, v], axis=-1)

    def _draw(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        """On a mixed axis a draw on sines of twice the length, of which the odd ones are symmetric about the free end."""
        mixed = [not isinstance(b, AbstractTrigonometricBasis) for b in grid.bases]
        wide = Grid([SineBasis(2 * b.n, b.lower, b.lower + 2 * b.length) if m else b for b, m in zip(grid.bases, mixed, strict=True)])
        law = GaussianRandomField(wide, 1.0, self.tau, self.gamma, zero_mean=not any(isinstance(b, SineBasis) for b in wide.bases))
        u_hat = law.coefficients(key)
        variances = law.variances * wide.multiplicity()
        for axis, is_mixed in enumerate(mixed):
            if is_mixed:
                odd = (np.arange(1, wide.shape[axis] + 1) % 2).reshape([-1 if i == axis else 1 for i in range(grid.ndim)])
                u_hat, variances = u_hat * jnp.asarray(odd).astype(u_hat.dtype), variances * odd
        u_hat = u_hat * (self.sigma / float(np.sum(variances)) ** 0.5)
        return wide.interpolate(u_hat, grid) if any(mixed) else grid.inverse(u_hat)

    # The reference solution.

    def check(self, a: Float[Array, "*grid 2"], grid: Grid) -> None:
        right = [type(_basis(e, 8, 1.0)) for e in self.ends]
        require([type(b) for b in grid.bases] == right, "grid", f"axes of {[r.__name__ for r in right]}", grid, "use pde.grid(n)")

    def recorded(self, a: Float[Array, "*grid 2"], grid: Grid) -> tuple[dict[str, Array], Bool[Array, ""]]:
        states = jnp.stack([a] + [self.at(a, grid, t) for t in self.record_times[1:]])
        return {"u": states[..., 0], "v": states[..., 1]}, jnp.all(jnp.isfinite(states))

    def certified(self, key: Key, grid: Grid, finer: bool) -> tuple[dict[str, Array], Bool[Array, ""]]:
        return by_nodes(self, key, grid, finer)

    def at(self, a: Float[Array, "*grid 2"], grid: Grid, t: float | Float[Array, ""]) -> Float[Array, "*grid 2"]:
        """(u, u_t) a time `t` after the state `a`, earlier if t < 0."""
        forward, inverse, k = _modes(grid)
        u, v = forward(a[..., 0]), forward(a[..., 1])
        w = jnp.asarray(self.c, a.dtype) * jnp.asarray(k, a.dtype)
        phase = w * jnp.asarray(t, a.dtype)
        still = w == 0
        sine = jnp.where(still, jnp.asarray(t, a.dtype), jnp.sin(phase) / jnp.where(still, 1.0, w))
        cos, sine, back = (m.astype(u.dtype) for m in (jnp.cos(phase), sine, -w * jnp.sin(phase)))
        return jnp.stack([inverse(cos * u + sine * v), inverse(back * u + cos * v)], axis=-1)

    def energy(self, a: Float[Array, "*grid 2"], grid: Grid) -> Float[Array, ""]:
        """The integral of (u_t^2 + c^2 |grad u|^2) / 2, from coefficients: conserved to rounding on any nodes."""
        forward, _, k = _modes(grid)
        u, v = forward(a[..., 0]), forward(a[..., 1])
        c = jnp.asarray(self.c, a.dtype)
        density = jnp.abs(v) ** 2 + (c * jnp.asarray(k, a.dtype)) ** 2 * jnp.abs(u) ** 2
        for axis, basis in enumerate(grid.bases):
            trigonometric = isinstance(basis, AbstractTrigonometricBasis)
            weight = basis.multiplicity(grid.is_half(axis)) if trigonometric else np.full(basis.n, 0.5)
            density = density * jnp.asarray(weight.reshape([-1 if i == axis else 1 for i in range(grid.ndim)]), density.dtype)
        return grid.volume / 2 * jnp.sum(density)


class _Modes(NamedTuple):
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    k: np.ndarray  # |k| of every mode


def _basis(ends: Ends, n: int, length: float) -> AbstractBasis:
    makers = {"periodic": FourierBasis, "fixed": SineBasis, "free": CosineBasis}
    return makers[ends](n, 0.0, length) if ends in makers else UniformBasis(n, 0.0, length, "cells")


def _modes(grid: Grid) -> _Modes:
    """Values to amplitudes of the Laplacian's eigenfunctions, back, and their wavenumbers. Real transforms first, Fourier axes last."""
    order = sorted(reversed(range(grid.ndim)), key=lambda i: isinstance(grid.bases[i], FourierBasis))
    squares: list[np.ndarray] = []
    for axis, b in enumerate(grid.bases):
        k = b.wavenumbers(grid.is_half(axis)) if isinstance(b, AbstractTrigonometricBasis) else np.pi / b.length * (np.arange(b.n) + 0.5)
        squares.append((k**2).reshape([-1 if i == axis else 1 for i in range(grid.ndim)]))

    def quarter(u: Array, axis: int) -> Array:
        """Its own inverse but for the factor n / 2: u at cell centres is sum_m u_m sin((m + 1/2) pi x / length)."""
        j = np.arange(grid.shape[axis]) + 0.5
        matrix = jnp.asarray(np.sin(np.pi * np.outer(j, j) / grid.shape[axis]), u.dtype)
        return jnp.moveaxis(jnp.tensordot(matrix, u, ((1,), (axis,)), precision="highest"), 0, axis)

    def forward(u: Array) -> Array:
        for i in order:
            b = grid.bases[i]
            u = b.transform(u, i) if isinstance(b, AbstractTrigonometricBasis) else quarter(u, i) * (2 / b.n)
        return u

    def inverse(u: Array) -> Array:
        for i in reversed(order):
            b = grid.bases[i]
            u = b.inverse(u, i, grid.is_half(i)) if isinstance(b, AbstractTrigonometricBasis) else quarter(u, i)
        return u

    return _Modes(forward, inverse, np.sqrt(sum(squares)))
