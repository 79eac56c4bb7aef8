"""The factorised Fourier neural operator: one-dimensional transforms along each axis, summed."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require_counts, require_list_of_counts
from pdesurr.fields import Grid
from pdesurr.nn.activation import gelu
from pdesurr.nn.pointwise import Pointwise, check_flags, coordinate_channels, only_on_grid
from pdesurr.nn.spectral_conv import SpectralConv
from pdesurr.types import Key, Samples, batch_of_one


class FFNO(eqx.Module):
    """v_{l+1} = v_l + M2_l gelu(M1_l sum_i K_i v_l),  K_i the Fourier layer along axis i alone, the same for all l.

    K_i keeps `modes[i]` wavenumbers of its axis and all structure of the others, so the weights grow with the sum of the modes, not
    with their product; the residual is added after the nonlinearity, which lets it be deep. Lifting and head act at each point.

    Shapes: values `(*grid, in_channels)` on `a.points`, to `(*grid, out_channels)` on the same grid; any resolution of the same
    box. Good values: modes 16, width 64, depth 4-24, expansion 4; one step of an evolution rather than many. `padding` and
    `coordinates` as in `FNO`. Raises `UsageError` as `FNO` does. Source: Tran et al., ICLR 2023 (arXiv 2111.13802).
    """

    lifting: Pointwise
    spectral: tuple[SpectralConv, ...]
    blocks: tuple[tuple[Pointwise, Pointwise], ...]
    head: tuple[Pointwise, Pointwise]
    padding: float = eqx.field(static=True)
    coordinates: tuple[bool, ...] = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], width: int, depth: int = 4, *, expansion: int = 4,
                 padding: float = 0.125, coordinates: tuple[bool, ...] | None = None, head_width: int = 128, key: Key):
        require_list_of_counts(modes=modes)
        coordinates = check_flags("coordinates", coordinates, len(modes))
        require_counts(in_channels=in_channels, out_channels=out_channels, width=width, depth=depth, expansion=expansion,
                       head_width=head_width)
        key_in, key_spectral, key_blocks, key_out = jax.random.split(key, 4)
        self.lifting = Pointwise(in_channels + sum(coordinates), width, key=key_in)
        self.spectral = tuple(SpectralConv(width, width, (m,), key=k)
                              for m, k in zip(modes, jax.random.split(key_spectral, len(modes)), strict=True))
        self.blocks = tuple(_pair(width, expansion * width, width, k) for k in jax.random.split(key_blocks, depth))
        self.head = _pair(width, head_width, out_channels, key_out)
        self.padding, self.coordinates = float(padding), coordinates

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key."""
        width = self.lifting.weight.shape[-2]
        return {"in_channels": self.lifting.weight.shape[-1] - sum(self.coordinates), "out_channels": self.head[1].weight.shape[-2],
                "modes": [s.modes[0] for s in self.spectral], "width": width, "depth": len(self.blocks),
                "expansion": self.blocks[0][0].weight.shape[-2] // width, "padding": self.padding,
                "coordinates": list(self.coordinates), "head_width": self.head[0].weight.shape[-2]}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        del key
        grid = only_on_grid(a, x, len(self.spectral), self.arguments["in_channels"])
        v = coordinate_channels(jnp.moveaxis(a.values, -1, 0), grid, self.coordinates)
        shape = v.shape[1:]
        v = self.lifting(v.reshape(v.shape[0], -1))
        for inner, outer in self.blocks:
            v = v + outer(gelu(inner(self._along_axes(v.reshape(-1, *shape), grid).reshape(v.shape))))
        u = self.head[1](gelu(self.head[0](v)))
        return jnp.moveaxis(u.reshape(-1, *shape), 0, -1)

    def _along_axes(self, v: Float[Array, "width batch *grid"], grid: Grid) -> Float[Array, "width batch *grid"]:
        """sum_i K_i v: for each axis the others are more batch."""
        total = jnp.zeros_like(v)
        for i, (spectral, basis) in enumerate(zip(self.spectral, grid.bases, strict=True)):
            moved = jnp.moveaxis(v, i + 2, -1)
            u = spectral(moved.reshape(v.shape[0], -1, basis.n), Grid([basis]), padding=self.padding)
            total = total + jnp.moveaxis(u.reshape(moved.shape), -1, i + 2)
        return total


def _pair(first: int, hidden: int, last: int, key: Key) -> tuple[Pointwise, Pointwise]:
    keys = jax.random.split(key)
    return Pointwise(first, hidden, key=keys[0]), Pointwise(hidden, last, key=keys[1])
