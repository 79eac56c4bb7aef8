"""Fields too large for a device: a grid dealt out by its first axis."""

from typing import NamedTuple

from pdesurr.checks import require
from pdesurr.fields import Grid


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
