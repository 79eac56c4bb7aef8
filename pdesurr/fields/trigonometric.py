"""Sine and cosine bases: functions that vanish, or whose slope vanishes, at both walls.

Both are halves of a Fourier basis: a sine series is odd about the walls, a cosine series even, and periodic with twice the
length. Transforms and derivatives are those of that extension, by FFT.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractTrigonometricBasis, along, by_parts, check_interval, check_order, truncate


class AbstractReflectedBasis(AbstractTrigonometricBasis):
    """What the two halves share. A concrete one says how real values become coefficients, and coefficients values."""

    @abc.abstractmethod
    def analyse(self, u: Array, axis: int) -> Array:
        """Real values to coefficients."""

    @abc.abstractmethod
    def synthesise(self, u_hat: Array, axis: int, order: int) -> Array:
        """Real coefficients to values of the `order`-th derivative, of any order."""

    @property
    def periodic(self) -> bool:
        return False

    def wavenumbers(self, half: bool = False) -> Float[np.ndarray, " n"]:
        return np.pi / self.length * self.indices(half)

    def symbol(self, order: int, half: bool = False) -> Float[np.ndarray, " n"]:
        """(-1)^(order/2) k^order; `UsageError` for odd orders."""
        check_order(order)
        require(order % 2 == 0, "order", f"an even derivative on a {type(self).__name__}, which an odd one leaves", order,
                "use a ChebyshevBasis on this axis, or take the derivative's values with Grid.derivative")
        return (-1.0) ** (order // 2) * self.wavenumbers(half) ** order

    def transform(self, u: Array, axis: int) -> Array:
        return by_parts(lambda v: self.analyse(v, axis), u)

    def inverse(self, u_hat: Array, axis: int, half: bool = False) -> Array:
        return by_parts(lambda v: self.synthesise(v, axis, 0), u_hat)

    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        check_order(order)
        return by_parts(lambda v: self.synthesise(self.analyse(v, axis), axis, order), u)

    def resample(self, u_hat: Array, axis: int, half: bool, n: int) -> Array:
        require(n >= 2, "n", "a number of nodes >= 2", n)
        return truncate(u_hat, axis, n)

    def phases(self, x: Float[Array, " p"]) -> Float[Array, "p n"]:
        """k (x - lower)."""
        return (x - float(self.lower))[:, None] * jnp.asarray(self.wavenumbers(), x.dtype)[None, :]


class SineBasis(AbstractReflectedBasis):
    """u(x) = sum_{k=1..n} u_hat_k sin(pi k (x - lower) / L), zero at both walls, on the `n` interior nodes lower + L (j+1)/(n+1).

    The walls are no nodes, since nothing is unknown there. Weights are the trapezoidal rule's, L / (n+1): exact for products
    of two such functions (norms), second order where the integrand is not zero at the walls; they sum to L n / (n+1).

    Even derivatives of a sine series are sine series. Odd ones are cosine series: `derivative` gives their exact values at the
    nodes, `derivative_hat` and `symbol` raise `UsageError`. Smooth functions whose second derivatives do not vanish at the
    walls too have slowly falling coefficients, like k^-3: use a `ChebyshevBasis` for those.
    """

    n: int = eqx.field(static=True)
    lower: float = eqx.field(static=True, default=0.0)
    upper: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        check_interval(self.n, self.lower, self.upper)

    @property
    def nodes(self) -> Float[np.ndarray, " n"]:
        return self.lower + self.length * np.arange(1, self.n + 1) / (self.n + 1)

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        return np.full(self.n, self.length / (self.n + 1))

    @property
    def nyquist(self) -> float:
        return float(self.n + 1)

    def indices(self, half: bool = False) -> Int[np.ndarray, " n"]:
        return np.arange(1, self.n + 1)

    def multiplicity(self, half: bool = False) -> Float[np.ndarray, " n"]:
        return np.full(self.n, 0.5)

    def functions(self, x: Float[Array, " p"], half: bool = False) -> Float[Array, "p n"]:
        return jnp.sin(self.phases(x))

    def with_n(self, n: int) -> "SineBasis":
        return SineBasis(n, self.lower, self.upper)

    def analyse(self, u: Array, axis: int) -> Array:
        wall = jnp.zeros_like(lax.slice_in_dim(u, 0, 1, axis=axis))
        odd = jnp.concatenate([wall, u, wall, -jnp.flip(u, axis)], axis)
        return -2 * jnp.imag(lax.slice_in_dim(jnp.fft.rfft(odd, axis=axis, norm="forward"), 1, self.n + 1, axis=axis))

    def synthesise(self, u_hat: Array, axis: int, order: int) -> Array:
        """Values of the `order`-th derivative: the extension's Fourier coefficients are -i u_hat_k / 2."""
        wall = jnp.zeros_like(lax.slice_in_dim(u_hat, 0, 1, axis=axis))
        padded = jnp.concatenate([wall, u_hat, wall], axis)
        k = np.pi / self.length * np.arange(self.n + 2)
        values = _irfft(padded, -0.5j * (1j * k) ** order, axis, 2 * (self.n + 1))
        return lax.slice_in_dim(values, 1, self.n + 1, axis=axis)


class CosineBasis(AbstractReflectedBasis):
    """u(x) = sum_{k=0..n-1} u_hat_k cos(pi k (x - lower) / L), zero slope at both walls, on `n` cell centres lower + L (j+1/2)/n.

    Weights are the midpoint rule's, L / n: exact for products of two such functions. Even derivatives of a cosine series are
    cosine series. Odd ones are sine series: `derivative` gives their exact values at the nodes, `derivative_hat` and `symbol`
    raise `UsageError`. Smooth functions with a slope at the walls have coefficients that fall like k^-2 only: use a
    `ChebyshevBasis` for those.
    """

    n: int = eqx.field(static=True)
    lower: float = eqx.field(static=True, default=0.0)
    upper: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        check_interval(self.n, self.lower, self.upper)

    @property
    def nodes(self) -> Float[np.ndarray, " n"]:
        return self.lower + self.length * (np.arange(self.n) + 0.5) / self.n

    @property
    def weights(self) -> Float[np.ndarray, " n"]:
        return np.full(self.n, self.length / self.n)

    @property
    def nyquist(self) -> float:
        return float(self.n)

    def indices(self, half: bool = False) -> Int[np.ndarray, " n"]:
        return np.arange(self.n)

    def multiplicity(self, half: bool = False) -> Float[np.ndarray, " n"]:
        return np.where(self.indices() == 0, 1.0, 0.5)

    def functions(self, x: Float[Array, " p"], half: bool = False) -> Float[Array, "p n"]:
        return jnp.cos(self.phases(x))

    def with_n(self, n: int) -> "CosineBasis":
        return CosineBasis(n, self.lower, self.upper)

    def _half_step(self) -> np.ndarray:
        """exp(i k h / 2): the nodes are half a step from the wall about which the extension is even."""
        return np.exp(0.5j * np.pi * np.arange(self.n + 1) / self.n)

    def analyse(self, u: Array, axis: int) -> Array:
        even = jnp.concatenate([u, jnp.flip(u, axis)], axis)
        modes = lax.slice_in_dim(jnp.fft.rfft(even, axis=axis, norm="forward"), 0, self.n, axis=axis)
        scale = np.where(np.arange(self.n) == 0, 1.0, 2.0) * np.conj(self._half_step()[:-1])
        return jnp.real(modes * along(scale, axis, u.ndim).astype(modes.dtype))

    def synthesise(self, u_hat: Array, axis: int, order: int) -> Array:
        """Values of the `order`-th derivative: the extension's Fourier coefficients are u_hat_k exp(i k h / 2) / 2."""
        padded = truncate(u_hat, axis, self.n + 1)
        k = np.pi / self.length * np.arange(self.n + 1)
        scale = np.where(np.arange(self.n + 1) == 0, 1.0, 0.5) * self._half_step()
        return lax.slice_in_dim(_irfft(padded, scale * (1j * k) ** order, axis, 2 * self.n), 0, self.n, axis=axis)


def _irfft(u_hat: Array, scale: np.ndarray, axis: int, length: int) -> Array:
    """Real values of period `length` whose half spectrum is `scale * u_hat`."""
    scale = along(scale, axis, u_hat.ndim)
    real, imag = (u_hat * part.astype(u_hat.dtype) for part in (np.real(scale), np.imag(scale)))
    return jnp.fft.irfft(lax.complex(real, imag), n=length, axis=axis, norm="forward")
