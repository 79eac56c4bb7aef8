"""The U-Net, in any number of axes and for any number of nodes. Its network is written in Flax (`pdesurr.models.flax`)."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from pdesurr.checks import require, require_counts
from pdesurr.fields import Grid
from pdesurr.nn.convolution import ENDS, paddings
from pdesurr.nn.pointwise import only_on_grid
from pdesurr.types import Key, Samples, batch_of_one


class UNet(eqx.Module):
    """An encoder and a decoder of convolutions, joined on each of `levels` grids:

        e_0 = B a,  e_l = B D e_{l-1};    d = e_{levels-1},  then back up  d <- B [e_l, U d];    u = Q d,

    each block B v = W v + gelu(N C gelu(N C v)) of `width` 2^l channels: C convolutions of 3 nodes per axis, N a group
    normalisation, W a matrix at each point, which carries the amplitude that N takes away; D a convolution of 3 nodes with stride
    2, n nodes to ceil(n / 2); U a transposed convolution of 2 nodes with stride 2, its last node cropped where n is odd; Q a matrix.

    Shapes: values `(*grid, in_channels)` on `a.points`, to values `(*grid, out_channels)` on the same grid. Reads no `a.params`.
    Any number of nodes above 2^(levels - 1) per axis is computed, but stencils are counted in nodes: a trained U-Net holds at the
    resolution it was trained at. On a periodic axis whose size is even on every level but the coarsest, a shift of the input by
    2^(levels - 1) nodes shifts the output.
    `boundary`: "periodic", "dirichlet" or "neumann" per axis, which is how each convolution continues its input; None asks the
    grid's bases (see `pdesurr.nn.convolution.paddings`). `groups`: the channels of a block are normalised in that many groups.
    Good values: width 32, levels 4 at 64 nodes an axis, learning rate 1e-3.

    Raises `UsageError` for a wrong channel count, setting or grid, and for an `x` that is not the input's grid.
    Source: Ronneberger, Fischer and Brox, MICCAI 2015 (arXiv 1505.04597), with strided convolutions for pooling, and with the
    normalisation and W. The U-Net that Li et al. (ICLR 2021) compare with has 24,950,491 parameters; this is not that one.
    """

    network: Any
    sizes: tuple[int, ...] = eqx.field(static=True)
    boundary: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, dimension: int, width: int = 32, levels: int = 4, *, groups: int = 8,
                 boundary: tuple[str, ...] | None = None, key: Key):
        self.sizes = (in_channels, out_channels, dimension, width, levels, groups)
        require_counts(in_channels=in_channels, out_channels=out_channels, dimension=dimension, width=width, levels=levels, groups=groups)
        require(width % groups == 0, "groups", f"a divisor of the width {width}", groups)
        require(boundary is None or (len(boundary) == dimension and set(boundary) <= set(ENDS)), "boundary",
                f"None, or one of {', '.join(ENDS)} for each of {dimension} axes", boundary)
        self.boundary = None if boundary is None else tuple(boundary)
        from pdesurr.models import flax  # here: nobody else waits for flax

        self.network = flax.unet(*self.sizes, key=key)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        names = ("in_channels", "out_channels", "dimension", "width", "levels", "groups")
        return {**dict(zip(names, self.sizes, strict=True)), "boundary": None if self.boundary is None else list(self.boundary)}

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample: a batch of one."""
        return self.batched(batch_of_one(a), x, key=key)[0]

    def batched(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "batch *grid out"]:
        """A batch of samples on one grid: values `(batch, *grid, channel)`."""
        del key
        in_channels, _, dimension, _, levels, _ = self.sizes
        grid = only_on_grid(a, x, dimension, in_channels)
        least = 2 ** (levels - 1)
        require(min(grid.shape) > least, "a.points", f"more than {least} nodes per axis for {levels} levels", grid.shape,
                "make the model with fewer levels")
        return self.network(a.values, paddings(grid, self.boundary))
