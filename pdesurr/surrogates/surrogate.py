"""The trained artefact: a model that knows its equation, its units, its valid range and its own error."""

import warnings
from typing import Any, Literal, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

from pdesurr import metrics
from pdesurr.checks import expected, is_whole, require
from pdesurr.data.scaling import Scaled
from pdesurr.data.sources import gather, sample_key
from pdesurr.fields import Grid
from pdesurr.pdes import AbstractPDE
from pdesurr.recipes import make_pde
from pdesurr.surrogates.spec import Spec
from pdesurr.surrogates.traits import strange
from pdesurr.types import Samples, apply

Checked = Shaped[Array, "..."] | Shaped[np.ndarray, "..."]


class RangeWarning(UserWarning):
    """An input or a resolution outside what the surrogate was trained and tested on."""


class Surrogate(eqx.Module):
    """`u = surrogate(a)`: inputs in physical units to outputs in physical units, on the grid of the input's shape.

    A pytree: `jax.jit`, `jax.grad` and `jax.vmap` go through it. `spec` says what it is valid for. Make one with `fit`, get one
    with `load_surrogate`.
    """

    model: Scaled
    spec: Spec = eqx.field(static=True)

    # By identity, so that `jax.jit(surrogate)` and `jax.jit(surrogate.predict)` work: jax hashes what it compiles.
    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __call__(self, a: Float[Array, "*grid c_in"]) -> Float[Array, "*grid c_out"]:
        """One sample, or a batch with one leading axis, without looking at the values: for use inside jit, grad and vmap.

        Raises `UsageError` for a wrong number of axes or channels, or a resolution that cannot hold the model's modes.
        """
        self.grid_of(_shape(a))
        return _called(self, a)

    @overload
    def predict(self, a: Checked, *, error: Literal[False] = False) -> Float[Array, "*grid c_out"]: ...
    @overload
    def predict(self, a: Checked, *, error: Literal[True]) -> tuple[Float[Array, "*grid c_out"], Float[np.ndarray, "..."]]: ...
    def predict(self, a: Checked, *, error: bool = False) -> Any:
        """The same with the values checked: raises `UsageError` for NaN or infinity, warns (`RangeWarning`) outside the trained
        range. Inside jit, grad and vmap values are hidden, and it is the plain call.

        With `error=True`: (u, e), e the relative L2 error that 95 per cent of the test samples kept at the (nearest tested) resolution, one
        number a sample; infinite where the input lies outside the trained range, about which the test says nothing, and for a surrogate
        that was not tested. An error of this very answer is what `pdesurr.uq` estimates.
        """
        if isinstance(a, Tracer):
            require(not error, "error", "False inside jit, grad and vmap, where values are hidden", error, "ask error_estimate outside")
            return self(a)
        convertible = isinstance(a, (list, tuple)) or (hasattr(a, "__array__") and not isinstance(a, jax.Array))
        a = np.asarray(a) if convertible else a
        grid = self.grid_of(_shape(a))
        require(0 not in np.shape(a), "input", "at least one sample", np.shape(a))
        require(not np.iscomplexobj(a), "input", "real numbers", a.dtype)
        values = jnp.asarray(a, jnp.float32)
        require(bool(jnp.all(jnp.isfinite(values))), "input", "finite values", "NaN or infinity", "repair or drop those samples")
        u = _called(self, values)
        for warning in self.range_warnings(values, grid):
            warnings.warn(warning, RangeWarning, stacklevel=3)  # the caller's line: Equinox wraps methods
        return (u, self._known_errors(values, grid)) if error else u

    def _known_errors(self, values: Float[Array, "..."], grid: Grid) -> Float[np.ndarray, "..."]:
        """As of `predict`."""
        known = self.error_estimate(grid.shape)
        bound = np.inf if known is None else known["p95"]
        batch = values if values.ndim == grid.ndim + 2 else values[None]
        found = np.asarray([np.inf if self._out_of_range(v[None], grid) else bound for v in batch])
        return found.reshape(values.shape[: values.ndim - grid.ndim - 1])

    def grid_of(self, shape: tuple[int, ...]) -> Grid:
        """The grid that an input of that shape lives on: the training box at the input's own resolution."""
        d, channels = self.spec.grid.ndim, len(self.spec.input)
        names = ", ".join(c.name for c in self.spec.input)
        fits = len(shape) in (d + 1, d + 2) and shape[-1] == channels
        require(
            fits,
            "input",
            f"shape ({', '.join(self.spec.grid.names)}, {channels}) or the same behind one batch axis; "
            f"{'the channel is' if channels == 1 else 'channels are'} {names}",
            tuple(shape),
            "add the channel axis with a[..., None]" if channels == 1 and len(shape) in (d, d + 1) and shape[-1] > 8 else "",
        )
        return self.spec.grid.with_shape(*shape[-d - 1 : -1])

    def range_warnings(self, a: Float[Array, "..."], grid: Grid) -> list[str]:
        """Sentences about what lies outside the trained range: values, norm, mean, peak, roughness, resolution."""
        found, tested = self._out_of_range(a, grid), self.spec.resolutions
        if grid.shape not in (tested or (self.spec.grid.shape,)):
            known = f"tested were {', '.join(map(str, tested))}" if tested else f"none was, training was at {self.spec.grid.shape}"
            found.append(f"resolution {grid.shape} was not tested; {known}")
        return found

    def _out_of_range(self, a: Float[Array, "..."], grid: Grid) -> list[str]:
        batch = a if a.ndim == grid.ndim + 2 else a[None]
        found = strange(batch, self.spec.traits, grid, self.spec.grid)
        for i, channel in enumerate(self.spec.input):
            low, high = float(jnp.min(a[..., i])), float(jnp.max(a[..., i]))
            margin = 1e-6 * (channel.upper - channel.lower)
            if low < channel.lower - margin or high > channel.upper + margin:
                found.append(
                    f"input {channel.name} has values in [{low:.4g}, {high:.4g}], training saw [{channel.lower:.4g}, "
                    f"{channel.upper:.4g}]: the stated error does not hold there"
                )
        norms = _norms(batch, grid)
        low, high = float(jnp.min(norms)), float(jnp.max(norms))
        if low < self.spec.norms[0] * (1 - 1e-3) or high > self.spec.norms[1] * (1 + 1e-3):
            found.append(f"input norms are in [{low:.4g}, {high:.4g}], training saw [{self.spec.norms[0]:.4g}, {self.spec.norms[1]:.4g}]")
        return found

    def error_estimate(self, shape: tuple[int, ...] | None = None) -> dict[str, float] | None:
        """The relative L2 error measured on test data at (or nearest to) a resolution: mean, median, p95, max; None if untested."""
        shape, d = shape or self.spec.grid.shape, self.spec.grid.ndim
        require(isinstance(shape, tuple) and len(shape) == d, "shape", f"a tuple, the nodes of {d} axes", shape, "(64,) is 64 nodes")
        return self.spec.error_at(shape)

    def equation(self) -> AbstractPDE:
        """The equation with the parameters that it was trained for."""
        return make_pde(self.spec.pde, self.spec.parameters)

    def check_equation(self, pde: Any) -> None:
        """Raise `UsageError` unless `pde` is the equation, with the parameters, that it was trained for."""
        require(type(pde).__name__ == self.spec.pde, "pde", f"the equation it was trained for, {self.spec.pde}",
                f"the class {pde.__name__}" if isinstance(pde, type) else type(pde).__name__, "surrogate.equation() is that")
        ours, theirs = self.spec.parameters, pde.parameters
        names = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
        require(not names, "pde", f"{_said(ours, names)}, as it was trained", _said(theirs, names), "surrogate.equation() is that")

    def check_against_solver(
        self, pde: AbstractPDE, *, samples: int = 16, seed: int, route: str | None = None
    ) -> Float[np.ndarray, " samples"]:
        """Relative L2 errors on fresh draws of the equation's prior, solved by its reference solver: by `route`, or for each
        sample by the first of the equation's routes that is right for it. Raises `UsageError` if `pde` is not the equation, with
        the parameters, that the surrogate was trained for."""
        self.check_equation(pde)
        require(route is None or route in pde.routes, "route", f"None or one of {', '.join(pde.routes)}", route)
        require(is_whole(samples) and samples >= 1, "samples", "a whole number >= 1", samples)
        require(is_whole(seed), "seed", "a whole number", seed)
        grid, errors = self.spec.grid, np.full(samples, np.nan)
        for name in pde.routes if route is None else (route,):

            def one(i: Array, name: str = name) -> Array:
                fields, ok = pde.record(sample_key(seed, i), grid, name)
                u = self(gather(pde.input, fields))
                return jnp.where(ok, metrics.relative_l2(u, gather(pde.output, fields), grid), jnp.nan)

            found = np.asarray(jax.jit(lambda n, one=one: jax.lax.map(one, n))(jnp.arange(samples)))
            errors = np.where(np.isfinite(errors), errors, found)
            if np.isfinite(errors).all():
                return errors
        tried = ", ".join(pde.routes if route is None else (route,))
        raise expected("pde", f"one whose reference solver ({tried}) is right for every sample on {grid.shape} nodes",
                       f"{np.isnan(errors).sum()} of {samples} samples for which it is not",
                       "train on more nodes, or test on a data file (pdesurr evaluate)")


def _shape(a: Any) -> tuple[int, ...]:
    """Of an array; `UsageError` for anything else."""
    require(isinstance(a, (jax.Array, np.ndarray)) and a.dtype != object, "input", "an array of numbers", type(a).__name__,
            "of Samples, their values")
    return a.shape


def _said(parameters: dict[str, float], names: list[str]) -> str:
    return ", ".join(f"{k} = {parameters[k]:g}" if k in parameters else f"no {k}" for k in names)


@eqx.filter_jit
def _norms(batch: Array, grid: Grid) -> Array:
    return jax.vmap(lambda v: jnp.sqrt(jnp.sum(grid.norm(v) ** 2)))(batch)


@eqx.filter_jit
def _called(surrogate: Surrogate, a: Array) -> Array:
    """Compiled as a whole: a gradient outside jit would otherwise compile each of its operations."""
    grid = surrogate.grid_of(a.shape)
    if a.ndim == grid.ndim + 1:
        return surrogate.model(Samples(grid, a), grid)
    return apply(surrogate.model, Samples(grid, a), grid)
