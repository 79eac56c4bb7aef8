"""What every recogniser hands over, and what they share: fields, the default map, numbers from attributes."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pdesurr.checks import require
from pdesurr.data._guard import blocks, refuse
from pdesurr.data.schema import NAME, RESERVED, Channel, DatasetInfo, Field, Number, axis_kind

Values = dict[str, np.ndarray]
NAME_THEM = "name the arrays with --input and --output"


@dataclasses.dataclass(frozen=True)
class Layout:
    """A foreign file as the data file that it will become.

    `name`: of the layout, for people. `info`: the description to write, without `n`. `read(start, stop)`: those samples of
    every field, `(m, [time,] *grid[, d])`, and of every number per sample, `(m,)`. `assumed`: what the file does not say.
    """

    name: str
    info: DatasetInfo
    n: int
    read: Callable[[int, int], Values]
    assumed: tuple[str, ...] = ()

    def blocks(self, limit: int | None = None) -> Iterator[Values]:
        """All samples, or the first `limit`, a few at a time: at least one, about 32 MiB otherwise."""
        record = sum(int(np.prod(self.info.record_shape(f))) for f in self.info.fields) * np.dtype(self.info.dtype).itemsize
        for start, stop in blocks(self.n if limit is None else min(limit, self.n), record):
            yield self.read(start, stop)

    def describe(self) -> dict[str, Any]:
        """What `import` would make of the file, for JSON."""
        info = self.info
        return {
            "name": self.name,
            "samples": self.n,
            "grid": ", ".join(
                f"{name}: {b.n} on ({b.lower:.6g}, {b.upper:.6g}), {axis_kind(b)}"
                for name, b in zip(info.grid.names, info.grid.bases, strict=True)
            ),
            "fields": {f.name: f"{f.kind} {info.record_shape(f)}, unit {f.unit}" for f in info.fields},
            "times": f"{len(info.times)} from {info.times[0]:.6g} to {info.times[-1]:.6g}" if info.times else "none",
            "parameters": dict(info.parameters),
            "numbers per sample": list(info.scalars),
            "input": [channel_name(c) for c in info.input],
            "output": [channel_name(c) for c in info.output],
            "assumed": list(self.assumed),
        }


def channel_name(channel: Channel) -> str:
    """`u@0`, or `a` for a field without time."""
    return channel[0] if channel[1] is None else f"{channel[0]}@{channel[1]}"


def channel_of(text: str, info: DatasetInfo) -> Channel:
    """The channel that `name` or `name@index` means; negative indices count from the end. Raises `UsageError`."""
    name, _, index = text.partition("@")
    count = len(info.times) if info.field(name).in_time else 0
    if not count:
        require(index == "", f"channel {text}", "a name without @index, since the field has no time", text)
        return name, None
    ok = re.fullmatch(r"-?\d{1,9}", index) is not None and -count <= int(index) < count
    require(ok, f"channel {text}", f"{name}@index with an index in {-count}..{count - 1}", text)
    return name, int(index) % count


def default_map(fields: tuple[Field, ...], times: int, target: str | None = None) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    """Fields without time and the first frame in, the last frame out; without times, all but `target` (or the last) in."""
    still = [f.name for f in fields if not f.in_time]
    moving = [f.name for f in fields if f.in_time]
    if moving:
        first = [(name, 0) for name in moving] if times > 1 or not still else []
        return (*((name, None) for name in still), *first), tuple((name, times - 1) for name in moving)
    target = target or still[-1]
    return tuple((name, None) for name in still if name != target), ((target, None),)


def safe_name(text: str) -> str:
    """A name that a data file takes, as close to `text` as there is one."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:60]
    return clean if NAME.fullmatch(clean) else f"f_{clean}"


def parameters_of(attributes: Mapping[str, Any]) -> dict[str, Number]:
    """The finite single numbers among attributes whose names a data file takes for parameters."""
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(value, Number) and np.isfinite(value) and NAME.fullmatch(name) and name not in RESERVED
    }


def stored_dtype(dtypes: list[np.dtype]) -> str:
    """float64 where one of the arrays is; everything else fits float32 or is refused when it is read."""
    return "float64" if any(d.kind == "f" and d.itemsize == 8 for d in dtypes) else "float32"


def real(values: np.ndarray, name: str, path: Any) -> np.ndarray:
    """float32 or float64; integers and masks only if float32 holds them exactly."""
    if values.dtype.kind == "f":
        return values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32, copy=False)
    as_real = values.astype(np.float32)
    if values.dtype.kind in "iu" and not np.array_equal(as_real.astype(np.float64), values.astype(np.float64)):
        wrong = f"holds {values.dtype} numbers that float32 cannot hold"
        raise refuse(path, name, wrong, "convert the array to float64 first")
    return as_real


def times_of(values: np.ndarray, count: int, path: Any, name: str) -> tuple[float, ...]:
    """The first `count` times of a list that may be longer (PDEBench's is by one), or that repeats itself for every sample."""
    values = np.asarray(values, np.float64)
    if values.ndim == 2 and min(values.shape) > 1 and not (values == values[0]).all():
        raise refuse(path, name, "differs between samples", "only samples at common times are read: split the file by times")
    if values.ndim == 2:
        values = values[0] if values.shape[0] == 1 or values.shape[1] > 1 else values[:, 0]
    if values.ndim != 1 or len(values) < count:
        raise refuse(path, name, f"has shape {values.shape}, but there are {count} frames", "store one time per frame")
    return tuple(float(t) for t in values[:count])
