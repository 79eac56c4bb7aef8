"""Tensor products of one-dimensional bases: any number of axes, any box, bases mixed."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractBasis, AbstractSpectralBasis, AbstractTrigonometricBasis, along, matrix_along
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.trigonometric import SineBasis

AXIS_NAMES = ("x", "y", "z")


class Grid(eqx.Module):
    """A product of bases. Arrays on it are `(*grid, channel)` or `(*grid,)`: the grid's axes come first.

    It holds no arrays, so it is static under jit and hashable. `names` are the axes' names in equations ("x", "y", "z" unless
    given; a space-time grid names its time axis "t").
    """

    bases: tuple[AbstractBasis, ...]
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, bases: Sequence[AbstractBasis], names: Sequence[str] | None = None):
        require(len(bases) >= 1, "bases", "at least one", bases)
        names = tuple(names) if names is not None else (AXIS_NAMES + tuple(f"x{i}" for i in range(3, 99)))[: len(bases)]
        require(len(set(names)) == len(bases), "names", f"{len(bases)} different names", names)
        self.bases, self.names = tuple(bases), names

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b.n for b in self.bases)

    @property
    def ndim(self) -> int:
        return len(self.bases)

    @property
    def volume(self) -> float:
        return float(np.prod([b.length for b in self.bases]))

    @property
    def spectral(self) -> bool:
        """Whether every axis has a transform."""
        return all(isinstance(b, AbstractSpectralBasis) for b in self.bases)

    @property
    def trigonometric(self) -> bool:
        """Whether every axis has wavenumbers (Fourier, sine, cosine): there the Laplacian is a symbol."""
        return all(isinstance(b, AbstractTrigonometricBasis) for b in self.bases)

    @property
    def fourier(self) -> bool:
        """Whether every axis is a Fourier one."""
        return all(isinstance(b, FourierBasis) for b in self.bases)

    @property
    def nodes(self) -> Float[np.ndarray, "*grid d"]:
        return np.stack(np.meshgrid(*(b.nodes for b in self.bases), indexing="ij"), axis=-1)

    @property
    def weights(self) -> Float[np.ndarray, "*grid"]:
        """Quadrature weights; they sum to `volume`, but for the walls that a sine axis leaves out."""
        return np.prod(np.meshgrid(*(b.weights for b in self.bases), indexing="ij"), axis=0)

    def axis(self, name: str) -> int:
        require(name in self.names, "axis", f"one of {self.names}", name)
        return self.names.index(name)

    def with_shape(self, *shape: int) -> "Grid":
        """The same box and bases with other numbers of nodes."""
        require(len(shape) == self.ndim, "shape", f"{self.ndim} numbers of nodes", shape)
        return Grid([b.with_n(n) for b, n in zip(self.bases, shape, strict=True)], self.names)

    def check(self, u: Array, what: str = "field") -> None:
        """Raise `UsageError` unless `u` is `(*grid, ...)` on this grid."""
        require(tuple(u.shape[: self.ndim]) == self.shape, what, f"an array that starts with the grid's shape {self.shape}",
                tuple(u.shape), "for a batch use jax.vmap")

    # Coefficient side. Of a real function half the spectrum is held on one axis, the last Fourier axis. Real transforms come
    # first, then that axis, then the other Fourier axes; inverses in the opposite order.

    @property
    def half_axis(self) -> int | None:
        """The axis on which a real function's coefficients hold half the spectrum; None where all coefficients are real."""
        return max((i for i, b in enumerate(self.bases) if isinstance(b, FourierBasis)), default=None)

    def shape_hat(self, half: bool = True) -> tuple[int, ...]:
        """The shape of coefficients."""
        return tuple(self.spectral_basis(i).modes(self.is_half(i, half)) for i in range(self.ndim))

    def is_half(self, axis: int, half: bool = True) -> bool:
        """Whether `axis` holds half the spectrum of a function that is real (`half`)."""
        return half and axis == self.half_axis

    def _order(self) -> list[int]:
        """Axes in the order of the forward transform."""
        return sorted(reversed(range(self.ndim)), key=lambda i: isinstance(self.bases[i], FourierBasis))

    def transform(self, u: Array) -> Shaped[Array, "..."]:
        """Values `(*grid, ...)` to coefficients `(*grid_hat, ...)`; half the spectrum on `half_axis` if `u` is real."""
        if self.fourier:  # one call over all axes is faster than one for each
            fft = jnp.fft.fftn if jnp.iscomplexobj(u) else jnp.fft.rfftn
            return fft(u, axes=range(self.ndim), norm="forward")
        for axis in self._order():
            u = self.spectral_basis(axis).transform(u, axis)
        return u

    def transform_known(self, u: Array) -> Shaped[np.ndarray, "..."]:
        """The same of values that are no tracer's, on the host."""
        return np.asarray(self.transform(u))

    def inverse(self, u_hat: Shaped[Array, "..."], half: bool = True) -> Array:
        """Coefficients to values; `half` says that they are a real function's."""
        if self.fourier:
            ifft = jnp.fft.irfftn if half else jnp.fft.ifftn
            return ifft(u_hat, s=self.shape, axes=range(self.ndim), norm="forward")
        for axis in reversed(self._order()):
            u_hat = self.spectral_basis(axis).inverse(u_hat, axis, self.is_half(axis, half))
        return u_hat

    def derivative_hat(self, u_hat: Array | np.ndarray, name: str, order: int = 1, half: bool = True) -> Array | np.ndarray:
        """The derivative along a named axis, coefficients to coefficients; `UsageError` where it leaves the axis's basis (odd
        orders on a sine or cosine axis)."""
        axis = self.axis(name)
        return self.spectral_basis(axis).derivative_hat(u_hat, axis, order, self.is_half(axis, half))

    def symbol(self, name: str, order: int, half: bool = True) -> Shaped[np.ndarray, "..."]:
        """What the derivative along one axis multiplies coefficients `(*grid_hat,)` with, e.g. (i k)^order. Host array."""
        axis = self.axis(name)
        return along(self._trigonometric(axis).symbol(order, self.is_half(axis, half)), axis, self.ndim)

    def wavenumbers(self, half: bool = True) -> list[Float[np.ndarray, "..."]]:
        """One broadcastable array of angular wavenumbers per axis."""
        return [along(self._trigonometric(i).wavenumbers(self.is_half(i, half)), i, self.ndim) for i in range(self.ndim)]

    def multiplicity(self, half: bool = True) -> Float[np.ndarray, "*grid_hat"]:
        """Parseval's weights on a trigonometric grid: the mean of |u|^2 over the box is sum_k multiplicity_k |u_hat_k|^2."""
        each = [along(self._trigonometric(i).multiplicity(self.is_half(i, half)), i, self.ndim) for i in range(self.ndim)]
        return np.prod(np.broadcast_arrays(*each), axis=0)

    def norm_hat(self, u_hat: Shaped[Array, "*grid_hat"], order: int = 0, half: bool = True) -> Array:
        """The Sobolev norm H^order from coefficients, by Parseval in each basis.

        Trigonometric grids: ||u||^2 = V sum_k m_k (1 + |k|^2)^order |u_hat_k|^2, any order. With a Chebyshev axis, whose
        functions are not orthogonal: order 0 or 1, ||u||^2 = int u^2 + order * sum_i int (d_i u)^2, integrals exact.
        """
        if self.trigonometric:
            scale = (1 + sum(k**2 for k in self.wavenumbers(half))) ** (order / 2)
            return jnp.sqrt(self.square_hat(u_hat * np.asarray(scale).astype(u_hat.dtype), half))
        require(order in (0, 1), "order", "0 (L2) or 1 (H1) on a grid with a Chebyshev axis", order)
        parts = [u_hat] + [self._slope_hat(u_hat, i, half) for i in range(self.ndim)] * order
        return jnp.sqrt(sum(self.square_hat(p, half) for p in parts))

    def square_hat(self, u_hat: Shaped[Array, "*grid_hat"], half: bool = True) -> Array:
        """The integral of |u|^2 from coefficients."""
        for axis in range(self.ndim):
            u_hat = self.spectral_basis(axis).orthonormal(u_hat, axis, self.is_half(axis, half))
        return jnp.sum(jnp.real(u_hat) ** 2 + jnp.imag(u_hat) ** 2)

    def _slope_hat(self, u_hat: Array, axis: int, half: bool) -> Array:
        """Coefficients of a function whose square has the slope's integral: sines for cosines and the other way round."""
        basis = self.spectral_basis(axis)
        if isinstance(basis, AbstractTrigonometricBasis):
            return u_hat * along(basis.wavenumbers(self.is_half(axis, half)), axis, u_hat.ndim).astype(u_hat.dtype)
        return jnp.asarray(basis.derivative_hat(u_hat, axis, 1, half))

    def resample(self, u: Array, *shape: int) -> Array:
        """The same band-limited function on another number of nodes, for real values `(*grid, ...)`."""
        return self.with_shape(*shape).inverse(self.resample_hat(self.transform(u), *shape))

    def resample_hat(self, u_hat: Shaped[Array, "..."], *shape: int) -> Shaped[Array, "..."]:
        """The same on coefficients: modes that both numbers of nodes hold are kept, the others are dropped or zero."""
        for axis, n in enumerate(shape):
            u_hat = self.spectral_basis(axis).resample(u_hat, axis, self.is_half(axis, True), n)
        return u_hat

    def evaluate(self, u_hat: Shaped[Array, "..."], points: Float[Array, "p d"], half: bool = True) -> Array:
        """The expansion's values at any points: `(*grid_hat, ...)` to `(p, ...)`. Outside the box it continues as its functions do."""
        require(points.shape[1] == self.ndim, "points", f"shape (p, {self.ndim})", points.shape)
        for axis in range(self.ndim):
            table = self.spectral_basis(axis).functions(points[:, axis], self.is_half(axis, half)).astype(u_hat.dtype)
            pairs = "pk,pk...->p..." if axis else "pk,k...->p..."
            u_hat = jnp.einsum(pairs, table, u_hat, precision=lax.Precision.HIGHEST)
        return jnp.real(u_hat) if half else u_hat

    def interpolate(self, u_hat: Shaped[Array, "..."], other: "Grid", half: bool = True) -> Array:
        """The expansion's values on another grid's nodes, whatever its bases: `(*grid_hat, ...)` to `(*other, ...)`."""
        require(other.ndim == self.ndim, "other", f"a grid of {self.ndim} axes", other)
        for axis, basis in enumerate(other.bases):
            x = jnp.asarray(basis.nodes, jnp.finfo(u_hat.dtype).dtype)
            u_hat = matrix_along(self.spectral_basis(axis).functions(x, self.is_half(axis, half)), u_hat, axis)
        return jnp.real(u_hat) if half else u_hat

    def spectral_basis(self, axis: int) -> AbstractSpectralBasis:
        """The axis's basis; `TypeError` if it has no transform."""
        basis = self.bases[axis]
        if not isinstance(basis, AbstractSpectralBasis):
            raise TypeError(f"axis {self.names[axis]!r} has a {type(basis).__name__}: no transform; "
                            "use a FourierBasis, ChebyshevBasis, SineBasis or CosineBasis")
        return basis

    def _trigonometric(self, axis: int) -> AbstractTrigonometricBasis:
        basis = self.spectral_basis(axis)
        if not isinstance(basis, AbstractTrigonometricBasis):
            raise TypeError(f"axis {self.names[axis]!r} has a {type(basis).__name__}: no wavenumbers; use a FourierBasis, SineBasis "
                            "or CosineBasis, or differentiate with Grid.derivative_hat")
        return basis

    # Value side: works on every basis.

    def derivative(self, u: Array, name: str, order: int = 1) -> Array:
        """The derivative along a named axis, values to values."""
        axis = self.axis(name)
        return self.bases[axis].derivative(u, axis, order)

    def integral(self, u: Float[Array, "*grid_and_rest"]) -> Array:
        """Quadrature over the grid's axes; trailing axes stay."""
        for basis in self.bases:
            u = jnp.tensordot(jnp.asarray(basis.weights, u.dtype), u, axes=1)
        return u

    def norm(self, u: Float[Array, "*grid_and_rest"], order: int = 0) -> Array:
        """The Sobolev norm H^order (0 or 1) by quadrature: ||u||^2 = int u^2 + order * sum_i int (d_i u)^2. Trailing axes stay."""
        require(order in (0, 1), "order", "0 (L2) or 1 (H1)", order)
        parts = [u**2] + [self._slope_square(u, i) for i in range(self.ndim)] * order
        return jnp.sqrt(sum(self.integral(p) for p in parts))

    def _slope_square(self, u: Array, axis: int) -> Array:
        """Something with the integral of (d_i u)^2. On a sine axis -u d_ii u: the slope is largest at the walls, which are no
        nodes there."""
        basis = self.bases[axis]
        return -u * basis.derivative(u, axis, 2) if isinstance(basis, SineBasis) else basis.derivative(u, axis) ** 2
