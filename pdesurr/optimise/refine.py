"""Active refinement: what the true solver was asked becomes training data."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.data.sources import ArraySource
from pdesurr.objectives import relative_l2
from pdesurr.surrogates import Channel, Surrogate, traits
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Objective, Samples

SEEN = 256  # samples that are looked at before and after, the solver's first
Values = Float[Array, "..."] | Float[np.ndarray, "..."]


def refine(surrogate: Surrogate, inputs: Values, outputs: Values, config: TrainConfig, *,
           rehearsal: tuple[Values, Values] | None = None, objective: Objective = relative_l2) -> Surrogate:
    """The surrogate trained on by `config` (`TrainConfig(epochs=60, batch_size=20, learning_rate=1e-3, ema_decay=0.99)`) on samples that
    the true solver answered where a search led, `(n, *grid, c)` on the grid of its training, together with `rehearsal`, some hundreds of
    samples of the law that it was trained on: without them it forgets that law. Solutions of next to no size (a thousandth of the
    largest), of which a relative error says nothing, are left out.

    `trust_region(..., has_aux=True)` keeps what its solves found. Its ranges widen to the new inputs; its errors are unknown until it is
    tested again (`check_against_solver`), and no error is stated. Warns where the objective on these samples is not lower after than
    before. Raises `UsageError` for other shapes and values that are not finite, and as `fit`.
    """
    require(isinstance(surrogate, Surrogate), "surrogate", "a Surrogate", type(surrogate).__name__)
    grid, spec = surrogate.spec.grid, surrogate.spec
    pairs = [(inputs, outputs)] if rehearsal is None else [(inputs, outputs), rehearsal]
    shapes = tuple((*grid.shape, len(channels)) for channels in (spec.input, spec.output))
    for name, pair in zip(("inputs, outputs", "rehearsal"), pairs, strict=False):
        arrays = isinstance(pair, tuple) and len(pair) == 2 and all(getattr(getattr(v, "dtype", None), "kind", "") == "f" for v in pair)
        require(arrays, name, "a pair of arrays of floats, inputs and outputs", type(pair).__name__)
        sound = len(pair[0]) == len(pair[1]) > 0 and tuple(np.shape(v)[1:] for v in pair) == shapes
        require(sound, name, f"samples of shapes {shapes}, as many of one as of the other", tuple(np.shape(v) for v in pair))
        require(all(bool(np.isfinite(v).all()) for v in pair), name, "finite values", "NaN or infinity", "repair or drop those samples")
    dtype = next(v.dtype for v in jax.tree.leaves(surrogate.model) if jnp.issubdtype(jnp.result_type(v), jnp.floating))
    a, u = (np.concatenate([np.asarray(pair[i], dtype) for pair in pairs]) for i in range(2))
    sizes = np.linalg.norm(u.reshape(len(u), -1), axis=1)
    a, u = (v[sizes > 1e-3 * sizes.max()] for v in (a, u))
    require(config.batch_size <= len(u), "config.batch_size", f"at most {len(u)}, the samples", config.batch_size, "or give a rehearsal")
    found = fit(surrogate.model, ArraySource(a, u, grid), objective, config)
    batch = Batch(Samples(grid, jnp.asarray(a[:SEEN])), Samples(grid, jnp.asarray(u[:SEEN])))
    before, after = (float(jax.jit(lambda m: objective(m, batch, None)[0])(m)) for m in (surrogate.model, found.model))
    if not after < before:
        warnings.warn(f"the objective on these samples is {after:.3g} after and {before:.3g} before: take more epochs, or a lower learning "
                      "rate", stacklevel=2)
    return Surrogate(found.model, dataclasses.replace(
        spec, input=_widened(spec.input, a), output=_widened(spec.output, u), norms=_norms(surrogate, a),
        traits=_both(spec.traits, traits.ranges(a)) if spec.traits else {}, errors={},
        training={**spec.training, "refined_samples": int(spec.training.get("refined_samples", 0)) + len(inputs)}))


def _widened(channels: tuple[Channel, ...], values: np.ndarray) -> tuple[Channel, ...]:
    return tuple(dataclasses.replace(c, lower=min(c.lower, float(values[..., i].min())), upper=max(c.upper, float(values[..., i].max())))
                 for i, c in enumerate(channels))


def _norms(surrogate: Surrogate, values: np.ndarray) -> tuple[float, float]:
    grid, (low, high) = surrogate.spec.grid, surrogate.spec.norms
    norms = np.sqrt(np.asarray(jax.vmap(lambda v: jnp.sum(grid.norm(v) ** 2))(jnp.asarray(values))))
    return min(low, float(norms.min())), max(high, float(norms.max()))


def _both(known: traits.Ranges, new: traits.Ranges) -> traits.Ranges:
    return {k: (min(known[k][0], new[k][0]), max(known[k][1], new[k][1])) for k in known}
