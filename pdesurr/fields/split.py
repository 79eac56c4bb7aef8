"""Fields too large for a device: a grid dealt out to devices by slices of its first axis."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Complex, Float, Int

from pdesurr.checks import require
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.grid import Grid

BATCH, SPACE = "batch", "space"


class Split(NamedTuple):
    """A grid whose first axis is dealt to `parts` devices in equal slices, inside `jax.shard_map` over the mesh axis `axis`."""

    axis: str
    parts: int


def local_shape(grid: Grid, split: Split | None) -> tuple[int, ...]:
    """The nodes of a device's slice (all, without a split). Raises `UsageError` where the slices would not be equal."""
    if split is None:
        return grid.shape
    require(grid.shape[0] % split.parts == 0, "grid", f"a first axis of a multiple of {split.parts} nodes, one slice a device", grid)
    return (grid.shape[0] // split.parts, *grid.shape[1:])


def halo(v: Float[Array, "..."], width: int, axis: int, split: Split) -> Float[Array, "..."]:
    """This device's slice of a periodic array with `width` entries of either neighbour at its ends along `axis`, the split one: two
    messages (collective permutes), whatever the number of devices. Inside `shard_map`. Raises `UsageError` for a width above a slice's."""
    n = v.shape[axis]
    require(1 <= width <= n, "width", f"from 1 to {n}, the entries of a slice", width)
    ring = lambda step: [(i, (i + step) % split.parts) for i in range(split.parts)]  # noqa: E731
    before = lax.ppermute(lax.slice_in_dim(v, n - width, n, axis=axis), split.axis, ring(1))
    after = lax.ppermute(lax.slice_in_dim(v, 0, width, axis=axis), split.axis, ring(-1))
    return jnp.concatenate([before, v, after], axis)


class _DealtBasis(FourierBasis):
    """A Fourier basis whose half spectrum has columns of no meaning at its end, always zero, so that `parts` devices share it equally."""

    parts: int = eqx.field(static=True, default=1)

    def indices(self, half: bool) -> Int[np.ndarray, " m"]:
        kept = self.n // 2 + 1
        return np.arange(-(-kept // self.parts) * self.parts) if half else super().indices(half)


class SplitGrid(Grid):
    """A periodic grid of at least two axes whose fields no device holds whole: their first axis is dealt to devices in slices, and so are,
    of their coefficients, the modes of the last axis. What reads a `Grid` reads this one: an equation solves on it, under one `jit`.

    A transform works on the axes that a device has whole, makes one exchange (all-to-all), and works on the first. Half a spectrum is as
    wide as the devices can share: its last columns may lie beyond the Nyquist mode, and are zero.

    `devices`: a sequence, or an array `(batch, space)` that also says how samples are shared. Raises `UsageError` for other bases and where
    the devices do not divide the first axis.
    """

    mesh: Mesh = eqx.field(static=True)

    def __init__(self, grid: Grid, devices: Sequence[Any] | np.ndarray):
        plain = type(grid) is Grid
        require(plain and grid.fourier and grid.ndim > 1, "grid", "a Grid of at least two Fourier axes", grid)
        devices = np.asarray(devices)
        different = all(isinstance(d, jax.Device) for d in devices.ravel()) and len(set(devices.ravel())) == devices.size > 0
        require(different and devices.ndim in (1, 2), "devices", "different devices, a list or an array (batch, space)", devices.tolist())
        self.mesh = Mesh(devices.reshape(-1, devices.shape[-1]), (BATCH, SPACE))
        local_shape(grid, self.split)
        last = grid.bases[-1]
        dealt = _DealtBasis(last.n, last.lower, last.upper, devices.shape[-1])
        super().__init__([*grid.bases[:-1], dealt], grid.names)

    @property
    def split(self) -> Split:
        return Split(SPACE, self.mesh.shape[SPACE])

    def with_shape(self, *shape: int) -> "SplitGrid":
        require(len(shape) == self.ndim, "shape", f"{self.ndim} numbers of nodes", shape)
        bases = [FourierBasis(n, b.lower, b.upper) for n, b in zip(shape, self.bases, strict=True)]  # pyright: ignore
        return SplitGrid(Grid(bases, self.names), self.mesh.devices)

    def place(self, u: Array | np.ndarray, batched: bool = False) -> Array:
        """Values `(*grid, ...)`, or `(batch, *grid, ...)`, dealt to the devices. A solver deals what it is given by itself."""
        shape = np.shape(u)[1:] if batched else np.shape(u)
        require(shape[: self.ndim] == self.shape, "u", f"values on {self.shape} nodes" + ", behind a batch axis" * batched, np.shape(u))
        return jax.device_put(u, NamedSharding(self.mesh, P(BATCH, SPACE) if batched else P(SPACE)))

    def transform(self, u: Float[Array, "..."]) -> Complex[Array, "..."]:
        d, columns = self.ndim, self.shape_hat()[-1]

        def local(v: Array) -> Array:
            z = jnp.fft.rfftn(v, axes=range(1, d), norm="forward")
            z = jnp.pad(z, [(0, columns - z.shape[i] if i == d - 1 else 0) for i in range(z.ndim)])
            z = lax.all_to_all(z, SPACE, d - 1, 0, tiled=True)
            return jnp.fft.fft(z, axis=0, norm="forward")

        return self.on_slices(local, P(SPACE), P(*(None,) * (d - 1), SPACE))(u)

    def transform_known(self, u: Array) -> Complex[np.ndarray, "..."]:
        hat = np.asarray(super().transform(u))
        return np.pad(hat, [(0, m - n) for m, n in zip(self.shape_hat(), hat.shape, strict=True)])

    def inverse(self, u_hat: Complex[Array, "..."], half: bool = True) -> Float[Array, "..."]:
        require(half, "half", "the coefficients of a real function", half)
        d = self.ndim

        def local(z: Array) -> Array:
            z = lax.all_to_all(jnp.fft.ifft(z, axis=0, norm="forward"), SPACE, 0, d - 1, tiled=True)
            return jnp.fft.irfftn(z, s=self.shape[1:], axes=range(1, d), norm="forward")

        return self.on_slices(local, P(*(None,) * (d - 1), SPACE), P(SPACE))(u_hat)

    def on_slices(self, function: Callable, given: P = P(SPACE), found: P = P(SPACE)) -> Callable:  # noqa: B008
        """`function` of one array on each device's part of it: its first axis, unless said otherwise."""
        return jax.shard_map(function, mesh=self.mesh, in_specs=given, out_specs=found, axis_names={SPACE})
