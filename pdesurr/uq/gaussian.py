"""Deviations that a model states itself, made to hold the truth as often as they say."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.nn.gaussian import LowRankGaussian
from pdesurr.uq.conformal import BATCH, Either, conformal_quantile

TWO_SIGMA = 0.9545  # of a Gaussian's draws lie within two deviations


class Rescaled(eqx.Module):
    """`answer(*inputs)` with its deviations times `factor`: the mean is the same, the covariance is times factor^2."""

    answer: Callable[..., LowRankGaussian]
    factor: Float[Array, ""]

    def __call__(self, *inputs: Any) -> LowRankGaussian:
        return self.answer(*inputs).rescaled(self.factor)


def rescaled(answer: Callable[..., LowRankGaussian], inputs: tuple[Float[Either, "_ ..."], ...], truths: Float[Either, "_ _"],
             *, coverage: float = TWO_SIGMA) -> Rescaled:
    """The answer with deviations that fit n calibration samples, `inputs` of `answer` and its `truths` `(n, m)`, not used in its training.

    factor = q / q_normal, q the conformal quantile of |truth - mean| / deviation over all numbers of all samples and q_normal that of a
    Gaussian: the share `coverage` of numbers lies within q_normal deviations, on average over further samples of the same law as far as
    numbers of one sample are alike. Numbers without a deviation, which are given, do not count. Of a `RandomGridProcess`, `answer` is
    `model.inverse` or `lambda z, w: model.field(z, w, x)`. Raises `UsageError` for too few samples, shapes that
    differ, and values that are not finite. Source: the scores of Lei et al., J. Amer. Stat. Assoc. 113 (2018), section 5.2.
    """
    counts = {len(v) for v in inputs} | {len(truths)}
    require(len(counts) == 1 and len(truths) > 0, "inputs, truths", "as many samples of one as of the other", counts)

    @jax.jit
    def parts(*sample: Array) -> tuple[Array, Array]:
        found = answer(*sample)
        return found.mean, found.marginal

    mean, deviation = map(np.asarray, jax.lax.map(lambda s: parts(*s), tuple(map(jnp.asarray, inputs)), batch_size=BATCH))
    truths = np.asarray(truths)
    require(truths.shape == mean.shape, "truths", f"the shape of the answers, {mean.shape}", truths.shape)
    for name, values in (("truths", truths), ("answers", mean), ("deviations", deviation)):
        require(bool(np.isfinite(values).all()), name, "finite values", "NaN or infinity")
    free = deviation > 0
    quantile = conformal_quantile(np.abs(truths - mean)[free] / deviation[free], coverage)
    return Rescaled(answer, jnp.asarray(quantile / norm.ppf((1 + coverage) / 2), mean.dtype))
