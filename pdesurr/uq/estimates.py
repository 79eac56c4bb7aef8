"""The error of an answer without its truth: from the equation's own residual, or from how unlike the training's an input is."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr import metrics
from pdesurr.checks import UsageError, expected, require
from pdesurr.fields import ChebyshevBasis, Grid
from pdesurr.pdes import AbstractEvolution
from pdesurr.solvers.etdrk import etdrk_coefficients
from pdesurr.surrogates import Surrogate
from pdesurr.types import Samples
from pdesurr.uq.conformal import BATCH, Either, answers, check_pairs, conformal_quantile


class AbstractEstimate(eqx.Module):
    """`estimate(a, u)`: a number >= 0 for one input `(*grid, c_in)` and the surrogate's answer `(*grid, c)`, larger where the relative L2
    error of u is. `calibrated` puts it into the error's units. jit, vmap and grad go through it: it may be a penalty in a search."""

    @abc.abstractmethod
    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]: ...


class Corrected(AbstractEstimate):
    """||correction|| / ||u||, the correction one step of the equation's own solver on the residual of u (see `pde.correction`): close to
    the relative error where the step is close to a solve. What it cannot see is the error of the equation's discretisation on this grid.
    Raises `UsageError` for an equation without one."""

    pde: Any
    grid: Grid = eqx.field(static=True)

    def __check_init__(self):
        require(isinstance(self.grid, Grid), "grid", "a Grid", self.grid, "pde.grid(n)")
        require(hasattr(self.pde, "correction"), "pde", "an equation with a `correction`: a steady one", type(self.pde).__name__)

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        single = u.shape[:-1] == a.shape[:-1] == self.grid.shape
        require(single, "a, u", f"one sample each on {self.grid.shape} nodes", (a.shape, u.shape), "for a batch use jax.vmap")
        found = self.pde.correction(u, a, self.grid)
        norm = lambda v: jnp.sqrt(jnp.sum(self.grid.norm(v) ** 2))  # noqa: E731
        return norm(found) / norm(u)


def grid_of_one(surrogate: Surrogate, a: Array, u: Array) -> Grid:
    """The grid of one sample and its answer. Raises `UsageError` for a batch, or an answer that is not one to it."""
    grid = surrogate.grid_of(a.shape)
    single = a.shape[:-1] == grid.shape and u.shape == (*grid.shape, len(surrogate.spec.output))
    require(single, "a, u", f"one sample and its answer, {(*grid.shape, len(surrogate.spec.output))}", (a.shape, u.shape),
            "for a batch use jax.vmap")
    return grid


class Residual(AbstractEstimate):
    """||residual|| / ||u||, the residual that of the surrogate's own answer under `objective` (a `SpectralResidual`, say): for an evolution
    that the model answers in space and time, of which u is the end. In the residual's units: `calibrated` puts it into the error's. Raises
    `UsageError` for an objective without `squares`."""

    surrogate: Surrogate
    objective: Any = eqx.field(static=True)

    def __check_init__(self):
        require(hasattr(self.objective, "squares"), "objective", "a SpectralResidual or a StencilResidual", type(self.objective).__name__)

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        grid = grid_of_one(self.surrogate, a, u)
        square = self.objective.squares(self.surrogate.model, Samples(grid, a[None]))[0]
        return jnp.sqrt(square * grid.volume / jnp.sum(grid.norm(u) ** 2))


class Propagated(AbstractEstimate):
    """||e|| / ||u||, e the error that the residual r of the surrogate's own answer has grown to at the horizon, by the equation linearised
    about it:

        e_t = L e + N'(u) e - r,   e(0) = 0,   r = u_t - L u - N(u),

    for an evolution u_t = L u + N(u) on a periodic grid that the model answers in space and time, of which u is the end. `time` Chebyshev
    nodes hold the answer (best the model's own number: more only add rounding); `steps` of ETDRK2 carry e, which need not be accurate: a
    few per cent of e is enough. Unlike `Residual`, in the error's own units, and it knows which errors the equation damps. Raises
    `UsageError` for another equation or grid.
    """

    surrogate: Surrogate
    pde: Any
    time: int = eqx.field(static=True, default=12)
    steps: int = eqx.field(static=True, default=24)

    def __check_init__(self):
        require(isinstance(self.pde, AbstractEvolution), "pde", "an evolution", type(self.pde).__name__)
        require(isinstance(self.surrogate, Surrogate), "surrogate", "a Surrogate", type(self.surrogate).__name__)
        self.surrogate.check_equation(self.pde)
        grid = self.surrogate.spec.grid
        require(grid.fourier, "surrogate", "one on a periodic grid", grid)
        whole = type(self.time) is type(self.steps) is int and self.time >= 3 and self.steps >= 1
        require(whole, "time, steps", "whole numbers, at least 3 and 1", (self.time, self.steps))
        a = jax.ShapeDtypeStruct((*grid.shape, len(self.surrogate.spec.input)), jnp.result_type(float))
        try:
            jax.eval_shape(lambda v: self.surrogate.model(Samples(grid, v), self._in_time(grid)), a)
        except (UsageError, TypeError) as error:
            raise expected("surrogate", "one that answers in space and time", type(self.surrogate.model.model).__name__) from error

    def _in_time(self, grid: Grid) -> Grid:
        return Grid([*grid.bases, ChebyshevBasis(self.time, 0.0, float(self.pde.record_times[-1]))], (*grid.names, "t"))

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        grid, horizon = grid_of_one(self.surrogate, a, u), float(self.pde.record_times[-1])
        x = self._in_time(grid)
        hat = jnp.moveaxis(x.transform(self.surrogate.model(Samples(grid, a), x)), -1, 0)  # (c, *grid_hat, time)
        values = x.bases[-1].functions(jnp.linspace(0.0, horizon, self.steps + 1, dtype=a.dtype)).T.astype(hat.dtype)  # pyright: ignore
        slopes = jnp.asarray(x.bases[-1].derivative_hat(hat, hat.ndim - 1, 1))  # pyright: ignore[reportAttributeAccessIssue]
        path, change = (jnp.moveaxis(v[0] if len(v) == 1 else v, -1, 0) for v in (hat @ values, slopes @ values))
        equation, dt = self.pde.semilinear(grid), horizon / self.steps
        symbol = jnp.asarray(equation.symbol).astype(path.dtype)
        residual = change - jax.vmap(lambda v: symbol * v + equation.nonlinear(v))(path)
        keep, first, second = (jnp.asarray(c).astype(path.dtype) for c in etdrk_coefficients(equation.symbol, dt, 2))

        def rate(e: Array, i: Array) -> Array:
            return jax.jvp(equation.nonlinear, (path[i],), (e,))[1] - residual[i]

        def step(e: Array, i: Array) -> tuple[Array, None]:
            now = rate(e, i)
            guess = keep * e + first * now
            return guess + second * (rate(guess, i + 1) - now), None

        e_hat, _ = jax.lax.scan(step, jnp.zeros_like(path[0]), jnp.arange(self.steps))
        e = grid.inverse(jnp.moveaxis(e_hat[None] if len(hat) == 1 else e_hat, 0, -1))
        return jnp.sqrt(jnp.sum(grid.norm(e) ** 2) / jnp.sum(grid.norm(u) ** 2))


class Novelty(AbstractEstimate):
    """How unlike the training's an input is, whatever the answer: the root mean square of its coefficients in the training inputs'
    principal components, in units of their standard deviations, and of what the components leave of it, in units of what they leave of
    other inputs of the same law. About 1 for such inputs. Made by `Novelty.of(inputs)`; the answer is not read.

    The second part sees noise and high frequencies of small size, which a check of each value does not, but only such as exceed what the
    components leave: there are at most a sixth as many as inputs, so rough or two-dimensional inputs want thousands."""

    mean: Float[Array, " m"]
    components: Float[Array, "k m"]
    deviations: Float[Array, " k"]
    rest: Float[Array, ""]

    @classmethod
    def of(cls, inputs: Float[Either, "n *grid c_in"], energy: float = 0.9999) -> "Novelty":
        """From training inputs: as many components of one half as hold `energy` of its variance; deviations and rest from the other."""
        require(0 < energy < 1, "energy", "a share in (0, 1)", energy)
        inputs = np.asarray(inputs)
        sound = inputs.ndim >= 3 and len(inputs) >= 20 and bool(np.isfinite(inputs).all()) and bool(np.ptp(inputs) > 0)
        said = "at least 20 samples (n, *grid, channels), finite, not all alike"
        require(sound, "inputs", said, np.shape(inputs), "pde.sample draws such inputs")
        flat = np.asarray(inputs, np.float64).reshape(len(inputs), -1)
        half, other = flat[::2], flat[1::2]
        mean = half.mean(axis=0)
        _, s, vt = np.linalg.svd(half - mean, full_matrices=False)
        kept = min(int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), energy)) + 1, len(half) // 3)
        found = (other - mean) @ vt[:kept].T
        rest = other - mean - found @ vt[:kept]
        least = 1e-12 + 1e-6 * np.sqrt(np.mean((flat - mean) ** 2))
        deviations = np.maximum(np.sqrt(np.mean(found**2, axis=0)), least)
        parts = mean, vt[:kept], deviations, np.maximum(np.sqrt(np.mean(rest**2)), least)
        return cls(*(jnp.asarray(v, jnp.float32) for v in parts))

    def __call__(self, a: Float[Array, "*grid c_in"], u: Any = None) -> Float[Array, ""]:
        del u
        require(a.size == self.mean.size, "input", f"one of {self.mean.size} values, as in training", a.shape,
                "for a batch use jax.vmap; resample it to those nodes")
        gap = a.ravel() - self.mean.astype(a.dtype)
        along = self.components.astype(a.dtype) @ gap
        left = gap - along @ self.components.astype(a.dtype)
        ratio = jnp.sqrt(jnp.mean((along / self.deviations.astype(a.dtype)) ** 2))
        return jnp.maximum(ratio, jnp.sqrt(jnp.mean(left**2)) / self.rest.astype(a.dtype))


class Calibrated(AbstractEstimate):
    """`factor` times another estimate: a bound that the relative error keeps with probability `coverage`."""

    estimate: AbstractEstimate
    factor: Float[Array, ""]
    coverage: float = eqx.field(static=True)

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        return self.factor.astype(u.dtype) * self.estimate(a, u)


def calibrated(estimate: AbstractEstimate, surrogate: Callable[[Array], Array], grid: Grid, inputs: Float[Either, "n *grid c_in"],
               outputs: Float[Either, "n *grid c"], *, coverage: float = 0.9) -> Calibrated:
    """The estimate as a bound of the relative L2 error, from calibration samples: the factor is the conformal quantile of error / estimate.
    `surrogate` maps one input. It holds for inputs of their law; elsewhere as far as the estimate follows the error. Raises `UsageError`
    as `conformal_quantile`."""
    check_estimate(estimate, surrogate)
    require(isinstance(grid, Grid), "grid", "a Grid, that of the samples", type(grid).__name__)
    u = answers(surrogate, inputs)
    require(u.shape[1:-1] == grid.shape, "grid", f"that of the samples, {u.shape[1:-1]} nodes", grid.shape)
    check_pairs(u, outputs)
    errors = in_batches(lambda v, truth: metrics.relative_l2(v, truth, grid), u, outputs)
    sizes = in_batches(estimate, inputs, u)
    require(bool(np.isfinite(errors).all()), "outputs", "finite solutions, none of them zero", "NaN, infinity or zero")
    factor = conformal_quantile(errors / np.maximum(sizes, np.finfo(sizes.dtype).tiny), coverage)
    return Calibrated(estimate, jnp.asarray(factor), coverage)


def check_estimate(estimate: Any, surrogate: Any) -> None:
    """Raise `UsageError` unless it is an estimate, and of the equation that the surrogate, if it says which, was trained for."""
    require(isinstance(estimate, AbstractEstimate), "estimate", "one of pdesurr.uq's", type(estimate).__name__)
    pde = getattr(estimate.estimate if isinstance(estimate, Calibrated) else estimate, "pde", None)
    if pde is not None and isinstance(surrogate, Surrogate):
        surrogate.check_equation(pde)


def in_batches(function: Callable[..., Array], *arrays: Either) -> Float[np.ndarray, " n"]:
    """function(one sample of each array), sample by sample."""
    call = jax.jit(jax.vmap(function))
    parts = (tuple(jnp.asarray(v[i : i + BATCH]) for v in arrays) for i in range(0, len(arrays[0]), BATCH))
    return np.concatenate([np.asarray(call(*part)) for part in parts])
