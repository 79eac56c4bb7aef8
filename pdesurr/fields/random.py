"""Gaussian random fields with periodic, Dirichlet and Neumann ends, drawn as coefficients; pointwise maps of a field."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from pdesurr.checks import require
from pdesurr.fields._basis import along
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.grid import Grid
from pdesurr.fields.trigonometric import SineBasis
from pdesurr.types import Key


class GaussianRandomField(eqx.Module):
    """N(0, sigma^2 (-Lap + tau^2)^(-gamma)) on the box of a grid, in any dimension, the Laplacian with the conditions that the
    grid's bases stand for: a Fourier axis is periodic, a sine axis Dirichlet (zero at the walls), a cosine axis Neumann.

    u = sum_k sqrt(lambda_k / V) xi_k e_k with lambda_k = sigma^2 (|k|^2 + tau^2)^(-gamma), V the box's volume and e_k the
    Laplacian's real eigenfunctions of mean square 1: products of cos and sin (times sqrt 2), 1 or sqrt 2 cos, sqrt 2 sin. Each
    mode's normal deviate is a function of the key and the mode alone, so one key gives the same function at every resolution,
    up to the modes the grid holds (a Fourier axis's Nyquist mode is left out). It is smooth enough for pointwise values if
    gamma > d/2. Source: Kovachki et al., JMLR 24(89), section 6; the convention is checked by std(u) = 1.118 for sigma = 25,
    tau = 5, gamma = 2 on (0, 2 pi).

    `zero_mean` leaves out the constant mode, which exists where no axis is a sine one. Draw with `field(key) -> (*grid, 1)`;
    values on other nodes (walls included) with `field.coefficients(key)` and `Grid.interpolate` or `Grid.evaluate`.
    """

    grid: Grid
    sigma: float = eqx.field(static=True)
    tau: float = eqx.field(static=True)
    gamma: float = eqx.field(static=True)
    zero_mean: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        require(self.grid.trigonometric, "grid", "a FourierBasis, SineBasis or CosineBasis on every axis", self.grid)
        require(self.sigma > 0, "sigma", "a number > 0", self.sigma)
        require(self.has_constant or not self.zero_mean, "zero_mean", "False on a grid with a sine axis, which has no constant mode",
                self.zero_mean)
        require(self.tau >= 0 and (self.tau > 0 or self.zero_mean or not self.has_constant), "tau",
                "a number > 0 (0 only with zero_mean, or on a grid with a sine axis)", self.tau)

    @property
    def has_constant(self) -> bool:
        """Whether the constant is one of the modes."""
        return not any(isinstance(b, SineBasis) for b in self.grid.bases)

    @property
    def variances(self) -> Float[np.ndarray, "*grid_hat"]:
        """E |u_hat_k|^2 of the coefficients. Host float64."""
        square = sum(k**2 for k in self.grid.wavenumbers())
        with np.errstate(divide="ignore"):
            power = self.sigma**2 * (square + self.tau**2) ** (-self.gamma) / self.grid.volume
        for axis, (basis, j) in enumerate(zip(self.grid.bases, self._indices(), strict=True)):
            if isinstance(basis, FourierBasis):
                power = np.where(2 * np.abs(j) == self.grid.shape[axis], 0.0, power)
            else:
                power = power / along(self.grid.spectral_basis(axis).multiplicity(True), axis, self.grid.ndim)  # pyright: ignore
        if self.zero_mean:
            power[(0,) * self.grid.ndim] = 0.0
        return power

    @property
    def mean_square(self) -> float:
        """E u(x)^2, averaged over the box; on a periodic box it is the same at every x."""
        return float(np.sum(self.variances * self.grid.multiplicity()))

    def __call__(self, key: Key) -> Float[Array, "*grid 1"]:
        return self.grid.inverse(self.coefficients(key))[..., None]

    def coefficients(self, key: Key) -> Inexact[Array, "*grid_hat"]:
        """The same draw as coefficients: complex where the grid has a Fourier axis."""
        mode = np.stack(np.broadcast_arrays(*self._indices()), axis=-1)
        paired = mode * np.array([isinstance(b, FourierBasis) for b in self.grid.bases], mode.dtype)  # indices that have a sign
        first = np.take_along_axis(paired, np.argmax(paired != 0, axis=-1)[..., None], axis=-1)[..., 0]
        sign = np.sign(first)  # k and -k share one pair of deviates: the first non-zero index says which stands for both
        one = np.where(sign == 0, 1, sign)[..., None].astype(mode.dtype)
        xi = _deviates(key, jnp.asarray(np.where(paired != 0, mode * one, mode)))
        scale = np.sqrt(self.variances / np.where(sign == 0, 1, 2))  # a real coefficient has one deviate, not two
        real = xi[..., 0] * jnp.asarray(scale, xi.dtype)
        if self.grid.half_axis is None:
            return real
        return jax.lax.complex(real, xi[..., 1] * jnp.asarray(-sign * scale, xi.dtype))

    def _indices(self) -> list[np.ndarray]:
        each = [self.grid.spectral_basis(i).indices(self.grid.is_half(i)) for i in range(self.grid.ndim)]
        return [along(j, i, self.grid.ndim).astype(np.int32) for i, j in enumerate(each)]


def threshold(g: Float[Array, "..."], low: float, high: float) -> Float[Array, "..."]:
    """`high` where g >= 0, else `low`: two-phase media. The Darcy coefficients of Li et al., ICLR 2021 (arXiv 2010.08895), section
    5.2, are `threshold(g, 3, 12)` of a Neumann field with sigma = 1, tau = 3, gamma = 2 on (0, 1)^2; others have 4 or 2 and 12."""
    return jnp.where(g >= 0, jnp.asarray(high, g.dtype), jnp.asarray(low, g.dtype))


def lognormal(g: Float[Array, "..."], scale: float = 1.0) -> Float[Array, "..."]:
    """exp(scale g): a positive coefficient whose logarithm is Gaussian."""
    return jnp.exp(scale * g)


def _deviates(key: Key, mode: Array) -> Float[Array, "*grid_hat 2"]:
    """Two normal deviates per mode, each a function of (key, mode) alone: the mode's indices are folded into the key.

    Drawn in float32 at every precision, so that float64 refines the same function.
    """

    def one(j: Array) -> Array:
        k = key
        for i in range(j.shape[0]):
            k = jax.random.fold_in(k, j[i])
        return jax.random.normal(k, (2,), jnp.float32)

    flat = jax.vmap(one)(mode.reshape(-1, mode.shape[-1]))
    return flat.reshape(*mode.shape[:-1], 2).astype(jnp.result_type(float))
