"""Tensor products of one-dimensional bases: any number of axes, any box, bases mixed."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from pdesurr.checks import require
from pdesurr.fields._basis import AbstractBasis
from pdesurr.fields.fourier import FourierBasis, along

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
        """Whether every axis has a Fourier transform."""
        return all(isinstance(b, FourierBasis) for b in self.bases)

    @property
    def nodes(self) -> Float[np.ndarray, "*grid d"]:
        return np.stack(np.meshgrid(*(b.nodes for b in self.bases), indexing="ij"), axis=-1)

    @property
    def weights(self) -> Float[np.ndarray, "*grid"]:
        """Quadrature weights; they sum to `volume`."""
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

    # Fourier side. The last axis is transformed first and holds half the spectrum of a real function.

    def _is_half(self, axis: int, half: bool) -> bool:
        return half and axis == self.ndim - 1

    def transform(self, u: Array) -> Complex[Array, "..."]:
        """Values `(*grid, ...)` to Fourier series coefficients; half the spectrum on the last axis if `u` is real."""
        for axis in reversed(range(self.ndim)):
            u = self._fourier(axis).transform(u, axis)
        return u

    def inverse(self, u_hat: Complex[Array, "..."], half: bool = True) -> Array:
        """Coefficients to values; `half` says that they are a real function's half spectrum."""
        for axis in range(self.ndim):
            u_hat = self._fourier(axis).inverse(u_hat, axis, self._is_half(axis, half))
        return u_hat

    def symbol(self, name: str, order: int, half: bool = True) -> Complex[np.ndarray, "..."]:
        """(i k)^order along one axis, broadcastable against coefficients `(*grid_hat,)`. Host complex128."""
        axis = self.axis(name)
        return along(self._fourier(axis).symbol(order, self._is_half(axis, half)), axis, self.ndim)

    @property
    def shape_hat(self) -> tuple[int, ...]:
        """The shape of a real function's coefficients."""
        return (*self.shape[:-1], self.shape[-1] // 2 + 1)

    def wavenumbers(self, half: bool = True) -> list[Float[np.ndarray, "..."]]:
        """One broadcastable array of angular wavenumbers per axis."""
        return [along(self._fourier(i).wavenumbers(self._is_half(i, half)), i, self.ndim) for i in range(self.ndim)]

    def norm_hat(self, u_hat: Complex[Array, "*grid"], order: int = 0, half: bool = True) -> Array:
        """The Sobolev norm H^order from coefficients by Parseval: ||u||^2 = V sum_k (1 + |k|^2)^order |u_hat_k|^2."""
        weights = self.volume * np.prod(np.broadcast_arrays(
            *(along(self._fourier(i).multiplicity(self._is_half(i, half)), i, self.ndim) for i in range(self.ndim))), axis=0)
        weights = weights * (1 + sum(k**2 for k in self.wavenumbers(half))) ** order
        square = jnp.real(u_hat) ** 2 + jnp.imag(u_hat) ** 2
        return jnp.sqrt(jnp.sum(square * weights.astype(square.dtype)))

    def resample(self, u: Array, *shape: int) -> Array:
        """The same band-limited function on another number of nodes, for real values `(*grid, ...)`."""
        other, u_hat = self.with_shape(*shape), self.transform(u)
        for axis in range(self.ndim):
            u_hat = self._fourier(axis).resample(u_hat, axis, self._is_half(axis, True), other.shape[axis])
        return other.inverse(u_hat)

    def _fourier(self, axis: int) -> FourierBasis:
        basis = self.bases[axis]
        if not isinstance(basis, FourierBasis):
            raise TypeError(f"axis {self.names[axis]!r} has a {type(basis).__name__}: no Fourier transform; use a FourierBasis")
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
        parts = [u] + [self.derivative(u, name) for name in self.names] * order
        return jnp.sqrt(sum(self.integral(p**2) for p in parts))
