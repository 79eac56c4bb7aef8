"""Active refinement: what the true solver was asked becomes training data."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.data.sources import ArraySource
from pdesurr.objectives import relative_l2
from pdesurr.surrogates import Channel, Surrogate, traits
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Objective

Samples = Float[Array, "..."] | Float[np.ndarray, "..."]


def refine(surrogate: Surrogate, inputs: Samples, outputs: Samples, config: TrainConfig, *,
           rehearsal: tuple[Samples, Samples] | None = None, objective: Objective = relative_l2) -> Surrogate:
    """The surrogate trained on by `config` (`TrainConfig(epochs=20, batch_size=20, learning_rate=5e-4)`) on samples that the true solver
    answered where a search led, `(n, *grid, c)` on the grid of its training, together with `rehearsal`, samples of the law that it was
    trained on: without them it forgets that law.

    `trust_region(..., has_aux=True)` keeps what its solves found. Its ranges widen to the new inputs; its errors are unknown until it is
    tested again, and no error is stated. Raises `UsageError` for other shapes and values that are not finite, and as `fit`.
    """
    require(isinstance(surrogate, Surrogate), "surrogate", "a Surrogate", type(surrogate).__name__)
    grid, spec = surrogate.spec.grid, surrogate.spec
    pairs = [(inputs, outputs)] if rehearsal is None else [(inputs, outputs), rehearsal]
    shapes = tuple((*grid.shape, len(channels)) for channels in (spec.input, spec.output))
    for name, pair in zip(("inputs, outputs", "rehearsal"), pairs, strict=False):
        sound = len(pair[0]) == len(pair[1]) > 0 and tuple(np.shape(v)[1:] for v in pair) == shapes
        require(sound, name, f"samples of shapes {shapes}, as many of one as of the other", tuple(np.shape(v) for v in pair))
        require(all(bool(np.isfinite(v).all()) for v in pair), name, "finite values", "NaN or infinity", "repair or drop those samples")
    dtype = next(v.dtype for v in jax.tree.leaves(surrogate.model) if jnp.issubdtype(jnp.result_type(v), jnp.floating))
    a, u = (np.concatenate([np.asarray(pair[i], dtype) for pair in pairs]) for i in range(2))
    found = fit(surrogate.model, ArraySource(a, u, grid), objective, config)
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
