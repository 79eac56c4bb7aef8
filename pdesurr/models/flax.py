"""The door to Flax NNX, both ways, and the networks written in it. The only file that imports flax, and imported by nothing until it
is asked for: `from pdesurr.models.flax import FlaxModel, as_nnx`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from pdesurr.checks import expected, require
from pdesurr.fields import Grid
from pdesurr.nn.activation import gelu
from pdesurr.nn.convolution import continued
from pdesurr.nn.fixed import Fixed
from pdesurr.nn.points import elsewhere
from pdesurr.types import Key, Samples, apply


class Split(eqx.Module):
    """An NNX module as a pytree of plain arrays under its own attributes' names; what is not an array is static.

    `weights` are its `nnx.Param`; `constants` whatever other arrays it has, which training leaves alone. Called, it puts the module
    together again, the weights in the precision of the first argument, and calls it.
    Raises `UsageError` for state that a call would change (dropout's keys, batch statistics): a model here is a pure function.
    """

    weights: PyTree
    constants: PyTree
    graph: Any = eqx.field(static=True)

    def __init__(self, module: nnx.Module):
        self.graph, weights, changing, constants = nnx.split(module, nnx.Param, (nnx.RngState, nnx.BatchStat, nnx.Cache), ...)
        for path, variable in nnx.to_flat_state(changing):
            name = ".".join(map(str, path))
            raise expected("module", "one whose call changes nothing", f"{type(variable).__name__} at {name}",
                           "normalise by nnx.GroupNorm or nnx.LayerNorm, and leave dropout out")
        self.weights = nnx.to_pure_dict(weights)
        self.constants = jax.tree.map(lambda v: Fixed(v) if eqx.is_inexact_array(v) else v, nnx.to_pure_dict(constants))

    def module(self, dtype: Any = jnp.float32) -> nnx.Module:
        """The NNX module, with these weights."""
        is_fixed = lambda v: isinstance(v, Fixed)  # noqa: E731
        numbers = jax.tree.map(lambda v: v.value if is_fixed(v) else v, self.constants, is_leaf=is_fixed)
        weights, numbers = jax.tree.map(lambda v: v.astype(dtype) if eqx.is_inexact_array(v) else v, (self.weights, numbers))
        return nnx.merge(self.graph, weights, numbers)

    def __call__(self, v: Float[Array, "..."], *rest: Any) -> Array:
        # Flax promotes types by itself: its normalisations raise where promotion is strict.
        with jax.numpy_dtype_promotion("standard"):
            return self.module(v.dtype)(v, *rest)  # pyright: ignore[reportCallIssue]


class FlaxModel(eqx.Module):
    """Anyone's `flax.nnx.Module` as a model: `fit(FlaxModel(module), ...)` trains its `nnx.Param`, and `model.trained()` is the NNX
    module again.

    The module is called as Flax's own layers are, on a batch with the channel last: `module(values)`, values
    `(batch, *grid, in)` or `(batch, n, in)`, to `(batch, ..., out)`; one sample is a batch of one. With `call` it is called as
    `call(module, a, x)` instead, `a` the batch of samples: so it may read points and `a.params`, and answer at other points.

    A bundle cannot hold it: nothing in a file names code to run. Save `nnx.state(model.trained())` beside your own module's code.
    Raises `UsageError` for modules with dropout or batch statistics (see `Split`), and, without `call`, for an `x` that is not the
    input's own points.
    """

    network: Split
    call: Callable[[Any, Samples, Any], Array] | None = eqx.field(static=True)

    def __init__(self, module: nnx.Module, call: Callable[[Any, Samples, Any], Array] | None = None):
        self.network, self.call = Split(module), call

    def trained(self) -> nnx.Module:
        """The NNX module, with the weights it has now."""
        return self.network.module()

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        """One sample: a batch of one."""
        return self.batched(jax.tree.map(lambda v: v[None], a), x, key=key)[0]

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        """A batch of samples on one grid: values `(batch, ..., channel)`."""
        del key
        if self.call is not None:
            with jax.numpy_dtype_promotion("standard"):
                return self.call(self.network.module(a.values.dtype), a, x)
        if elsewhere(a, x):
            raise expected("x", "None or the input's own points", x, "say how to answer there: FlaxModel(module, call=...)")
        return self.network(a.values)


class Frozen(nnx.Variable):
    """Numbers that are not `nnx.Param`: `nnx.grad` and `nnx.Optimizer(..., wrt=nnx.Param)` leave them alone."""


class Embedded(nnx.Module):
    """What `as_nnx` makes: a model or surrogate whose arrays are variables of an NNX module, by their names in a bundle."""

    def __init__(self, inner: Any, grid: Grid | None, kind: type[nnx.Variable]):
        arrays, rest = eqx.partition(inner, eqx.is_array)
        paths, tree = jax.tree_util.tree_flatten_with_path(arrays)
        # Whole numbers (graphs, the bits of what is fixed) have no gradient, whatever they are told to be.
        self.arrays = nnx.Dict({jax.tree_util.keystr(path).lstrip("."): (kind if eqx.is_inexact_array(v) else Frozen)(v)
                                for path, v in paths})
        self.names = tuple(self.arrays)
        self.tree, self.rest, self.grid = nnx.static(tree), nnx.static(rest), nnx.static(grid)

    def inner(self) -> Any:
        """The model or surrogate, with the weights it has now."""
        return eqx.combine(jax.tree.unflatten(self.tree, [self.arrays[name][...] for name in self.names]), self.rest)

    def __call__(self, a: Any, *args: Any, **options: Any) -> Array:
        """On values `(*grid, channel)`, or a batch of them, if it was given a grid or is a surrogate; else as the model itself."""
        if self.grid is None:
            return self.inner()(a, *args, **options)
        samples = Samples(self.grid, a)
        return (self.inner() if a.ndim == self.grid.ndim + 1 else _batched(self.inner()))(samples, self.grid, **options)


def as_nnx(inner: Any, grid: Grid | None = None, *, frozen: bool = False) -> Embedded:
    """Any model, or a loaded surrogate, as an NNX module to be a part of a larger one; `nnx.jit`, `nnx.grad`, `nnx.state` go through.

    A surrogate is called with values, `(*grid, channel)` or a batch of them. So is a model that is given its `grid`; without, it is
    called as it is, with `Samples`. Its weights are `nnx.Param`; with `frozen` they are `Frozen`: gradients pass through the part to
    what feeds it, and training the whole leaves it alone. `inner()` of the result is the model or surrogate again.

        class Corrected(nnx.Module):
            def __init__(self, surrogate, rngs):
                self.coarse, self.fix = as_nnx(surrogate, frozen=True), nnx.Linear(1, 1, rngs=rngs)

            def __call__(self, a):
                return self.fix(self.coarse(a))
    """
    require(callable(inner) and not isinstance(inner, type), "inner", "a model or a surrogate, made", inner)
    return Embedded(inner, grid, Frozen if frozen else nnx.Param)


def _batched(model: Any) -> Callable[..., Array]:
    return lambda a, x, **options: apply(model, a, x, **options)


class UNetBlock(nnx.Module):
    """v -> W v + gelu(N C gelu(N C v)): C convolutions of 3 nodes per axis, N a group normalisation, W a matrix at each point.

    W carries the amplitude of `v`, which N takes away. Nothing but the norms has a bias: it would be taken away too."""

    def __init__(self, i: int, o: int, dimension: int, groups: int, rngs: nnx.Rngs):
        three, one = (3,) * dimension, (1,) * dimension
        self.convolutions = nnx.List([nnx.Conv(n, o, three, padding="VALID", use_bias=False, rngs=rngs) for n in (i, o)])
        self.norms = nnx.List([nnx.GroupNorm(o, groups, rngs=rngs) for _ in range(2)])
        self.bypass = nnx.Conv(i, o, one, use_bias=False, rngs=rngs)

    def __call__(self, v: Float[Array, "b *grid i"], padding: tuple[str, ...]) -> Float[Array, "b *grid o"]:
        u = v
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            u = gelu(norm(convolution(continued(u, padding))))
        return self.bypass(v) + u


class UNetModule(nnx.Module):
    """The network of `pdesurr.models.UNet`, on a batch; `padding` continues each axis past its ends (`pdesurr.nn.convolution`)."""

    def __init__(self, in_channels: int, out_channels: int, dimension: int, width: int, levels: int, groups: int, rngs: nnx.Rngs):
        widths = [width * 2**level for level in range(levels)]
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        block = lambda i, o: UNetBlock(i, o, dimension, groups, rngs)  # noqa: E731

        def move(kind: Callable[..., nnx.Module], i: int, o: int, size: int) -> nnx.Module:
            return kind(i, o, (size,) * dimension, (2,) * dimension, padding="VALID", use_bias=False, rngs=rngs)

        self.encoder = nnx.List([block(i, o) for i, o in zip([in_channels, *widths[:-1]], widths, strict=True)])
        self.down = nnx.List([move(nnx.Conv, fine, fine, 3) for fine, _ in pairs])
        self.up = nnx.List([move(nnx.ConvTranspose, coarse, fine, 2) for fine, coarse in pairs])
        self.decoder = nnx.List([block(2 * fine, fine) for fine, _ in pairs])
        self.head = nnx.Conv(width, out_channels, (1,) * dimension, rngs=rngs)

    def __call__(self, v: Float[Array, "b *grid i"], padding: tuple[str, ...]) -> Float[Array, "b *grid o"]:
        skips = []
        for block, down in zip(self.encoder, self.down, strict=False):
            skips.append(block(v, padding))
            v = down(continued(skips[-1], padding))
        v = self.encoder[-1](v, padding)
        for skip, up, block in reversed(list(zip(skips, self.up, self.decoder, strict=True))):
            inside = tuple(slice(n) for n in skip.shape[:-1])  # twice ceil(n / 2) is one more than an odd n
            v = block(jnp.concatenate([skip, up(v)[inside]], axis=-1), padding)
        return self.head(v)


def unet(*sizes: int, key: Key) -> Split:
    """The U-Net's arrays: the arguments of `UNetModule` in its order."""
    return Split(UNetModule(*sizes, rngs=nnx.Rngs(key)))
