"""Learning from the equation alone: the residual of a model's answer, by spectral coefficients or by finite differences."""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import AbstractBasis, ChebyshevBasis, Grid, SpectralField, StencilField, UniformBasis
from pdesurr.pdes import AbstractEvolution, AbstractPDE
from pdesurr.types import Batch, Key, Metrics, Model, Samples, apply


@dataclass(frozen=True)
class AbstractResidual(abc.ABC):
    """Mean over a batch of ||residual of model(a)||^2 / volume, the residual that of the one text of `pde`; no solution is looked at.

    A steady problem's residual is taken on the box, an evolution's in space and time up to the horizon, where the answer must have
    the given start by construction (`InitialValue`), and conditions at walls likewise (`ZeroWalls`). With `fresh` and a key (training has
    one, validation none) the inputs are that many new draws of the equation's prior instead of the batch's, which may then be the few
    that were solved; on many devices each draws the same.
    """

    pde: AbstractPDE
    shape: tuple[int, ...] | None = None
    fresh: int = field(default=0, kw_only=True)

    @abc.abstractmethod
    def time_axis(self, horizon: float) -> AbstractBasis: ...

    @abc.abstractmethod
    def square(self, u: Float[Array, "*grid c"], a: Float[Array, "*space c_in"], space: Grid, x: Grid) -> Float[Array, ""]:
        """||residual||^2 / volume of one answer on `x` to an input on `space`."""

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        squares = self.squares(model, self._drawn(batch.input, key) if self.fresh and key is not None else batch.input, key)
        return jnp.mean(squares), {"residual": jnp.mean(jnp.sqrt(squares + 1e-30))}

    def _drawn(self, like: Samples, key: Key) -> Samples:
        keys, grid = jax.random.split(key, self.fresh), _grid(like)
        return Samples(grid, jax.vmap(lambda k: self.pde.sample(k, grid))(keys))

    def squares(self, model: Model, a: Samples, key: Key | None = None) -> Float[Array, " batch"]:
        """||residual||^2 / volume for each sample of a batch."""
        own = _grid(a)
        space = own if self.shape is None else own.with_shape(*self.shape)
        values = a.values if space == own else jax.vmap(lambda v: own.resample(v, *space.shape))(a.values)
        x = Grid([*space.bases, self.time_axis(_horizon(self.pde))], (*space.names, "t")) if self.pde.record_times else space
        u = apply(model, Samples(space, values, a.params), x, key=key)
        return jax.vmap(lambda v, b: self.square(v, b, space, x))(u, values)

    def texts(self, read: Callable[[Array], Any], u: Array, a: Array, source: Callable[[Array], Any]) -> tuple[Any, ...]:
        """The residuals, with each channel of the answer read by `read` and each of the input by `source`."""
        unknowns = tuple(read(u[..., i]) for i in range(u.shape[-1]))
        if isinstance(self.pde, AbstractEvolution) and len(unknowns) > 1:
            return self.pde.residual(unknowns)
        known = () if self.pde.record_times else tuple(source(a[..., i]) for i in range(a.shape[-1]))
        found = self.pde.residual(*unknowns, *known)  # pyright: ignore[reportAttributeAccessIssue]
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True)
class SpectralResidual(AbstractResidual):
    """The true norm of the residual from its coefficients, by Parseval in each basis: Fourier, sine, cosine or Chebyshev.

    The model answers on `shape` nodes of space (those of the batch if None) and `time` Chebyshev nodes; its answer is taken as the
    expansion these hold, on `padding` times as many nodes, where the text is evaluated: at 2 squares are exact and nothing of the norm is
    lost, at 1 products have aliasing. The L2 norm weighs the relative errors of a solution's modes alike.
    Metrics: `residual`, the mean root. Raises `UsageError` for a PDE without a residual on such a grid, a grid without transforms, and
    numbers out of range.
    Source: Du, Chalapathi and Krishnapriyan (ICLR 2024, arXiv 2312.05225), equation 5, whose sum over Chebyshev modes has no weights.
    """

    time: int = 32
    padding: float = 2.0

    def __post_init__(self):
        _check(self)
        require(self.padding >= 1, "padding", "a number >= 1", self.padding)
        require(self.time >= 3, "time", "at least 3 nodes", self.time)

    def time_axis(self, horizon: float) -> ChebyshevBasis:
        return ChebyshevBasis(self.time, 0.0, horizon)

    def square(self, u: Float[Array, "*grid c"], a: Float[Array, "*space c_in"], space: Grid, x: Grid) -> Float[Array, ""]:
        require(x.spectral, "batch.input.points", "a grid of spectral bases", x, "StencilResidual takes any")
        fine = x.with_shape(*(int(np.ceil(self.padding * n)) for n in x.shape))

        def held(v: Array, own: Grid) -> SpectralField:
            hat = own.resample_hat(own.transform(v), *fine.shape) if self.padding > 1 else own.transform(v)
            return SpectralField(fine, hat=hat, dealias=1.0)

        texts = self.texts(lambda v: held(v, x), u, a, lambda v: held(v, space))
        return sum((fine.square_hat(jnp.asarray(t.coefficients)) for t in texts), jnp.zeros((), u.dtype)) / fine.volume


@dataclass(frozen=True)
class StencilResidual(AbstractResidual):
    """The residual by finite differences with an error of O(h^accuracy) at the nodes, its norm by their quadrature weights.

    The model answers on `shape` nodes of space (those of the batch if None) and `time` equispaced times. Any grid will do; an equation that
    needs an inverse Laplacian has no finite differences here. Metrics: `residual`, the mean root. Raises `UsageError` as
    `SpectralResidual`. Source: Li et al. (arXiv 2111.03794), section 3.2.
    """

    time: int = 33
    accuracy: int = 2

    def __post_init__(self):
        _check(self)
        require(self.accuracy in (2, 4, 6), "accuracy", "2, 4 or 6", self.accuracy)
        require(self.time > self.accuracy, "time", f"more than {self.accuracy} nodes", self.time)

    def time_axis(self, horizon: float) -> UniformBasis:
        return UniformBasis(self.time, 0.0, horizon)

    def square(self, u: Float[Array, "*grid c"], a: Float[Array, "*space c_in"], space: Grid, x: Grid) -> Float[Array, ""]:
        read = lambda v: StencilField(x, v, self.accuracy)  # noqa: E731  # pyright: ignore[reportArgumentType]
        return sum((x.integral(t.values**2) for t in self.texts(read, u, a, read)), jnp.zeros((), u.dtype)) / x.volume


def _grid(a: Samples) -> Grid:
    if not isinstance(a.points, Grid):
        raise expected("batch.input.points", "a Grid", a.points, "interpolate the samples to pde.grid(n) first")
    return a.points


def _check(objective: AbstractResidual) -> None:
    """Raise `UsageError` unless the equation is one whose residual an answer on a grid has."""
    pde = objective.pde
    require(objective.fresh >= 0, "fresh", "a number of draws >= 0", objective.fresh)
    known = isinstance(pde, AbstractPDE) and hasattr(pde, "residual")
    first_order = known and (isinstance(pde, AbstractEvolution) or not pde.record_times or len(pde.input) == 1)
    require(first_order, "pde",
            "a steady equation, or an evolution of first order in time, with a residual", type(pde).__name__)


def _horizon(pde: AbstractPDE) -> float:
    return float(pde.record_times[-1])
