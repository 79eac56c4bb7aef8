"""Training on fields, and with spectral weights, too large for a device: both dealt out to the devices of a mesh (batch, space).

Here the whole step is one `jit` over the mesh and the network one `shard_map` within it: what is not the network (norms, the optimiser)
acts at each point or sums, which the compiler splits without moving fields.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from pdesurr.checks import require
from pdesurr.fields import Grid
from pdesurr.fields.split import BATCH, SPACE, Split, local_shape
from pdesurr.models.fno import FNO
from pdesurr.nn.spectral_conv import SpectralConv
from pdesurr.train.parallel import Layout
from pdesurr.train.processes import own, placed
from pdesurr.train.state import TrainState
from pdesurr.types import Key, Model, Objective, Samples


def mesh_of(devices: Sequence[Any] | np.ndarray, slices: int | None = None) -> Mesh:
    """Devices in rows of `slices` (default: all in one, or the rows of an array): a row holds a field, rows share a batch."""
    devices = np.asarray(devices)
    row = int(devices.shape[-1]) if slices is None else slices
    require(row >= 1 and devices.size % row == 0, "slices", f"a divisor of {devices.size}, the number of devices", slices)
    return Mesh(devices.reshape(-1, row), (BATCH, SPACE))


class Sliced(eqx.Module):
    """An FNO on batches of fields too large for a device: samples `(batch, *grid, channel)` to answers of that shape, the batch dealt to
    the rows of the mesh and the first axis of the grid to the devices of a row, as are the spectral weights by the modes of the last axis.
    No intermediate is whole on any device, nor are samples and weights where the caller has placed them so. Each layer exchanges its kept
    modes twice, and twice more in the backward pass. Differentiable, to be used under `jit`.

    Raises `UsageError` where the devices do not divide the first axis' nodes or the last axis' modes, and for weights held as products.
    """

    model: FNO
    mesh: Mesh = eqx.field(static=True)

    def __check_init__(self):
        parts = self.mesh.shape[SPACE]
        require(self.model.rank is None, "model", "an FNO without rank: a product's entries cannot be dealt out", self.model.rank)
        require(self.model.modes[-1] % parts == 0, "modes", f"the last a multiple of the {parts} devices of a slice", self.model.modes)

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        one = Samples(a.points, a.values[None], a.params)
        return Sliced(self.model, mesh_of(self.mesh.devices[0])).batched(one, x, key=key)[0]

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        split = Split(SPACE, self.mesh.shape[SPACE])
        if isinstance(a.points, Grid):  # else the model says what it needs
            local_shape(a.points, split)
        params, static = eqx.partition(self.model, eqx.is_inexact_array)
        specs, values = weight_specs(params), P(BATCH, SPACE)

        def part(p: PyTree, v: Array) -> Array:
            # Here, so that the backward pass sums each weight's gradient over devices, and not the fields that it is made of.
            own = lambda leaf, spec: jax.lax.pcast(leaf, BATCH if SPACE in spec else (BATCH, SPACE), to="varying")  # noqa: E731
            net = eqx.combine(jax.tree.map(own, p, specs), static)
            return net.batched(Samples(a.points, v, {}), x, key=key, split=split)

        return jax.shard_map(part, mesh=self.mesh, in_specs=(specs, values), out_specs=values)(params, a.values)


def weight_specs(params: PyTree) -> PyTree:
    """How a model's arrays lie on the mesh: spectral weights dealt by the modes of the last axis, all else on every device."""

    def specs(node: Any) -> Any:
        return jax.tree.map(lambda _: P(*(None,) * (len(node.modes) - 1), SPACE), node) if isinstance(node, SpectralConv) else P()

    return jax.tree.map(specs, params, is_leaf=lambda node: isinstance(node, SpectralConv))


def sliced(model: Model, mesh: Mesh) -> Model:
    """`model` with every FNO in it on slices. Raises `UsageError` if there is none."""
    is_fno = lambda node: isinstance(node, FNO)  # noqa: E731
    found = any(is_fno(node) for node in jax.tree.leaves(model, is_leaf=is_fno))
    require(found, "model", "an FNO, or a model of FNOs, for slices", type(model).__name__)
    return jax.tree.map(lambda node: Sliced(node, mesh) if is_fno(node) else node, model, is_leaf=is_fno)


def _state_shardings(state: PyTree, params: PyTree, mesh: Mesh, members: bool) -> PyTree:
    """Where each array of a training state lies: whatever has a dealt weight's shape (moments, running means) lies as that weight does."""
    specs = jax.tree.leaves(weight_specs(params), is_leaf=lambda s: isinstance(s, P))
    dealt = {leaf.shape[members:]: spec for leaf, spec in zip(jax.tree.leaves(params), specs, strict=True) if spec != P()}
    ensemble = lambda spec: P(None, *spec) if members else spec  # noqa: E731
    return jax.tree.map(lambda leaf: NamedSharding(mesh, ensemble(dealt.get(leaf.shape[members:], P()))), state)


def _source_shardings(source: PyTree, grid: Grid, mesh: Mesh) -> PyTree:
    """Where samples held in memory lie: fields `(n, *grid, channel)` in slices, the rest everywhere."""
    return jax.tree.map(lambda v: NamedSharding(mesh, P(None, SPACE) if v.shape[1:-1] == grid.shape else P()), source)


class SlicedLayout(Layout):
    """Fields and spectral weights dealt to rows of `slices` devices, a batch to the rows (see `Sliced`)."""

    def __init__(self, devices: Sequence[Any], slices: int, params: PyTree, members: bool):
        super().__init__(devices)
        self.mesh, self.params, self.members, self.mean_of = mesh_of(devices, slices), params, members, None

    @property
    def parts(self) -> int:
        return self.mesh.shape[BATCH]

    def objective(self, objective: Objective) -> Objective:
        return lambda model, batch, key: objective(sliced(model, self.mesh), batch, key)

    def compiled(self, function: Callable, batch_specs: tuple[int | None, ...], members: tuple[int, ...] = (),
                 donate: tuple[int, ...] = ()) -> Callable:
        is_state = lambda node: isinstance(node, TrainState)  # noqa: E731
        kept = lambda x: jax.lax.with_sharding_constraint(x, self.shardings(x)) if is_state(x) else x  # noqa: E731
        return jax.jit(lambda *args: jax.tree.map(kept, function(*args), is_leaf=is_state), donate_argnums=donate)

    def shardings(self, state: TrainState) -> TrainState:
        return _state_shardings(state, self.params, self.mesh, self.members)

    def source(self, source: Any) -> Any:
        return placed(source, _source_shardings(source, source.grid, self.mesh))

    def whole(self, weights: Any) -> Any:
        gathered = jax.jit(lambda x: x, out_shardings=NamedSharding(self.mesh, P()))(weights)
        return own(gathered)
