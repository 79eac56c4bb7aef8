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
    numbers of one sample are alike. Numbers without a deviation, which are given, do not count; within an infinite one lies everything.
    Of a `RandomGridProcess`, `answer` is `lambda z, w: model.field(z, w, x)` with `inputs` (z, w), and `truths` the values at the points x,
    all channels of a point together; or `model.inverse` with `inputs` (u, x, w), each sample with points of its own, and `truths` z. Raises
    `UsageError` for fewer samples than the coverage needs, shapes that differ, and values that are not finite. Source: the scores of Lei et
    al., J. Amer. Stat. Assoc. 113 (2018), section 5.2.
    """
    require(isinstance(inputs, tuple) and len(inputs) > 0, "inputs", "a tuple of arrays, the answer's arguments", type(inputs).__name__)
    for name, values in (("truths", truths), *((f"inputs[{i}]", v) for i, v in enumerate(inputs))):
        sound = isinstance(values, np.ndarray | jax.Array) and values.ndim > 0 and values.dtype.kind == "f"
        require(sound, name, "an array of floats, a row a sample", getattr(values, "shape", type(values).__name__))
        require(len(values) == len(truths), name, f"{len(truths)} samples, as many as truths", len(values), "give each its own")
        require(bool(np.isfinite(values).all()), name, "finite values", "NaN or infinity")
    conformal_quantile(np.zeros(len(truths)), coverage)  # are these samples enough?

    @jax.jit
    def parts(*sample: Array) -> tuple[Array, Array]:
        found = answer(*sample)
        require(isinstance(found, LowRankGaussian), "answer", "a function to a LowRankGaussian", type(found).__name__)
        return found.mean, found.marginal

    mean, deviation = map(np.asarray, jax.lax.map(lambda s: parts(*s), tuple(map(jnp.asarray, inputs)), batch_size=BATCH))
    truths = np.asarray(truths)
    require(truths.shape == mean.shape, "truths", f"the shape of the answers, {mean.shape}", truths.shape)
    free = deviation > 0
    sound = bool(np.isfinite(mean).all()) and not np.isnan(deviation).any()
    require(sound and bool(free.any()), "answers", "finite means, deviations >= 0 and not all 0", "others")
    quantile = conformal_quantile(np.abs(truths - mean)[free] / deviation[free], coverage)
    factor = max(quantile / norm.ppf((1 + coverage) / 2), np.finfo(mean.dtype).eps)  # not 0: infinite deviations stay so
    return Rescaled(answer, jnp.asarray(factor, mean.dtype))
