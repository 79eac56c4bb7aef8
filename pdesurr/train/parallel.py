"""Running the step's text over devices: `shard_map` (the engine) or `pmap` (a thin adapter that agrees with it).

Plain `jit` with a sharded batch gathers the whole batch at every FFT on jax 0.10 and 0.11; `shard_map` does not.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from pdesurr.checks import expected, is_whole, require
from pdesurr.train.processes import own, placed, spread
from pdesurr.train.state import TrainState
from pdesurr.train.step import AXIS
from pdesurr.types import Objective

Parallel = Literal["shard_map", "pmap", "members"]


def check_places(devices: Any, kind: Any, slices: Any, folder: Any) -> None:
    """Raise `UsageError` for what is no place to train at."""
    require(kind in get_args(Parallel), "parallel", f"one of {', '.join(get_args(Parallel))}", kind)
    require(is_whole(slices) and slices >= 1, "slices", "a whole number >= 1", slices)
    require(folder is None or (isinstance(folder, str | Path) and folder != ""), "folder", "the name of a folder", folder)
    require(folder is None or not Path(folder).is_file(), "folder", "the name of a folder", f"the file {folder}")
    sound = devices is None or (isinstance(devices, Sequence) and len(devices) > 0 and all(isinstance(d, jax.Device) for d in devices)
                                and len(set(devices)) == len(devices))
    require(sound, "devices", "different devices, such as jax.devices()[:2]", devices)


def check_members(model: Any, members: int | None) -> None:
    """Raise `UsageError` unless every array of an ensemble's model leads with its members."""
    if members is not None:
        shapes = [v.shape for v in jax.tree.leaves(model) if eqx.is_inexact_array(v)]
        odd = next((s for s in shapes if s[:1] != (members,)), None)
        require(odd is None, "model", f"arrays that lead with the {members} members", f"one of shape {odd}",
                "make it by eqx.filter_vmap(lambda key: FNO(..., key=key))(jax.random.split(key, members))")


def check_devices(devices: Sequence[Any], batch_size: int, accumulate: int = 1, kind: Parallel = "shard_map", slices: int = 1) -> None:
    if kind == "members":  # each device has whole batches
        devices = devices[:1]
    unit = max(1, len(devices) // slices) * accumulate
    times = [f"times accumulate={accumulate}"] * (accumulate > 1)
    said = " ".join([f"the {len(devices)} devices", *[f"over slices={slices}"] * (slices > 1), *times])
    require(batch_size % unit == 0, "batch_size", f"a multiple of {said}", batch_size,
            f"take {max(1, batch_size // unit) * unit}, or {'a smaller accumulate' if accumulate > 1 else 'fewer devices'}")
    require(kind != "pmap" or jax.process_count() == 1, "parallel", "another than 'pmap' for several processes", kind)
    require(kind != "members" or accumulate == 1, "accumulate", "1 where members are dealt out", accumulate)
    require(kind == "shard_map" or slices == 1, "parallel", "'shard_map' for slices", kind)


def over_devices(function: Callable, devices: Sequence[Any], batch_specs: tuple[int | None, ...], kind: Parallel = "shard_map",
                 donate: tuple[int, ...] = ()) -> Callable:
    """`function(*args)` on every device, compiled: argument i is split along axis `batch_specs[i]`, or replicated if None.

    Results are replicated. `donate` lists arguments whose memory may be reused.
    """
    if all(axis is None for axis in batch_specs):  # nothing to split: every device does all of it
        return jax.jit(function, donate_argnums=donate)
    if kind == "pmap":
        return _over_pmap(function, devices, batch_specs)
    mesh = Mesh(np.asarray(devices), (AXIS,))
    specs = tuple(P() if axis is None else P(*(None,) * axis, AXIS) for axis in batch_specs)
    compiled = jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P()), donate_argnums=donate)
    if jax.process_count() == 1:
        return compiled
    return lambda *args: compiled(*(a if axis is None else spread(a, NamedSharding(mesh, spec))
                                    for a, axis, spec in zip(args, batch_specs, specs, strict=True)))


def _over_pmap(function: Callable, devices: Sequence[Any], batch_specs: tuple[int | None, ...]) -> Callable:
    n = len(devices)
    mapped = jax.pmap(function, axis_name=AXIS, in_axes=tuple(None if axis is None else 0 for axis in batch_specs), devices=devices)

    def split(x: Any, axis: int) -> Any:
        return jax.tree.map(lambda v: jnp.moveaxis(v.reshape(*v.shape[:axis], n, -1, *v.shape[axis + 1 :]), axis, 0), x)

    def run(*args: Any) -> Any:
        args = tuple(a if axis is None else split(a, axis) for a, axis in zip(args, batch_specs, strict=True))
        return jax.tree.map(lambda v: v[0], mapped(*args))  # every device holds the same: gradients were averaged

    return run


def replicate(tree: Any, devices: Sequence[Any]) -> Any:
    """The same arrays on every device, of all processes."""
    sharding = NamedSharding(Mesh(np.asarray(devices), (AXIS,)), P())
    if jax.process_count() > 1:
        return spread(tree, sharding)
    return jax.tree.map(partial(jax.device_put, device=sharding), tree)


class Layout:
    """Where the arrays of a run lie and how its functions are compiled: a batch dealt to all devices, all else on each of them."""

    def __init__(self, devices: Sequence[Any], kind: Parallel = "shard_map"):
        self.devices = devices
        self.kind: Parallel = kind
        self.mean_of: Literal["loss", "gradient"] | None = "gradient" if kind == "pmap" else "loss"

    @property
    def parts(self) -> int:
        """How many devices share a batch."""
        return len(self.devices)

    def objective(self, objective: Objective) -> Objective:
        """What the compiled step calls."""
        return objective

    def compiled(self, function: Callable, batch_specs: tuple[int | None, ...], members: tuple[int, ...] = (),
                 donate: tuple[int, ...] = ()) -> Callable:
        """`function` where the devices are: `batch_specs` as in `over_devices`; `members`: which arguments lead with a member axis."""
        del members
        return over_devices(function, self.devices, batch_specs, self.kind, donate)

    def shardings(self, state: TrainState) -> Any:
        """Where each array of a state lies."""
        everywhere = NamedSharding(Mesh(np.asarray(self.devices), (AXIS,)), P())
        return jax.tree.map(lambda _: everywhere, state)

    def state(self, state: TrainState) -> TrainState:
        return placed(state, self.shardings(state))

    def source(self, source: Any) -> Any:
        return replicate(source, self.devices)

    def whole(self, weights: Any) -> Any:
        """Weights as arrays of this process alone."""
        return own(weights)


class MemberLayout(Layout):
    """The members of an ensemble dealt to the devices: each trains its own, on whole batches, and nothing is exchanged."""

    def __init__(self, devices: Sequence[Any], members: int | None):
        if members is None:
            raise expected("parallel", "'shard_map' for one model", "members", "an ensemble has TrainConfig(seed=(0, 1, ...))")
        require(members % len(devices) == 0, "devices", f"a number of them that divides the {members} members", len(devices),
                f"give devices=jax.devices()[:{math.gcd(members, len(devices))}]")
        super().__init__(devices)
        self.mean_of, self.mesh = None, Mesh(np.asarray(devices), (AXIS,))

    @property
    def parts(self) -> int:
        return 1

    def compiled(self, function: Callable, batch_specs: tuple[int | None, ...], members: tuple[int, ...] = (),
                 donate: tuple[int, ...] = ()) -> Callable:
        specs = tuple(P(AXIS) if i in members else P() for i in range(len(batch_specs)))
        compiled = jax.jit(jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=P(AXIS)), donate_argnums=donate)
        place = lambda a, spec: spread(a, NamedSharding(self.mesh, spec)) if jax.process_count() > 1 else a  # noqa: E731
        return lambda *args: compiled(*(a if isinstance(a, TrainState) else place(a, s) for a, s in zip(args, specs, strict=True)))

    def shardings(self, state: TrainState) -> Any:
        return jax.tree.map(lambda _: NamedSharding(self.mesh, P(AXIS)), state)

    def whole(self, weights: Any) -> Any:
        return own(jax.jit(lambda x: x, out_shardings=NamedSharding(self.mesh, P()))(weights))
