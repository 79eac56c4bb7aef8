"""Where training batches come from: arrays on the device, a store on the host, or the PDE itself, solved inside the training loop.

A source splits the work in two pure functions: `plan` says which samples each step of an epoch sees, `take` turns their
numbers into a batch. Both run inside the compiled epoch; on many devices each takes its share of the numbers. What the host
stores comes to the devices a block of samples at a time, and is there a source of its own.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from pdesurr.checks import UsageError, is_whole, require
from pdesurr.fields import Grid
from pdesurr.pdes import AbstractPDE
from pdesurr.types import Batch, Key, Samples


class AbstractSource(eqx.Module):
    """An endless sequence of epochs of `size` samples."""

    grid: eqx.AbstractVar[Grid]
    size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        """The sample numbers of one epoch, in the order they are seen."""

    @abc.abstractmethod
    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        """The samples with those numbers."""


class ArraySource(AbstractSource):
    """Input-output pairs held on the device: `inputs (n, *grid, c_in)`, `outputs (n, *grid, c_out)`; reshuffled every epoch."""

    inputs: Float[Array, "n *grid c_in"]
    outputs: Float[Array, "n *grid c_out"]
    grid: Grid

    def __init__(self, inputs: np.ndarray | Array, outputs: np.ndarray | Array, grid: Grid):
        require(isinstance(grid, Grid), "grid", "a Grid", grid)
        for name, values in (("inputs", inputs), ("outputs", outputs)):
            require(hasattr(values, "ndim"), name, "an array", values)
            require(values.ndim == grid.ndim + 2 and values.shape[1:-1] == grid.shape, name,
                    f"an array (n, {', '.join(map(str, grid.shape))}, channel)", values.shape)
            bad = ~np.isfinite(values).all(tuple(range(1, values.ndim)))
            require(not bad.any(), name, "finite values", f"NaN or infinity in {bad.sum()} of {len(values)} samples, the first is "
                    f"sample {bad.argmax()}", "repair or drop those samples")
        require(len(inputs) == len(outputs) > 0, "outputs", f"{len(inputs)} samples, as many as inputs (and at least one)", len(outputs))
        self.inputs, self.outputs, self.grid = jnp.asarray(inputs), jnp.asarray(outputs), grid

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return shuffled(key, epoch, self.size)

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        pick = lambda v: jnp.take(v, numbers, axis=0, mode="clip")  # noqa: E731 - numbers come from `plan`, in range
        return Batch(Samples(self.grid, pick(self.inputs)), Samples(self.grid, pick(self.outputs)))


class AbstractHostSource(AbstractSource):
    """Samples that stay on the host, read by number; reshuffled every epoch, as those of an `ArraySource` are.

    `fit` holds at most `memory` bytes of them at a time, on all devices together: the block that is trained on and the one read meanwhile.
    """

    memory: eqx.AbstractVar[int]

    @abc.abstractmethod
    def read(self, numbers: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, "n *grid c_in"], Float[np.ndarray, "n *grid c_out"]]:
        """Inputs and outputs of the samples with those numbers, which may repeat; finite, or it raises. Called in other threads."""

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return shuffled(key, epoch, self.size)

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        require(not isinstance(numbers, Tracer), "numbers", "known ones, outside compiled code", "traced ones",
                "give the source to fit, which reads ahead of the compiled steps")
        inputs, outputs = map(jnp.asarray, self.read(np.asarray(numbers)))
        return Batch(Samples(self.grid, inputs), Samples(self.grid, outputs))


class PDESource(AbstractSource):
    """Fresh samples without end: every number is a new draw of the prior, solved on the device, never stored.

    Sample `i` depends on `(seed, i)` alone; `size` is what is called an epoch. Of the equation's reference routes the first is
    taken that is right for all of `draws` pilot samples in this precision. Raises `UsageError` if none is.
    """

    pde: AbstractPDE
    grid: Grid
    size: int = eqx.field(static=True)
    seed: int = eqx.field(static=True)
    route: str = eqx.field(static=True)

    def __init__(self, pde: AbstractPDE, grid: Grid, size: int, seed: int, draws: int = 128):
        _check_stream(pde, grid, size, seed)
        self.pde, self.grid, self.size, self.seed = pde, grid, size, seed
        for route in pde.routes:
            right = jax.vmap(lambda i, route=route: pde.record(sample_key(seed, i), grid, route)[1])
            if bool(jax.jit(right)(jnp.arange(draws)).all()):
                self.route = route
                return
        raise UsageError(f"{type(pde).__name__}: no reference route is right for all of {draws} samples on {grid.shape} nodes; take "
                         "more nodes, or store samples with generate, which chooses for each")

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return epoch * self.size + jnp.arange(self.size)

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        def one(i: Array) -> tuple[Array, Array]:
            fields, _ = self.pde.record(sample_key(self.seed, i), self.grid, self.route)
            return gather(self.pde.input, fields), gather(self.pde.output, fields)

        inputs, outputs = jax.vmap(one)(numbers)
        return Batch(Samples(self.grid, inputs), Samples(self.grid, outputs))


class PriorSource(AbstractSource):
    """Fresh inputs without end, and no solutions: for objectives that read the equation alone (`SpectralResidual`).

    Sample `i` depends on `(seed, i)` alone; `size` is what is called an epoch. Outputs have no channels.
    """

    pde: AbstractPDE
    grid: Grid
    size: int = eqx.field(static=True)
    seed: int = eqx.field(static=True)

    def __init__(self, pde: AbstractPDE, grid: Grid, size: int, seed: int):
        _check_stream(pde, grid, size, seed)
        self.pde, self.grid, self.size, self.seed = pde, grid, size, seed

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return epoch * self.size + jnp.arange(self.size)

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        inputs = jax.vmap(lambda i: self.pde.sample(sample_key(self.seed, i), self.grid))(numbers)
        return Batch(Samples(self.grid, inputs), Samples(self.grid, inputs[..., :0]))


class NumberSource(AbstractSource):
    """Fresh numbers of an equation without end, as `params` of an input of no channels: `draw(key)` gives a table of arrays by name. For
    objectives that choose their own points (`Evidence`).

    Sample `i` depends on `(seed, i)` alone; `size` is what is called an epoch. Raises `UsageError` for a draw that gives no such table.
    """

    draw: Callable[[Key], dict[str, Array]] = eqx.field(static=True)
    grid: Grid
    size: int = eqx.field(static=True)
    seed: int = eqx.field(static=True)

    def __init__(self, draw: Callable[[Key], dict[str, Array]], grid: Grid, size: int, seed: int):
        require(isinstance(grid, Grid), "grid", "a Grid", grid)
        require(is_whole(size) and size >= 1, "size", "a number of samples >= 1", size)
        require(is_whole(seed), "seed", "a whole number", seed)
        require(callable(draw), "draw", "a function of a key", type(draw).__name__)
        one = jax.eval_shape(draw, jax.random.key(0))
        table = isinstance(one, dict) and all(isinstance(v, jax.ShapeDtypeStruct) for v in one.values())
        require(table, "draw", "a function of a key to a table of arrays by name", type(one).__name__)
        self.draw, self.grid, self.size, self.seed = draw, grid, size, seed

    def plan(self, key: Key, epoch: Int[Array, ""]) -> Int[Array, " size"]:
        return epoch * self.size + jnp.arange(self.size)

    def take(self, numbers: Int[Array, " batch"]) -> Batch:
        params = jax.vmap(lambda i: self.draw(sample_key(self.seed, i)))(numbers)
        nothing = jnp.zeros((len(numbers), *self.grid.shape, 0))
        return Batch(Samples(self.grid, nothing, params), Samples(self.grid, nothing))


def shuffled(key: Key, epoch: Int[Array, ""], size: int) -> Int[Array, " size"]:
    """The order of one epoch: a function of the key and its number alone, so that a resumed run goes on with the same."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), size)


def _check_stream(pde: AbstractPDE, grid: Grid, size: int, seed: int) -> None:
    require(isinstance(pde, AbstractPDE), "pde", "an equation, such as Burgers()", pde)
    require(isinstance(grid, Grid), "grid", "a Grid, such as pde.grid(64)", grid)
    require(is_whole(size) and size >= 1, "size", "a number of samples >= 1", size)
    require(is_whole(seed), "seed", "a whole number", seed)


def sample_key(seed: int, number: Int[Array, ""]) -> Key:
    """The key of one sample: a function of the data's seed and the sample's number, so chunks and devices do not matter."""
    return jax.random.fold_in(jax.random.key(seed), number)


def gather(channels: tuple[tuple[str, int | None], ...], fields: dict[str, Array]) -> Float[Array, "*grid c"]:
    """Named fields `(time, *grid)` or `(*grid,)` of one sample to `(*grid, channel)`."""
    return jnp.stack([fields[name] if time is None else fields[name][time] for name, time in channels], axis=-1)
