"""The priors that equations here share: a Gaussian random field or a smooth kernel's, for each component."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import AbstractBasis, ChebyshevBasis, FourierBasis, GaussianRandomField, Grid
from pdesurr.pdes._inputs import require_numbers
from pdesurr.pdes._law import AbstractLaw
from pdesurr.pdes._periodic import AbstractPeriodicEvolution
from pdesurr.types import Key


class AbstractStart(AbstractLaw):
    """The law of a periodic state without its mean, the same at every point."""

    @abc.abstractmethod
    def deviation(self, grid: Grid) -> float:
        """The standard deviation of what a grid holds of it."""


class GaussianStart(AbstractStart):
    """N(0, sigma^2 (-Lap + tau^2)^-gamma) without its mean; gamma > d / 2, so that states have pointwise values."""

    sigma: float = eqx.field(static=True)
    tau: float = eqx.field(static=True)
    gamma: float = eqx.field(static=True)

    def __check_init__(self):
        require_numbers(self, "sigma", "gamma")
        require_numbers(self, "tau", zero=True)

    def field(self, grid: Grid) -> GaussianRandomField:
        require(self.gamma > grid.ndim / 2, "gamma", "a smoothness > d / 2, so that states have pointwise values", self.gamma)
        return GaussianRandomField(grid, self.sigma, self.tau, self.gamma, zero_mean=True)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        return self.field(grid)(key)[..., 0]

    def deviation(self, grid: Grid) -> float:
        return self.field(grid).mean_square ** 0.5


class KernelStart(AbstractStart):
    """`KernelField` on `modes` nodes an axis, without its mean: Neural Spectral Methods' Navier-Stokes problems have 0.8 and 64."""

    scale: float = eqx.field(static=True, default=0.8)
    modes: int = eqx.field(static=True, default=64)

    def __check_init__(self):
        self.field  # noqa: B018  (refuses a bad scale or modes)

    @property
    def field(self) -> "KernelField":
        return KernelField(self.scale, self.modes)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        u = self.field(key, grid)
        return u - jnp.mean(u)

    def deviation(self, grid: Grid) -> float:
        """The kernel is 1 at no distance; the mean over the box has the kernel's mean as variance."""
        return (1 - math.prod(float(np.mean(self.field.covariance(b))) for b in grid.bases)) ** 0.5


class AbstractRandomStart(AbstractPeriodicEvolution):
    """Every component starts at an independent draw of the law `prior`."""

    prior: eqx.AbstractVar[AbstractStart]

    @property
    def deviation(self) -> float:
        """The prior's standard deviation, the same at every point."""
        return self.prior.deviation(self.grid(64))

    def sample(self, key: Key, grid: Grid) -> Float[Array, "*grid c"]:
        count = len(self.components)
        keys = [key] if count == 1 else list(jax.random.split(key, count))
        return jnp.stack([self.prior(k, grid) for k in keys], axis=-1)


class KernelField(eqx.Module):
    """A Gaussian process of mean 0 and variance 1 on a few nodes of each axis, continued by their basis: smooth, band-limited, and the
    same function at every resolution.

    On a Fourier axis of length L the kernel is exp(-sin^2(pi (x - y) / L) / (2 scale^2)), on any other exp(-(x - y)^2 / (2 (scale L)^2))
    on Chebyshev nodes. `field(key, grid) -> (*grid,)`; `modes` nodes an axis. The law of Du, Chalapathi and Krishnapriyan (Neural
    Spectral Methods, ICLR 2024), with scale = 0.2 and 16 nodes. Needs smooth kernels: below scale = 1 / modes the nodes miss it.
    """

    scale: float = eqx.field(static=True, default=0.2)
    modes: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        require(isinstance(self.modes, int) and self.modes >= 4, "modes", "a number of nodes >= 4", self.modes)
        good = math.isfinite(self.scale) and self.scale * self.modes >= 1
        require(good, "scale", f"a finite correlation length >= 1 / modes = {1 / self.modes:.3g}", self.scale)

    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]:
        kind = lambda b: FourierBasis if isinstance(b, FourierBasis) else ChebyshevBasis  # noqa: E731
        nodes = Grid([kind(b)(self.modes, b.lower, b.upper) for b in grid.bases], grid.names)
        u = jax.random.normal(key, nodes.shape, jnp.float32).astype(jnp.result_type(float))
        for axis, basis in enumerate(nodes.bases):
            u = jnp.moveaxis(jnp.tensordot(jnp.asarray(self._root(basis), u.dtype), u, ((1,), (axis,)), precision="highest"), 0, axis)
        return nodes.interpolate(nodes.transform(u), grid)

    def covariance(self, basis: AbstractBasis) -> Float[np.ndarray, "n n"]:
        """The kernel between the nodes of one axis; that of a product of axes is the product of theirs."""
        gap = (basis.nodes[:, None] - basis.nodes) / basis.length
        square = np.sin(np.pi * gap) ** 2 if basis.periodic else gap**2
        return np.exp(-square / (2 * self.scale**2))

    def _root(self, basis: AbstractBasis) -> Float[np.ndarray, "n n"]:
        """The symmetric square root of one axis' covariance."""
        values, vectors = np.linalg.eigh(self.covariance(basis))
        return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
