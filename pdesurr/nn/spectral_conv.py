"""The Fourier layer: a matrix per kept wavenumber, in any number of axes, by FFT or by real matrix products.

Source: Li et al., ICLR 2021 (arXiv 2010.08895), equations 4-5; Kovachki et al., JMLR 24(89), section 4.4.
"""

from functools import lru_cache
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid
from pdesurr.fields._basis import AbstractBasis
from pdesurr.fields.split import Split, local_shape
from pdesurr.nn.tucker import Tucker
from pdesurr.types import Key

Form = Literal["dense", "fft"]

# Kept on every backend: a transform in TF32 would cost 3e-4, and the two forms would no longer agree.
_EXACT = lax.Precision.HIGHEST


class SpectralConv(eqx.Module):
    """u(x) = Re sum_k m_k exp(2 pi i k.(x - lower) / P) W_k v_k,  v_k = (1/P) int v(x) exp(-2 pi i k.(x - lower) / P) dx.

    `modes[i] = m` keeps the integers |k| < m on axis i: 2m - 1 of them, and m on the last axis, where a real function needs
    only k >= 0 (m_k = 2 there for k > 0, else 1). On a periodic grid this is rfftn, truncation, one complex
    (out, in) matrix per kept mode, zero padding, irfftn with the grid's own length: odd lengths are right, and of the k = 0
    column of the last axis the real part survives, as in `irfftn`. The coefficients are the Fourier series' own ("forward"
    normalisation), so the weights mean the same at every resolution.

    On an axis that is not periodic the function is continued by zero to the period P = (1 + padding) * length; P does not
    depend on the resolution, so neither does the operator. Nodes may be anywhere: the integral uses the basis' quadrature.

    `weight`: `(*kept, 2, out, in)`, real and imaginary part as real numbers (an optimiser then needs no conjugates). Order of
    kept wavenumbers on a full axis: 0, 1, ..., m-1, -1, ..., -(m-1). Initially complex normal, variance 2 / (in + out). With a
    `rank` it is a `Tucker` product.

    With a `split`, v and the result are this device's slice of the grid, and `weight` its share of the last axis' modes, which the number
    of devices must divide: no device holds a whole field or all weights. Two exchanges (all-to-all) of kept modes and nothing else.
    Values in bfloat16 are transformed, mixed and summed in float32.

    Raises `UsageError` for modes above what the grid resolves (2m - 1 > P / h, h the widest spacing), or a wrong shape.
    """

    weight: Float[Array, "*kept 2 out in"] | Tucker
    in_channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    modes: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], *, rank: float | None = None, key: Key):
        require(len(modes) > 0 and all(isinstance(m, int) and m > 0 for m in modes), "modes", "integers > 0, one per axis", modes)
        kept = tuple(m if i == len(modes) - 1 else 2 * m - 1 for i, m in enumerate(modes))
        scale = (in_channels + out_channels) ** -0.5
        shape = (*kept, 2, out_channels, in_channels)
        self.weight = scale * jax.random.normal(key, shape) if rank is None else Tucker(shape, rank, scale, key=key)
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, tuple(modes)

    def __call__(
        self,
        v: Float[Array, "in batch *grid"],
        grid: Grid,
        *,
        padding: float = 0.0,
        bias: Float[Array, " out"] | None = None,
        form: Form | None = None,
        spare: int = 0,
        split: Split | None = None,
    ) -> Float[Array, "out batch *grid"]:
        """Channel first, then one batch axis, then the grid's. `bias` is added to the constant mode: the same as adding it to
        the result, without a pass over memory forward or backward. `form` overrides the rule of `cheaper`. The last axis may
        have `spare` columns more than the grid: they are ignored, and zero in the result."""
        shape = (*local_shape(grid, split)[:-1], grid.shape[-1] + spare)
        require(v.shape[0] == self.in_channels and v.shape[2:] == shape, "v",
                f"shape ({self.in_channels}, batch, {', '.join(map(str, shape))})", v.shape)
        check_modes(self.modes, grid, padding)
        if v.dtype == jnp.bfloat16:
            wide = self(v.astype(jnp.float32), grid, padding=padding, bias=bias, form=form, spare=spare, split=split)
            return wide.astype(v.dtype)
        lengths = tuple(_fft_length(b, padding) for b in grid.bases)
        if split is not None:
            require(form in (None, "dense"), "form", "'dense' for a grid that is split", form)
            return self._split(v, grid, padding, bias, spare, split)
        if form is None:
            form = cheaper(grid.shape, self.modes, jax.default_backend()) if all(lengths) else "dense"
        if form == "dense":
            matrices = _all_matrices(grid, self.modes, padding, spare, v.dtype)
            return _synthesise(self._mix(_analyse(v, matrices, self.modes), bias), matrices, self.modes)
        require(all(lengths), "form", "'dense' where an axis' spacing does not divide its period", form)
        u = _inverse_fft(self._mix(_fft(v[..., : grid.shape[-1]], grid, self.modes, lengths), bias), grid, self.modes, lengths)
        return jnp.pad(u, [(0, 0)] * (u.ndim - 1) + [(0, spare)])

    def _split(self, v: Array, grid: Grid, padding: float, bias: Array | None, spare: int, split: Split) -> Array:
        """Transforms of the local axes, an exchange that makes the first axis whole and deals out the last one's modes, and back."""
        require(grid.ndim > 1, "grid", "at least two axes, of which the first is split", grid)
        d, matrices = grid.ndim, _all_matrices(grid, self.modes, padding, spare, v.dtype)
        whole = lambda z: lax.all_to_all(z, split.axis, d - 1, d - 2, tiled=True)  # noqa: E731
        dealt = lambda z: lax.all_to_all(z, split.axis, 0, d - 1, tiled=True)  # noqa: E731
        if bias is not None:  # the constant mode is the first device's
            bias = jnp.where(lax.axis_index(split.axis) == 0, bias, jnp.zeros_like(bias))
        return _synthesise(self._mix(_analyse(v, matrices, self.modes, whole), bias), matrices, self.modes, dealt)

    def with_modes(self, modes: tuple[int, ...]) -> "SpectralConv":
        """The same operator with room for other wavenumbers, zero on those that are new."""
        weight = jnp.asarray(self.weight)
        for axis, (old, new) in enumerate(zip(self.modes, modes, strict=True)):
            size = min(old, new)
            added = jnp.zeros((*weight.shape[:axis], new - size, *weight.shape[axis + 1 :]), weight.dtype)
            parts = [lax.slice_in_dim(weight, 0, size, axis=axis), added]
            if axis < len(modes) - 1:  # the negative wavenumbers, -1 first
                negative = lax.slice_in_dim(weight, old, old + size - 1, axis=axis)
                parts += [negative, added]
            weight = jnp.concatenate(parts, axis=axis)
        wider = SpectralConv(self.in_channels, self.out_channels, modes, key=jax.random.key(0))
        return eqx.tree_at(lambda c: c.weight, wider, weight)

    def _mix(self, v_hat: Float[Array, "*kept in 2 batch"], bias: Float[Array, " out"] | None) -> Float[Array, "*kept out 2 batch"]:
        """The complex product per mode as one real product, [Re W; Im W] [Re v, Im v]: batched over the modes and nothing else."""
        kept, batch = v_hat.shape[: len(self.modes)], v_hat.shape[-1]
        weight = self.weight() if isinstance(self.weight, Tucker) else self.weight
        weight = weight.reshape(-1, 2 * self.out_channels, self.in_channels).astype(v_hat.dtype)
        parts = lax.dot_general(weight, v_hat.reshape(-1, self.in_channels, 2 * batch), (((2,), (1,)), ((0,), (0,))))
        of_real, of_imag = jnp.split(parts.reshape(-1, 2, self.out_channels, 2, batch), 2, axis=1)
        u_hat = of_real[:, 0] + _turn(of_imag[:, 0], 2)
        if bias is not None:
            edge = ((0, u_hat.shape[0] - 1, 0), (0, 0, 0), (0, 1, 0), (0, 0, 0))
            u_hat = u_hat + lax.pad(bias.astype(u_hat.dtype)[None, :, None, None], jnp.zeros((), u_hat.dtype), edge)
        return u_hat.reshape(*kept, self.out_channels, 2, batch)


def cheaper(shape: tuple[int, ...], modes: tuple[int, ...], backend: str) -> Form:
    """Which form is faster. On CPU (`experiments/benchmarks/spectral_forms.py`) the products win up to about 64 modes an axis,
    whatever the grid, by up to 11 where the length suits the FFT badly; above, in 1-D, the FFT by up to 4, and between 64 and 100
    modes in 2-D the two are within a fifth. Other backends follow the same rule until somebody measures there."""
    del shape, backend
    return "dense" if max(modes) <= 64 else "fft"


def check_modes(modes: tuple[int, ...], grid: Grid, padding: float) -> None:
    """Raise `UsageError` unless `grid` resolves every kept wavenumber below its Nyquist mode."""
    require(len(modes) == grid.ndim, "modes", f"{grid.ndim} numbers for a grid of {grid.ndim} axes", modes)
    require(padding >= 0, "padding", "a fraction >= 0 of the length", padding)
    allowed = tuple((_resolved(b, padding) + 1) // 2 for b in grid.bases)
    if any(m > most for m, most in zip(modes, allowed, strict=True)):
        raise expected("modes", f"at most {allowed} on a grid of {grid.shape} points", modes, "keep fewer modes or refine the grid")


def _period(basis: AbstractBasis, padding: float) -> float:
    return basis.length * (1.0 if basis.periodic else 1.0 + padding)


@lru_cache(maxsize=512)
def _resolved(basis: AbstractBasis, padding: float) -> int:
    """How many wavenumbers the nodes tell apart: the period over the widest spacing."""
    if basis.periodic:
        return basis.n
    return int(_period(basis, padding) / np.diff(basis.nodes).max() + 1e-6)


# Dense form: cosines and sines of the kept modes, as real matrices.


@lru_cache(maxsize=512)
def _matrices(basis: AbstractBasis, m: int, padding: float, last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Forward `(rows, n)` and inverse `(rows, n)`, float64. Rows of the last axis: (real, imaginary) of k = 0 ... m-1; of any
    other, cosines of k = 0 ... m-1, then sines of k = 1 ... m-1, which +k and -k share."""
    period = _period(basis, padding)
    k = np.arange(m)
    angle = 2 * np.pi / period * k[:, None] * (basis.nodes - basis.lower)
    cosine, sine = np.cos(angle), np.sin(angle)
    if last:
        twice = np.where(k == 0, 1.0, 2.0)[:, None]
        forward = np.stack([cosine, -sine], axis=1).reshape(2 * m, -1)
        inverse = np.stack([twice * cosine, -twice * sine], axis=1).reshape(2 * m, -1)
    else:
        forward = inverse = np.concatenate([cosine, sine[1:]])
    return forward * (basis.weights / period), inverse


Matrices = list[tuple[np.ndarray, np.ndarray]]


def _all_matrices(grid: Grid, modes: tuple[int, ...], padding: float, spare: int, dtype) -> Matrices:
    """A pair for each axis; those of the last have `spare` more columns, of zeros."""
    pairs = [_matrices(b, m, float(padding), i == grid.ndim - 1) for i, (b, m) in enumerate(zip(grid.bases, modes, strict=True))]
    widths = [(0, 0)] * (grid.ndim - 1) + [(0, spare)]
    return [(np.pad(f, ((0, 0), w)).astype(dtype), np.pad(g, ((0, 0), w)).astype(dtype)) for (f, g), w in zip(pairs, widths, strict=True)]


def _contract(matrix: np.ndarray, z: Array, matrix_axis: int, axis: int) -> Array:
    """Sum over one axis of `z`; the matrix's other axis becomes the first."""
    return lax.dot_general(matrix, z, (((matrix_axis,), (axis,)), ((), ())), precision=_EXACT)


def _turn(z: Array, axis: int) -> Array:
    """Multiply by i: (re, im) -> (-im, re), the pair being `axis`."""
    real, imag = jnp.split(z, 2, axis)
    return jnp.concatenate([-imag, real], axis)


def _analyse(v: Array, matrices: Matrices, modes: tuple[int, ...], exchange: Any = lambda z: z) -> Float[Array, "*kept in 2 batch"]:
    """Coefficients of the kept modes. The last axis first: it shrinks the data most, and its product reads `v` in order. `exchange`:
    before the first axis, which is the last to be transformed."""
    d = len(modes)
    z = lax.dot_general(v, matrices[-1][0], (((v.ndim - 1,), (1,)), ((), ())), precision=_EXACT)
    z = z.reshape(*v.shape[:-1], modes[-1], 2)
    z = jnp.transpose(z, (*range(2, d + 2), 0, d + 2, 1))
    for i in reversed(range(d - 1)):
        z = _contract(matrices[i][0], exchange(z) if i == 0 else z, 1, d - 2)
        cosine, sine = z[: modes[i]], _turn(z[modes[i] :], d + 1)
        z = jnp.concatenate([cosine[:1], cosine[1:] - sine, cosine[1:] + sine])
    return z


def _synthesise(u_hat: Float[Array, "*kept out 2 batch"], matrices: Matrices, modes: tuple[int, ...],
                exchange: Any = lambda z: z) -> Array:
    """Values on the grid from the coefficients of the kept modes: the transpose of `_analyse` up to weights."""
    d, z = len(modes), u_hat
    for i in range(d - 1):
        z = jnp.moveaxis(z, i, 0)
        plus, minus = z[1 : modes[i]], z[modes[i] :]
        z = jnp.concatenate([z[:1], plus + minus, _turn(plus - minus, d + 1)])
        z = _contract(matrices[i][1], z, 0, 0)
        z = exchange(z) if i == 0 else z
    z = jnp.transpose(z, (d, d + 2, *reversed(range(d - 1)), d - 1, d + 1))
    z = z.reshape(*z.shape[:-2], 2 * modes[-1])
    return lax.dot_general(z, matrices[-1][1], (((z.ndim - 1,), (0,)), ((), ())), precision=_EXACT)


# FFT form.


@lru_cache(maxsize=512)
def _fft_length(basis: AbstractBasis, padding: float) -> int:
    """P / h where the nodes are equispaced and h divides P; else 0: no FFT there."""
    gaps = np.diff(basis.nodes)
    ratio = basis.n if basis.periodic else _period(basis, padding) / gaps.mean()
    uniform = np.allclose(gaps, gaps.mean(), rtol=1e-9, atol=0)
    return round(ratio) if uniform and abs(ratio - round(ratio)) < 1e-6 * ratio and round(ratio) >= basis.n else 0


def _fft(v: Array, grid: Grid, modes: tuple[int, ...], lengths: tuple[int, ...]) -> Float[Array, "*kept in 2 batch"]:
    for i, b in enumerate(grid.bases):
        quadrature = b.weights / b.weights.max()  # the trapezoidal rule's ends; 1 elsewhere
        if not np.all(quadrature == 1):
            v = v * quadrature.reshape([-1 if j == i + 2 else 1 for j in range(v.ndim)]).astype(v.dtype)
    z = jnp.fft.rfft(v, n=lengths[-1], axis=-1, norm="forward")[..., : modes[-1]]
    for i, (m, n) in enumerate(zip(modes[:-1], lengths[:-1], strict=True)):
        z = jnp.fft.fft(z, n=n, axis=i + 2, norm="forward")
        kept = [lax.slice_in_dim(z, 0, m, axis=i + 2), jnp.flip(lax.slice_in_dim(z, n - m + 1, n, axis=i + 2), i + 2)]
        z = jnp.concatenate(kept, axis=i + 2)
    z = jnp.transpose(z, (*range(2, z.ndim), 0, 1))
    return jnp.stack([z.real, z.imag], axis=-2)


def _inverse_fft(u_hat: Array, grid: Grid, modes: tuple[int, ...], lengths: tuple[int, ...]) -> Array:
    z = lax.complex(u_hat[..., 0, :], u_hat[..., 1, :])
    z = jnp.transpose(z, (z.ndim - 2, z.ndim - 1, *range(z.ndim - 2)))
    for i, (m, n) in enumerate(zip(modes[:-1], lengths[:-1], strict=True)):
        axis = i + 2
        gap = jnp.zeros((*z.shape[:axis], n - 2 * m + 1, *z.shape[axis + 1 :]), z.dtype)
        negative = jnp.flip(lax.slice_in_dim(z, m, 2 * m - 1, axis=axis), axis)
        z = jnp.concatenate([lax.slice_in_dim(z, 0, m, axis=axis), gap, negative], axis=axis)
        z = jnp.fft.ifft(z, axis=axis, norm="forward")
    u = jnp.fft.irfft(z, n=lengths[-1], axis=-1, norm="forward")
    return u[(slice(None), slice(None), *(slice(n) for n in grid.shape))]
