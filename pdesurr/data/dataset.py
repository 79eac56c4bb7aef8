"""What the reader hands over: pairs to learn from, in host memory."""

import dataclasses

import numpy as np
from jaxtyping import Float

from pdesurr.checks import require
from pdesurr.data.schema import DatasetInfo
from pdesurr.fields import Grid


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Pairs to learn from, in host memory: `inputs (n, *grid, c_in)` and `outputs (n, *grid, c_out)` on `grid`.

    `scalars`: numbers per sample by name, `(n,)` float64. `info` describes the file: its own grid may be finer than
    `grid`.
    """

    inputs: Float[np.ndarray, "n *grid c_in"]
    outputs: Float[np.ndarray, "n *grid c_out"]
    grid: Grid
    info: DatasetInfo
    scalars: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def split(self, *ranges: tuple[int, int]) -> tuple["Dataset", ...]:
        """One dataset per range `(start, stop)` of samples, without copies: `train, test = data.split((0, 900), (900,
        1000))`.

        Raises `UsageError` for a range outside the data and for two that share a sample.
        """
        check_ranges(ranges, len(self))
        return tuple(self._part(slice(start, stop)) for start, stop in ranges)

    def _part(self, part: slice) -> "Dataset":
        scalars = {name: values[part] for name, values in self.scalars.items()}
        return dataclasses.replace(self, inputs=self.inputs[part], outputs=self.outputs[part], scalars=scalars)


def check_ranges(ranges: tuple[tuple[int, int], ...], n: int) -> None:
    """Raise `UsageError` unless they are ranges `(start, stop)` of `n` samples, no two of which share one."""
    before = 0
    for start, stop in sorted(ranges):
        require(0 <= start < stop <= n, "rows", f"ranges (start, stop) with 0 <= start < stop <= {n}", (start, stop))
        require(before <= start, "rows", "ranges that share no sample", ranges)
        before = stop
