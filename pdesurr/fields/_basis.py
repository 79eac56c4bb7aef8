"""What every one-dimensional basis offers; `Grid` is a tensor product of them.

`AbstractBasis`: nodes, quadrature, a derivative of values. `AbstractSpectralBasis` adds coefficients. Of those, an
`AbstractTrigonometricBasis` consists of eigenfunctions of the second derivative: derivatives are products with a symbol.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Shaped

from pdesurr.checks import require


class AbstractBasis(eqx.Module):
    """Where functions of one variable live: nodes, quadrature, and a derivative. It holds no arrays, so it is static under jit.

    `n` nodes on `[lower, upper]`. Node and weight arrays are host float64; cast them to the field's dtype where they are used.
    """

    n: eqx.AbstractVar[int]
    lower: eqx.AbstractVar[float]
    upper: eqx.AbstractVar[float]

    @property
    def length(self) -> float:
        return self.upper - self.lower

    @property
    @abc.abstractmethod
    def periodic(self) -> bool:
        """Whether the two ends are one point."""

    @property
    @abc.abstractmethod
    def nodes(self) -> Float[np.ndarray, " n"]:
        """Where the function is sampled."""

    @property
    @abc.abstractmethod
    def weights(self) -> Float[np.ndarray, " n"]:
        """Quadrature weights: `sum(weights * f(nodes))` approximates the integral over `[lower, upper]`."""

    @abc.abstractmethod
    def derivative(self, u: Array, axis: int, order: int = 1) -> Array:
        """The `order`-th derivative of values along `axis`, as values."""

    @abc.abstractmethod
    def with_n(self, n: int) -> "AbstractBasis":
        """The same interval and kind with another number of nodes."""


class AbstractSpectralBasis(AbstractBasis):
    """u(x) = sum_m u_hat_m phi_m(x), with coefficients that mean the same at every resolution.

    `half` says that of a real function's coefficients only the first half is held. Only a Fourier basis makes that difference;
    the others have real coefficients and ignore it. Values and coefficients may be real or complex, with any other axes.
    """

    @property
    @abc.abstractmethod
    def nyquist(self) -> float:
        """The index at which the nodes begin to confuse modes: 2 nyquist - j looks like j."""

    @abc.abstractmethod
    def indices(self, half: bool) -> Int[np.ndarray, " m"]:
        """Each mode's index j, in the order of the coefficients."""

    @abc.abstractmethod
    def transform(self, u: Array, axis: int) -> Array:
        """Values to coefficients along `axis`."""

    @abc.abstractmethod
    def inverse(self, u_hat: Array, axis: int, half: bool) -> Array:
        """Coefficients to values along `axis`."""

    @abc.abstractmethod
    def derivative_hat(self, u_hat: Array | np.ndarray, axis: int, order: int, half: bool) -> Array | np.ndarray:
        """Coefficients of the `order`-th derivative; `UsageError` where it is not a function of this basis."""

    @abc.abstractmethod
    def orthonormal(self, u_hat: Array, axis: int, half: bool) -> Array:
        """Coefficients in an orthonormal basis of L2(lower, upper): the sum of their squared moduli is the integral of |u|^2."""

    @abc.abstractmethod
    def resample(self, u_hat: Array, axis: int, half: bool, n: int) -> Array:
        """Coefficients on `n` nodes: modes that both hold are kept, the others are dropped or zero."""

    @abc.abstractmethod
    def functions(self, x: Float[Array, " p"], half: bool) -> Shaped[Array, "p m"]:
        """phi_m(x), so that u(x) = sum_m u_hat_m phi_m(x); if `half`, the real part of that sum."""

    def modes(self, half: bool) -> int:
        """How many coefficients there are."""
        return len(self.indices(half))

    def below(self, fraction: float, half: bool) -> Bool[np.ndarray, " m"]:
        """Which modes lie below that fraction of the Nyquist index; below 2/3, squares are free of aliasing."""
        return np.abs(self.indices(half)) < fraction * self.nyquist


class AbstractTrigonometricBasis(AbstractSpectralBasis):
    """A spectral basis of orthogonal eigenfunctions: phi_j'' = -k_j^2 phi_j."""

    @abc.abstractmethod
    def wavenumbers(self, half: bool) -> Float[np.ndarray, " m"]:
        """The angular wavenumbers k_j."""

    @abc.abstractmethod
    def multiplicity(self, half: bool) -> Float[np.ndarray, " m"]:
        """Parseval's weights: the mean of |u|^2 over the interval is sum_j multiplicity_j |u_hat_j|^2."""

    @abc.abstractmethod
    def symbol(self, order: int, half: bool) -> Shaped[np.ndarray, " m"]:
        """What the `order`-th derivative multiplies coefficients with. Host array."""

    def derivative_hat(self, u_hat: Array | np.ndarray, axis: int, order: int, half: bool = False) -> Array | np.ndarray:
        return u_hat * along(self.symbol(order, half), axis, u_hat.ndim).astype(u_hat.dtype)

    def orthonormal(self, u_hat: Array, axis: int, half: bool = False) -> Array:
        return u_hat * along(np.sqrt(self.length * self.multiplicity(half)), axis, u_hat.ndim).astype(u_hat.dtype)


def check_interval(n: int, lower: float, upper: float, least: int = 2) -> None:
    require(isinstance(n, int) and n >= least, "n", f"a number of nodes >= {least}", n)
    require(bool(np.isfinite(lower) and np.isfinite(upper)), "interval", "finite ends", (lower, upper))
    require(lower < upper, "interval", "lower < upper", (lower, upper))


def check_order(order: int) -> None:
    require(isinstance(order, int) and order >= 0, "order", "a whole number of derivatives >= 0", order)


def along(v: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """A vector shaped to broadcast along `axis` of an `ndim`-dimensional array."""
    return v.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def matrix_along(matrix: Array | np.ndarray, u: Array, axis: int) -> Array:
    """The matrix applied along `axis`, at full precision and in the dtype of `u`."""
    matrix = jnp.asarray(matrix).astype(u.dtype)
    return jnp.moveaxis(jnp.tensordot(matrix, u, ((1,), (axis,)), precision=lax.Precision.HIGHEST), 0, axis)


def by_parts(real_map: Callable[[Array], Array], u: Array) -> Array:
    """A linear map of real arrays, applied to the real and the imaginary part of a complex one."""
    return lax.complex(real_map(jnp.real(u)), real_map(jnp.imag(u))) if jnp.iscomplexobj(u) else real_map(u)


def truncate(u_hat: Array, axis: int, n: int) -> Array:
    """The first `n` entries along `axis`, zeros where there are fewer."""
    kept = lax.slice_in_dim(u_hat, 0, min(n, u_hat.shape[axis]), axis=axis)
    width = [(0, max(0, n - u_hat.shape[axis])) if i == axis % u_hat.ndim else (0, 0) for i in range(u_hat.ndim)]
    return jnp.pad(kept, width)
