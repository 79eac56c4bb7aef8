"""Learning from a few points of each sample."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.nn.points import flat, measure
from pdesurr.objectives.supervised import relative_l2
from pdesurr.types import Batch, Key, Metrics, Model, Samples


@dataclass(frozen=True)
class SampledL2:
    """Mean over the batch of the relative L2 error where the model sees only `points` random points of each sample and answers there.

    For models that read scattered points (`GNO`, `MultipoleGraphOperator`): a step then costs what a small graph costs, whatever the
    grid. The points are drawn anew for each sample and step, without replacement, a point of larger quadrature weight more
    often (Efraimidis and Spirakis 2006), so that they may count alike afterwards. Without a key, which is how validation calls it, this
    is `relative_l2` on all points. Metrics: `relative_l2`. Input and output must have the same points; a model of a periodic
    box must know its `period`, as points alone do not. Raises `UsageError` for `points` not above 0, or other points of input and output.
    Source: Li et al. (arXiv 2003.03485), who train on sampled nodes.
    """

    points: int = 300

    def __post_init__(self):
        require(self.points > 0, "points", "a number > 0", self.points)

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        n = batch.output.values[0].size // batch.output.values.shape[-1]
        if key is None or n <= self.points:
            return relative_l2(model, batch, key)
        a, u = batch.input, batch.output
        require(a.values.shape[:-1] == u.values.shape[:-1], "batch", "the same points of input and output", a.values.shape)
        places = flat(Samples(a.points, a.values[0]))[0]
        weights = jnp.log(jnp.maximum(measure(a.points, places.dtype), jnp.finfo(places.dtype).tiny))

        def error(s: Samples, truth: Array, k: Key) -> Array:
            drawn, used = jax.random.split(k)
            _, few = lax.top_k(weights + jax.random.gumbel(drawn, weights.shape, weights.dtype), self.points)
            sub = Samples(places[few], s.values.reshape(n, -1)[few], s.params)
            wanted = truth.reshape(n, -1)[few]
            answer = model(sub, sub.points, key=used)
            return jnp.sqrt(jnp.sum((answer - wanted) ** 2) / jnp.sum(wanted**2))

        mapped = Samples(a.points, a.values, a.params)
        loss = jnp.mean(jax.vmap(error)(mapped, u.values, jax.random.split(key, len(u.values))))
        return loss, {"relative_l2": loss}
