"""Split conformal prediction: bands about a surrogate's answers that hold the truth as often as they say."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.surrogates import Surrogate

Kind = Literal["simultaneous", "pointwise"]
BATCH = 32
STRANGE = 0.5  # relative error, of half the samples, of what is hardly the surrogate's own map
Either = Array | np.ndarray


def conformal_quantile(scores: Float[np.ndarray, "n *rest"], coverage: float) -> Float[np.ndarray, "*rest"]:
    """The ceil((n + 1) coverage)-th smallest of n scores: a further score of the same law is at most that with a probability of at least
    `coverage` (and at most coverage + 1 / (n + 1) without ties). Raises `UsageError` where so few scores cannot say, and for NaN.
    Source: Vovk, Gammerman and Shafer 2005; Lei et al., J. Amer. Stat. Assoc. 113 (2018), theorem 2."""
    n = len(scores)
    require(isinstance(coverage, (int, float)) and 0 < coverage < 1, "coverage", "a number in (0, 1)", coverage)
    require(not np.isnan(scores).any(), "scores", "numbers", "NaN")
    rank = math.ceil((n + 1) * coverage - 1e-12)
    require(rank <= n, "samples", f"at least {math.ceil(coverage / (1 - coverage) - 1e-9)} to calibrate a coverage of {coverage:g}", n)
    return np.asarray(np.sort(scores, axis=0)[rank - 1])


class Band(eqx.Module):
    """lower, upper = band(u): u -+ width, `width` `(*grid, c)`. `kind` "simultaneous": the truth lies inside at all points at once with
    probability `coverage`; "pointwise": at each point with that probability."""

    width: Float[Array, "*grid c"]
    coverage: float = eqx.field(static=True)
    kind: Kind = eqx.field(static=True)

    def __call__(self, u: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """One answer or a batch. Raises `UsageError` for another shape and, outside jit, for values that are not finite."""
        require(u.shape[-self.width.ndim :] == self.width.shape, "u", f"answers of shape {self.width.shape}, as calibrated", u.shape)
        require(isinstance(u, Tracer) or bool(jnp.all(jnp.isfinite(u))), "u", "finite values", "NaN or infinity")
        return u - self.width, u + self.width

    def covers(self, u: Float[Array, "n *grid c"], truth: Float[Array, "n *grid c"]) -> float:
        """The share of samples (of points, if pointwise) whose truth lies inside."""
        for name, values in (("u", u), ("truth", truth)):
            same = values.shape[1:] == self.width.shape and len(u) == len(truth) > 0
            require(same, name, f"samples of shape {self.width.shape}, as many of one as of the other", values.shape)
        inside = jnp.abs(truth - u) <= self.width[None]
        held = jnp.all(inside.reshape(len(u), -1), axis=1) if self.kind == "simultaneous" else inside
        return float(jnp.mean(held, dtype=jnp.float32))


def conformal_band(surrogate: Callable[[Array], Array], inputs: Float[Either, "n *grid c_in"], outputs: Float[Either, "n *grid c"],
                   *, coverage: float = 0.9, kind: Kind = "simultaneous") -> Band:
    """A band from calibration samples `(n, *grid, channel)`, solved as the training's were and not used in it; `surrogate` maps one input.

    A third of them gives the error's size at each point, s(x) (its root mean square); the others the quantile q of max_x |error(x)| / s(x):
    the width is q s(x), so that a band for all points at once is narrow where errors are. Pointwise, the quantile is each point's own, of
    all samples. The coverage holds on average over calibrations, for inputs of the same law, whatever the surrogate; not for inputs that
    an optimiser chose. Raises `UsageError` for too few samples. Source: Diquigiovanni, Fontana and Vantini, J. Multivariate Anal. 189
    (2022), modulated by the standard deviation.
    """
    require(kind in get_args(Kind), "kind", f"one of {', '.join(get_args(Kind))}", kind)
    require(isinstance(coverage, (int, float)) and 0 < coverage < 1, "coverage", "a number in (0, 1)", coverage)
    u, outputs = answers(surrogate, inputs), np.asarray(outputs)
    check_pairs(u, outputs)
    errors = np.abs(u - outputs)
    if kind == "pointwise":
        return Band(jnp.asarray(conformal_quantile(errors, coverage)), coverage, kind)
    third, least = len(errors) // 3, math.ceil(1.5 * math.ceil(coverage / (1 - coverage) - 1e-9)) + 2
    require(len(errors) >= least, "samples", f"at least {least} for a coverage of {coverage:g}, a third of them for the shape", len(errors))
    size = np.sqrt(np.mean(errors[:third] ** 2, axis=0))
    size = np.maximum(size, 1e-3 * size.max() + np.finfo(size.dtype).tiny)  # walls, where the answer is given
    scores = (errors[third:] / size).reshape(len(errors) - third, -1).max(axis=1)
    return Band(jnp.asarray(conformal_quantile(scores, coverage) * size), coverage, kind)


def check_samples(values: Any, name: str, ndim: int | None = None) -> None:
    """Raise `UsageError` unless values are a batch of real samples `(n, *grid, channels)`."""
    array = isinstance(values, (np.ndarray, jax.Array)) and values.dtype.kind == "f"
    require(array, name, "an array of floats, samples (n, *grid, channels)", getattr(values, "dtype", type(values).__name__))
    batch = values.ndim >= 3 if ndim is None else values.ndim == ndim
    require(batch and len(values) > 0, name, "samples (n, *grid, channels), at least one", values.shape, "of one sample a[None] is a batch")


def check_pairs(u: Float[np.ndarray, "n *grid c"], outputs: Any) -> None:
    """Raise `UsageError` unless outputs are finite and of the answers' shape; warn where they are no answers to the same inputs."""
    check_samples(outputs, "outputs")
    require(bool(np.isfinite(outputs).all()), "outputs", "finite values", "NaN or infinity", "repair or drop those samples")
    require(u.shape == outputs.shape, "outputs", f"the shape of the surrogate's answers, {u.shape}", outputs.shape)
    size = lambda v: np.sqrt(np.mean(np.square(v).reshape(len(v), -1), axis=1))  # noqa: E731
    errors, norms = size(u - np.asarray(outputs)), size(outputs)
    error = float(np.median(errors[norms > 0] / norms[norms > 0])) if (norms > 0).any() else 0.0
    if not error < STRANGE:
        warnings.warn(f"the surrogate's answers are {100 * error:.0f} % off these outputs: inputs and outputs swapped, or of another "
                      "equation?", stacklevel=3)


def answers(surrogate: Callable[[Array], Array], inputs: Float[Either, "n *grid c_in"]) -> Float[np.ndarray, "n *grid c"]:
    """The surrogate, of one input, on samples, a batch at a time. Raises `UsageError` for what is not finite samples."""
    check_samples(inputs, "inputs", surrogate.spec.grid.ndim + 2 if isinstance(surrogate, Surrogate) else None)
    require(callable(surrogate), "surrogate", "a function of one input", type(surrogate).__name__)
    require(bool(np.isfinite(inputs).all()), "inputs", "finite values", "NaN or infinity", "repair or drop those samples")
    call = jax.jit(jax.vmap(surrogate))
    return np.concatenate([np.asarray(call(jnp.asarray(inputs[i : i + BATCH]))) for i in range(0, len(inputs), BATCH)])
