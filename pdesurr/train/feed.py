"""What the compiled segments of an epoch read: a source on the devices, or blocks of one on the host, the next read meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from pdesurr.checks import require
from pdesurr.data.augment import REACH
from pdesurr.data.sources import AbstractHostSource, AbstractSource, ArraySource
from pdesurr.train.parallel import Layout
from pdesurr.train.step import AXIS

Numbers = Int[Array | np.ndarray, "*member steps batch"]


def feed(source: AbstractSource, numbers: Callable[[int], Numbers], shape: tuple[int, int], layout: Layout, most: int, epochs: int = 1,
         members: int | None = None, split: bool = True) -> "Resident | Streamed":
    """What segments of at most `most` steps read, where an epoch is `(steps, batch)` long; `split`: each device has its own share of a
    batch. Raises `UsageError` for samples on the host where fields or members are dealt out, or where other arrays belong to them."""
    hosts = _hosts(source)
    if not hosts:
        return Resident(source, numbers, shape, layout, most)
    alone = len(jax.tree.leaves(source, is_leaf=_is_host)) == 1
    require(alone, "source", "nothing that is on the devices beside samples on the host", type(source).__name__)
    plain = type(layout) is Layout
    require(plain, "source", "one on the devices (ArraySource) for slices and for parallel='members'", type(source).__name__)
    return Streamed(source, hosts[0], numbers, shape, layout, most, epochs, members, split)


class Resident:
    """`feed(epoch, step)`: for one segment of at most `segment` steps of an epoch after another, from `step` on, the source that it reads
    and the numbers of its samples there, `([member,] steps, batch)`, of the epoch's `numbers(epoch)`. Here it is the source itself."""

    axis = member_axis = None

    def __init__(self, source: AbstractSource, numbers: Callable[[int], Numbers], shape: tuple[int, int], layout: Layout, most: int):
        self.numbers, self.steps, self.arrays = numbers, shape[0], layout.source(source)
        self.segment = _even_part(self.steps, most)

    def __call__(self, epoch: int, step: int = 0) -> Iterator[tuple[AbstractSource, Numbers]]:
        numbers = self.numbers(epoch)
        for start in range(step, self.steps, self.segment):
            yield self.arrays, numbers[..., start : start + self.segment, :]


class Streamed:
    """The same of samples on the host: the source of a segment is an `ArraySource` of its block of them, the numbers are those there.

    With `split` each device has its own share of the block, along axis `axis` of the arrays, and a process reads those of its devices
    alone; members have their own along `member_axis`. The block after it is read, and put on the devices, while the caller computes;
    after the last of an epoch, but not of the last of `epochs`, that is the next epoch's first. Results are those of `Resident` to the bit,
    unless a segment is of a single step: the compiler unrolls it, and may round otherwise.
    """

    def __init__(self, source: AbstractSource, host: AbstractHostSource, numbers: Callable[[int], Numbers], shape: tuple[int, int],
                 layout: Layout, most: int, epochs: int, members: int | None, split: bool):
        self.source, self.host, self.numbers, self.epochs, (self.steps, batch) = source, host, numbers, epochs, shape
        one = self.host.read(np.zeros(1, np.int64))
        self.like = ArraySource(*one, self.host.grid)
        step_bytes = sum(v.nbytes for v in one) * batch * (members or 1)
        require(self.host.memory >= 2 * step_bytes, "memory", f"at least {2 * step_bytes} bytes, two batches", self.host.memory)
        most = min(most, self.steps, self.host.memory // (2 * step_bytes))
        self.segment = _even_part(self.steps, most)
        if 2 * self.segment < most:  # one shorter at the end costs a compilation, segments far too short cost more
            about = (-(-self.steps // parts) for parts in range(-(-self.steps // most), self.steps))
            self.segment = next((s for s in about if self.steps % s != 1), self.segment)
        self.member_axis = 0 if members else None
        self.axis = (1 if members else 0) if split else None
        self.shares = np.asarray([d.process_index for d in layout.devices] if split else [jax.process_index()])
        spec = P(*(None,) * self.axis, AXIS) if self.axis is not None else P()
        self.sharding = NamedSharding(Mesh(np.asarray(layout.devices), (AXIS,)), spec)
        self.x64 = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
        self.pool = ThreadPoolExecutor(1, "pdesurr-reader")
        self.ahead: tuple[tuple[int, int] | None, Future | None] = (None, None)

    def __call__(self, epoch: int, step: int = 0) -> Iterator[tuple[AbstractSource, Numbers]]:
        numbers = np.asarray(self.numbers(epoch))
        for start in range(step, self.steps, self.segment):
            at, future = self.ahead
            if future is None or at != (epoch, start):
                future = self._begin(epoch, start, numbers)
            block = future.result()
            stop = start + self.segment
            if stop < self.steps:
                self._begin(epoch, stop, numbers)
            elif epoch + 1 < self.epochs:
                self._begin(epoch + 1, 0, np.asarray(self.numbers(epoch + 1)))
            else:
                self.ahead = (None, None)
            del future  # it holds the block, which the caller is to give up first
            yield block
            del block

    def _begin(self, epoch: int, start: int, numbers: np.ndarray) -> Future:
        future = self.pool.submit(self._block, numbers[..., start : start + self.segment, :])
        self.ahead = ((epoch, start), future)
        return future

    def _block(self, numbers: np.ndarray) -> tuple[AbstractSource, Numbers]:
        """The samples with those numbers, device after device in the order of use, on the devices."""
        *members, steps, batch = numbers.shape
        share = batch // len(self.shares)
        dealt = np.moveaxis(numbers.reshape(*members, steps, -1, share), -2, -3)[..., self.shares == jax.process_index(), :, :]
        values = [v.reshape(*members, -1, *v.shape[1:]) for v in self.host.read(dealt.ravel() % REACH)]
        with jax.enable_x64(self.x64):  # a setting of the caller's thread
            arrays = jax.make_array_from_process_local_data(self.sharding, tuple(values))
        block = eqx.tree_at(lambda s: (s.inputs, s.outputs), self.like, arrays)
        local = np.tile(np.arange(steps * share).reshape(steps, share), (1, len(self.shares))) + numbers - numbers % REACH
        return jax.tree.map(lambda s: block if s is self.host else s, self.source, is_leaf=_is_host), local.astype(numbers.dtype)


def _hosts(source: AbstractSource) -> list[AbstractHostSource]:
    return [s for s in jax.tree.leaves(source, is_leaf=_is_host) if _is_host(s)]


def _is_host(x: Any) -> bool:
    return isinstance(x, AbstractHostSource)


def _even_part(steps: int, most: int) -> int:
    """The largest number up to `most` that divides `steps`."""
    return max(s for s in range(1, min(steps, most) + 1) if steps % s == 0)
