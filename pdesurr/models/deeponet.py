"""Deep operator networks: a branch reads the input at fixed sensors, a trunk (or the data's own modes) is a basis for the output."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, require, require_counts, require_list_of_counts
from pdesurr.fields import Grid, UniformBasis
from pdesurr.nn import coordinates
from pdesurr.nn.activation import Activation
from pdesurr.nn.coordinates import Period
from pdesurr.nn.fixed import Fixed
from pdesurr.nn.mlp import MLP
from pdesurr.nn.points import Points, nodes, unflat
from pdesurr.types import Key, Samples, as_samples


class DeepONet(eqx.Module):
    """u_c(x) = sum_{k < basis} b_ck(a) t_ck(x) + b0_c: the branch b is a perceptron of the input's values at the sensors, the trunk
    t one of the point. Each output channel c has its own part of both.

    Shapes: values `(*grid, in_channels)` on a grid of `sensors` nodes per axis, to values `(..., out_channels)` at `x`: the
    input's grid (also None), another grid, or points `(n, d)`, anywhere. Reads no `a.params`.
    The sensors are fixed. An input on another number of nodes is resampled to them where the grid's bases have a transform (what
    the sensors cannot resolve is cut off), read there, linear between its nodes, where they are uniform without one, and refused
    elsewhere, as are scattered points.
    `period`: per axis the period of x, or None: such an axis enters by cosine and sine, so that the output is periodic.
    Between walls twice the axis's length keeps every point apart and is learned sooner than x itself.
    Good values: width 128, depth 3, basis 64-128.

    Raises `UsageError` for a wrong channel count, for inputs as above and for points of another dimension.
    Source: Lu, Jin, Pang, Zhang and Karniadakis, Nature Machine Intelligence 3 (2021), the unstacked network; several output
    channels as in Lu et al., CMAME 393 (2022): both networks' outputs are split among them.
    """

    branch: MLP
    trunk: MLP
    bias: Float[Array, " out"]
    in_channels: int = eqx.field(static=True)
    sensors: tuple[int, ...] = eqx.field(static=True)
    period: Period = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, sensors: tuple[int, ...], width: int = 128, depth: int = 3, basis: int = 64,
                 *, period: Period | None = None, activation: Activation = "gelu", key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, width=width, depth=depth, basis=basis)
        require_list_of_counts(sensors=sensors)
        self.in_channels, self.sensors = in_channels, tuple(sensors)
        self.period = coordinates.check_period(period, len(sensors))
        hidden, keys = (width,) * depth, jax.random.split(key)
        self.branch = MLP((math.prod(sensors) * in_channels, *hidden, out_channels * basis), activation, key=keys[0])
        self.trunk = MLP((coordinates.width(self.period), *hidden, out_channels * basis), activation, key=keys[1])
        self.bias = jnp.zeros((out_channels,))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key: a bundle keeps it beside the weights."""
        out, hidden = self.bias.shape[-1], self.branch.hidden
        return {"in_channels": self.in_channels, "out_channels": out, "sensors": list(self.sensors), "width": hidden[0],
                "depth": len(hidden), "basis": self.branch.layers[-1].weight.shape[-2] // out, "period": list(self.period),
                "activation": self.branch.activation}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        del key
        row = at_sensors(a, self.sensors, self.in_channels)
        coordinates.check_axes(a.points, self.period)
        x = a.points if x is None else x
        out = self.bias.shape[-1]
        b = self.branch(row).reshape(out, -1)
        t = self.trunk(coordinates.features(nodes(x, row.dtype), self.period)).reshape(-1, *b.shape)
        return unflat(jnp.einsum("nck,ck->nc", t, b) + self.bias.astype(row.dtype)[None], x)


class PODDeepONet(eqx.Module):
    """u(x) = mean(x) + sum_{k < rank} b_k(a) phi_k(x): the trunk is the training outputs' principal components, from `pod_modes`.
    Training leaves `mean` and `modes` alone; a bundle keeps them.

    Shapes and sensors as in `DeepONet`. The modes live on the sensors' grid. `x`: that grid, or, where its bases have a transform,
    any other grid or points, at which the modes are their expansions' values; `UsageError` elsewhere.
    `modes`: what `pod_modes` returned; without it a call raises `UsageError` (under jit every value is NaN): a
    bundle makes the model so, then fills them in.
    Good values: rank 16-64 (as many as make the outputs left out smaller than the error aimed at), width 128, depth 3.
    Source: Lu et al., CMAME 393 (2022), POD-DeepONet.
    """

    branch: MLP
    mean: Fixed
    modes: Fixed
    in_channels: int = eqx.field(static=True)
    sensors: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, sensors: tuple[int, ...], rank: int, width: int = 128, depth: int = 3, *,
                 modes: tuple[np.ndarray, np.ndarray] | None = None, activation: Activation = "gelu", key: Key):
        require_counts(in_channels=in_channels, out_channels=out_channels, rank=rank, width=width, depth=depth)
        require_list_of_counts(sensors=sensors)
        shape = (*sensors, out_channels)
        mean, phi = modes if modes is not None else (jnp.full(shape, jnp.nan), jnp.full((rank, *shape), jnp.nan))
        require((mean.shape, phi.shape) == (shape, (rank, *shape)), "modes", f"a mean {shape} and modes {(rank, *shape)}",
                (mean.shape, phi.shape), "take them from pod_modes(outputs, grid, rank)")
        self.mean, self.modes = Fixed(mean), Fixed(phi)
        self.in_channels, self.sensors = in_channels, tuple(sensors)
        self.branch = MLP((math.prod(sensors) * in_channels, *(width,) * depth, rank), activation, key=key)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key and the modes: a bundle keeps it beside the weights."""
        hidden = self.branch.hidden
        return {"in_channels": self.in_channels, "out_channels": self.mean.bits.shape[-1], "sensors": list(self.sensors),
                "rank": self.modes.bits.shape[-len(self.sensors) - 2], "width": hidden[0], "depth": len(hidden),
                "activation": self.branch.activation}

    def __call__(self, a: Samples, x: Points | None = None, *, key: Key | None = None) -> Float[Array, "*points out"]:
        """One sample."""
        del key
        row = at_sensors(a, self.sensors, self.in_channels)
        require(not self.mean.missing, "modes", "what pod_modes(outputs, grid, rank) returns", None, "make the model with modes=")
        mean, modes = self.mean.value.astype(row.dtype), self.modes.value.astype(row.dtype)
        u = mean + jnp.tensordot(self.branch(row)[0], modes, axes=1)
        x, grid = a.points if x is None else x, a.points.with_shape(*self.sensors)  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(x, Grid) and x == grid:
            return u
        require(grid.spectral, "x", f"the grid {grid}, on which the modes are known", x, "interpolate the result")
        return unflat(grid.evaluate(grid.transform(u), nodes(x, row.dtype)), x)


def pod_modes(outputs: Float[Array | np.ndarray, "samples *grid out"], grid: Grid,
              rank: int) -> tuple[Float[np.ndarray, "*grid out"], Float[np.ndarray, "rank *grid out"]]:
    """The mean of training outputs and their `rank` principal components, largest first: orthogonal in the grid's quadrature,
    all channels together, each as large as its coefficients' standard deviation (so that those have variance 1).

    Raises `UsageError` if the outputs differ in fewer than `rank` directions.
    """
    u = np.asarray(outputs, np.float64)
    require(u.ndim == grid.ndim + 2 and u.shape[1:-1] == grid.shape, "outputs", f"shape (samples, {grid.shape}, channels)", u.shape)
    mean = u.mean(0)
    root = np.sqrt(grid.weights / grid.weights.sum())[..., None]
    _, s, v = np.linalg.svd(((u - mean) * root).reshape(len(u), -1), full_matrices=False)
    found = int((s > 1e-6 * max(s[0], 1e-300)).sum())
    require(1 <= rank <= found, "rank", f"a number from 1 to {found}, the directions in which {len(u)} outputs differ", rank)
    scale = s[:rank] / math.sqrt(len(u))
    return mean, (scale[:, None] * v[:rank]).reshape(rank, *mean.shape) / root


def at_sensors(a: Samples, sensors: tuple[int, ...], channels: int) -> Float[Array, "1 m"]:
    """The input's values on `sensors` nodes of its grid, as one row."""
    grid = as_samples(a).points
    if not isinstance(grid, Grid):
        raise expected("a.points", "a Grid (the sensors are a grid's nodes)", grid, "interpolate the samples to a Grid first")
    require(a.values.shape == (*grid.shape, channels), "a.values", f"shape {(*grid.shape, channels)}", a.values.shape)
    require(grid.ndim == len(sensors), "a.points", f"a grid of {len(sensors)} axes, as in sensors={sensors}", grid)
    if grid.shape == sensors:
        return a.values.reshape(1, -1)
    if grid.spectral:
        return grid.resample(a.values, *sensors).reshape(1, -1)
    values = a.values
    for axis, (basis, n) in enumerate(zip(grid.bases, sensors, strict=True)):
        if not isinstance(basis, UniformBasis):
            raise expected("a.points", f"a grid of the sensors' shape {sensors}, or of axes that all have a transform or all are uniform",
                           grid, "interpolate the samples to the sensors first")
        values = basis.interpolate(values, axis, basis.with_n(n).nodes)
    return values.reshape(1, -1)
