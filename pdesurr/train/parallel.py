"""Running the step's text over devices: `shard_map` (the engine) or `pmap` (a thin adapter that agrees with it).

Plain `jit` with a sharded batch gathers the whole batch at every FFT on jax 0.10 and 0.11; `shard_map` does not.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.models.fno import FNO
from pdesurr.nn.spectral_conv import SpectralConv
from pdesurr.nn.split import Split, local_shape
from pdesurr.train.processes import spread
from pdesurr.train.step import AXIS
from pdesurr.types import Samples

SPACE = "space"
Parallel = Literal["shard_map", "pmap"]


def check_devices(devices: Sequence[Any], batch_size: int, accumulate: int = 1, kind: Parallel = "shard_map") -> None:
    unit = len(devices) * accumulate
    said = f"the {len(devices)} devices" + (f" times accumulate={accumulate}" if accumulate > 1 else "")
    require(batch_size % unit == 0, "batch_size", f"a multiple of {said}", batch_size,
            f"take {max(1, batch_size // unit) * unit}, or {'a smaller accumulate' if accumulate > 1 else 'fewer devices'}")
    require(kind == "shard_map" or jax.process_count() == 1, "parallel", "'shard_map' for several processes", kind)


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


def over_slices(model: FNO, devices: Sequence[Any]) -> Callable[[Samples], Array]:
    """`model` on batches of fields too large for a device: samples `(batch, *grid, channel)` to answers of that shape, the first axis of
    the grid dealt to the devices, as are the spectral weights by the modes of the last axis. No intermediate is whole on any device, nor
    are samples and weights where the caller has placed them so (`jax.device_put`). Each layer exchanges its kept modes twice, and twice
    more in the backward pass. Differentiable, to be used under `jit`.

    Raises `UsageError` where the devices do not divide the first axis' nodes or the last axis' modes, and for weights held as products.
    """
    require(model.rank is None, "model", "an FNO without rank: a product's entries cannot be dealt out", model.rank)
    require(model.modes[-1] % len(devices) == 0, "modes", f"the last a multiple of the {len(devices)} devices", model.modes)
    split, mesh = Split(SPACE, len(devices)), Mesh(np.asarray(devices), (SPACE,))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    dealt = P(*(None,) * (len(model.modes) - 1), SPACE)

    def specs(node: Any) -> Any:
        return jax.tree.map(lambda _: dealt, node) if isinstance(node, SpectralConv) else P()

    of_params = jax.tree.map(specs, params, is_leaf=lambda node: isinstance(node, SpectralConv))

    def run(a: Samples) -> Array:
        if isinstance(a.points, Grid):  # else the model says what it needs
            local_shape(a.points, split)
        part = lambda p, v: eqx.combine(p, static).batched(Samples(a.points, v, {}), split=split)  # noqa: E731
        return jax.shard_map(part, mesh=mesh, in_specs=(of_params, P(None, SPACE)), out_specs=P(None, SPACE))(params, a.values)

    return run


def replicate(tree: Any, devices: Sequence[Any]) -> Any:
    """The same arrays on every device, of all processes."""
    sharding = NamedSharding(Mesh(np.asarray(devices), (AXIS,)), P())
    if jax.process_count() > 1:
        return spread(tree, sharding)
    return jax.tree.map(partial(jax.device_put, device=sharding), tree)
