"""Pieces of trajectories as training data: a few records in, the next ones out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from pdesurr.checks import require
from pdesurr.data.sources import AbstractSource
from pdesurr.fields import Grid
from pdesurr.types import Batch, Key, Samples


class WindowSource(AbstractSource):
    """Windows of trajectories held on the device: `history` records in, the next `steps` out, from every start that fits.

    `trajectories (n, *grid, records * components)`, record after record, the components of each side by side; of a `Dataset`
    of evolutions `np.concatenate([data.inputs, data.outputs], -1)`. Window `i` starts at record `i % starts` of trajectory
    `i // starts`. An epoch sees every window once, or `size` different ones, drawn anew. The starts are taken to be alike: equations and
    forcing that do not depend on time, records equally spaced. Raises `UsageError` for a wrong shape, values that are not
    finite, or trajectories shorter than a window.
    """

    trajectories: Float[Array, "n *grid channels"]
    grid: Grid
    history: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    components: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, trajectories: np.ndarray | Array, grid: Grid, history: int, steps: int, components: int = 1,
                 size: int | None = None):
        require(trajectories.ndim == grid.ndim + 2 and trajectories.shape[1:-1] == grid.shape and len(trajectories) > 0, "trajectories",
                f"an array (n, {', '.join(map(str, grid.shape))}, records * components)", trajectories.shape)
        require(min(history, steps, components) >= 1, "history, steps, components", "numbers >= 1", (history, steps, components))
        records, rest = divmod(trajectories.shape[-1], components)
        require(rest == 0 and records >= history + steps, "trajectories", f"at least {history} + {steps} records of {components} channels",
                f"{trajectories.shape[-1]} channels")
        require(bool(np.isfinite(trajectories).all()), "trajectories", "finite values", "NaN or infinity")
        self.trajectories, self.grid = jnp.asarray(trajectories), grid
        self.history, self.steps, self.components = history, steps, components
        self.size = len(self) if size is None else size
        require(1 <= self.size <= len(self), "size", f"from 1 to the {len(self)} windows there are", size)

    @property
    def starts(self) -> int:
        """Windows of one trajectory."""
        return self.trajectories.shape[-1] // self.components - self.history - self.steps + 1

    def __len__(self) -> int:
        return self.trajectories.shape[0] * self.starts

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return jax.random.permutation(jax.random.fold_in(key, epoch), len(self))[: self.size]

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        length, split = (self.history + self.steps) * self.components, self.history * self.components

        def window(number: Array) -> Array:
            own = jnp.take(self.trajectories, number // self.starts, axis=0, mode="clip")  # numbers come from `plan`, in range
            return lax.dynamic_slice_in_dim(own, number % self.starts * self.components, length, axis=-1)

        windows = jax.vmap(window)(numbers)
        return Batch(Samples(self.grid, windows[..., :split]), Samples(self.grid, windows[..., split:]))
