"""Gaussian random fields on the torus, drawn in Fourier space."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields._basis import along
from pdesurr.fields.grid import Grid
from pdesurr.types import Key


class GaussianRandomField(eqx.Module):
    """N(0, sigma^2 (-Lap + tau^2)^(-gamma)) on the periodic box of a grid, in any dimension.

    u = sum_k sqrt(lambda_k / V) xi_k e_k with lambda_k = sigma^2 (|k|^2 + tau^2)^(-gamma), V the box's volume and e_k the real
    cosine and sine modes of mean square 1. Each mode's normal deviate is a function of the key and the mode alone, so one key
    gives the same function at every resolution, up to the modes the grid holds (the Nyquist mode is left out). It is smooth
    enough for pointwise values if gamma > d/2. Source: Kovachki et al., JMLR 24(89), section 6; the convention is checked by
    std(u) = 1.118 for sigma = 25, tau = 5, gamma = 2 on (0, 2 pi).

    `zero_mean` leaves out the constant mode. Draw with `field(key) -> (*grid, 1)`.
    """

    grid: Grid
    sigma: float = eqx.field(static=True)
    tau: float = eqx.field(static=True)
    gamma: float = eqx.field(static=True)
    zero_mean: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        require(self.grid.fourier, "grid", "a FourierBasis on every axis", self.grid)
        require(self.sigma > 0, "sigma", "a number > 0", self.sigma)
        require(self.tau >= 0 and (self.tau > 0 or self.zero_mean), "tau", "a number > 0 (0 only with zero_mean)", self.tau)

    @property
    def variances(self) -> Float[np.ndarray, "*grid_hat"]:
        """E |u_hat_k|^2 of the coefficients. Host float64."""
        square = sum(k**2 for k in self.grid.wavenumbers())
        with np.errstate(divide="ignore"):
            power = self.sigma**2 * (square + self.tau**2) ** (-self.gamma) / self.grid.volume
        for axis, j in enumerate(self._indices()):
            power = np.where(2 * np.abs(j) == self.grid.shape[axis], 0.0, power)
        if self.zero_mean:
            power[(0,) * self.grid.ndim] = 0.0
        return power

    @property
    def mean_square(self) -> float:
        """E u(x)^2, the same at every x."""
        weights = along(self.grid.bases[-1].multiplicity(half=True), self.grid.ndim - 1, self.grid.ndim)  # pyright: ignore
        return float(np.sum(self.variances * weights))

    def __call__(self, key: Key) -> Float[Array, "*grid 1"]:
        mode = np.stack(np.broadcast_arrays(*self._indices()), axis=-1)
        first = np.take_along_axis(mode, np.argmax(mode != 0, axis=-1)[..., None], axis=-1)[..., 0]
        sign = np.sign(first)  # k and -k share one pair of deviates: the first non-zero index says which stands for both
        xi = _deviates(key, jnp.asarray(mode * np.where(sign == 0, 1, sign)[..., None]))
        scale = np.sqrt(self.variances / np.where(sign == 0, 1, 2))  # the real constant mode has one deviate, not two
        real = xi[..., 0] * jnp.asarray(scale, xi.dtype)
        imag = xi[..., 1] * jnp.asarray(-sign * scale, xi.dtype)
        return self.grid.inverse(jax.lax.complex(real, imag))[..., None]

    def _indices(self) -> list[np.ndarray]:
        lengths = [2 * np.pi / b.length for b in self.grid.bases]
        return [np.rint(k / s).astype(np.int32) for k, s in zip(self.grid.wavenumbers(), lengths, strict=True)]


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
