"""The Fourier basis: periodic functions of one variable."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractTrigonometricBasis, along, check_interval, check_order


class FourierBasis(AbstractTrigonometricBasis):
    """u(x) = sum_k u_hat_k exp(i k (x - lower)), k = 2 pi j / (upper - lower), on `n` equispaced nodes without the right end.

    Coefficients are the Fourier series' own (the forward transform divides by `n`), so they mean the same at every
    resolution. Of a real function only j = 0 ... n//2 are kept.
    """

    n: int = eqx.field(static=True)
    lower: float = eqx.field(static=True, default=0.0)
    upper: float = eqx.field(static=True, default=2 * np.pi)

    def __check_init__(self):
        check_interval(self.n, self.lower, self.upper)

    @property
    def periodic(self) -> bool:
        return True

    @property
    def nodes(self) -> Float[np.ndarray, " n"]:
        return self.lower + self.length * np.arange(self.n) / self.n

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        return np.full(self.n, self.length / self.n)

    @property
    def nyquist(self) -> float:
        return self.n / 2

    def indices(self, half: bool) -> Int[np.ndarray, " m"]:
        """The integers j, in the order of `rfft` (half) or `fft`."""
        return np.arange(self.n // 2 + 1) if half else np.fft.fftfreq(self.n, 1 / self.n).round().astype(int)

    def wavenumbers(self, half: bool) -> Float[np.ndarray, " m"]:
        return 2 * np.pi / self.length * self.indices(half)

    def multiplicity(self, half: bool) -> Float[np.ndarray, " m"]:
        """How many of the full spectrum's coefficients each kept one stands for: Parseval's weights."""
        j = self.indices(half)
        return np.where((j == 0) | (2 * j == self.n), 1.0, 2.0) if half else np.ones(self.n)

    def symbol(self, order: int, half: bool) -> Complex[np.ndarray, " m"]:
        """(i k)^order; at the Nyquist mode of an even grid odd orders are zero, since its sine is invisible on the nodes."""
        check_order(order)
        symbol = (1j * self.wavenumbers(half)) ** order
        if order % 2 and self.n % 2 == 0:
            symbol[self.n // 2] = 0
        return symbol

    def transform(self, u: Array, axis: int) -> Complex[Array, "..."]:
        """Values to coefficients; half the spectrum if `u` is real."""
        fft = jnp.fft.fft if jnp.iscomplexobj(u) else jnp.fft.rfft
        return fft(u, axis=axis, norm="forward")

    def inverse(self, u_hat: Complex[Array, "..."], axis: int, half: bool) -> Array:
        """Coefficients to values, real if `half`. The length is always passed: without it odd grids come back one short."""
        fft = jnp.fft.irfft if half else jnp.fft.ifft
        return fft(u_hat, n=self.n, axis=axis, norm="forward")

    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        half = not jnp.iscomplexobj(u)
        u_hat = self.transform(u, axis)
        symbol = along(self.symbol(order, half), axis, u.ndim).astype(u_hat.dtype)
        return self.inverse(u_hat * symbol, axis, half)

    def antiderivative(self, u: Array, axis: int) -> Array:
        """The mean-free antiderivative of `u` less its mean, as values."""
        half = not jnp.iscomplexobj(u)
        symbol = self.symbol(1, half)
        inverse = np.divide(1.0, symbol, out=np.zeros_like(symbol), where=symbol != 0)
        u_hat = self.transform(u, axis)
        return self.inverse(u_hat * along(inverse, axis, u.ndim).astype(u_hat.dtype), axis, half)

    def shift(self, u: Float[Array, " n"], distance: Array) -> Float[Array, " n"]:
        """The real function x -> u(x - distance) on the same nodes."""
        phase = -jnp.asarray(self.wavenumbers(half=True), u.dtype) * distance
        return self.inverse(self.transform(u, 0) * jax.lax.complex(jnp.cos(phase), jnp.sin(phase)), 0, half=True)

    def resample(self, u_hat: Complex[Array, "..."], axis: int, half: bool, n: int) -> Complex[Array, "..."]:
        """Coefficients of the same function on `n` nodes: modes both grids hold below their Nyquist mode are kept."""
        require(n >= 2, "n", "a number of nodes >= 2", n)
        keep = (min(n, self.n) - 1) // 2
        front = jnp.take(u_hat, np.arange(keep + 1), axis=axis)
        size = n // 2 + 1 if half else n
        back = [] if half else [jnp.take(u_hat, np.arange(self.n - keep, self.n), axis=axis)]
        shape = list(u_hat.shape)
        shape[axis] = size - (keep + 1) - (0 if half else keep)
        return jnp.concatenate([front, jnp.zeros(shape, u_hat.dtype), *back], axis=axis)

    def functions(self, x: Float[Array, " p"], half: bool) -> Complex[Array, "p m"]:
        """exp(i k (x - lower)), times 2 where one coefficient of a half spectrum stands for two. The Nyquist mode is a cosine."""
        phase = (x - float(self.lower))[:, None] * jnp.asarray(self.wavenumbers(half), x.dtype)[None, :]
        times = jnp.asarray(self.multiplicity(half), x.dtype)[None, :]
        sine = jnp.where(2 * np.abs(self.indices(half)) == self.n, 0.0, jnp.sin(phase))
        return jax.lax.complex(times * jnp.cos(phase), times * sine)

    def with_n(self, n: int) -> "FourierBasis":
        return FourierBasis(n, self.lower, self.upper)
