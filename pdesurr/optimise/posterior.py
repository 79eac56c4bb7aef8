"""Draws of a posterior by the no-U-turn sampler."""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from pdesurr.checks import DivergedError, UsageError, require
from pdesurr.optimise.doors import Flat
from pdesurr.types import Key

AGREED = 1.05  # largest r_hat


@dataclasses.dataclass(frozen=True)
class Posterior:
    """`samples`, of the start's structure, `(chains, samples, ...)`. `r_hat` (near 1 where the chains agree) and `effective` (how many
    independent draws they are worth): the worst over all numbers. `acceptance`: mean; `divergent`: share of transitions that left the
    density's scale, which should be none. `gradients`: how often the density was evaluated with its gradient, warm-up and all chains."""

    samples: Any
    r_hat: float
    effective: float
    acceptance: float
    divergent: float
    gradients: int


def posterior(log_density: Callable[[Any], Float[Array, ""]], start: PyTree, *, key: Key, samples: int = 500, warmup: int = 300,
              chains: int = 4, spread: float = 0.1) -> Posterior:
    """Draws of exp(`log_density(x)`), up to a factor, over x of `start`'s structure, by NUTS with step size and a diagonal mass found in
    the warm-up; chains start `spread` times normal draws away from `start`. Through a surrogate a gradient is cheap, and the posterior is
    the surrogate's: add its error to the noise's variance, or check by the true solver's density at some draws.

    Needs the extra `bayes`. Scale x so that all numbers are of like size. Warns where `r_hat` is above 1.05. Raises `UsageError` for bad
    arguments and without BlackJAX, and `DivergedError` where the density or its gradient is not finite at the start. Source: Hoffman and
    Gelman, JMLR 15 (2014); r_hat and effective size: Gelman et al., Bayesian Data Analysis, third edition.
    """
    try:
        import blackjax  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("posterior needs the package blackjax; pip install 'pdesurr[bayes]'") from None
    whole = all(type(n) is int and n >= least for n, least in ((samples, 4), (warmup, 20), (chains, 2)))
    require(whole, "samples, warmup, chains", "whole numbers, at least 4, 20 and 2", (samples, warmup, chains))
    require(0 <= spread < math.inf, "spread", "a number >= 0", spread)
    flat = Flat(log_density, start)
    x, back, density = jnp.asarray(flat.start, flat.dtype), flat.back, flat.of_vector
    value, slope = jax.jit(jax.value_and_grad(density))(x)
    if not bool(jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))):
        raise DivergedError("the log density or its gradient is not finite at the start; begin elsewhere")

    def chain(key: Key) -> tuple[Array, ...]:
        first, warm, run = jax.random.split(key, 3)
        begin = x + spread * jax.random.normal(first, x.shape, x.dtype)
        (state, found), warmed = blackjax.window_adaptation(blackjax.nuts, density).run(warm, begin, num_steps=warmup)  # pyright: ignore
        step = blackjax.nuts(density, **found).step

        def one(state: Any, key: Key) -> tuple[Any, Any]:
            info: Any
            state, info = step(key, state)
            return state, (state.position, info.acceptance_rate, info.is_divergent, info.num_integration_steps)

        *parts, steps = jax.lax.scan(one, state, jax.random.split(run, samples))[1]
        return *parts, jnp.sum(steps) + jnp.sum(warmed.info.num_integration_steps)

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        draws, accepted, left, steps = jax.jit(jax.vmap(chain))(jax.random.split(key, chains))
        r_hat, effective = (np.asarray(f(draws)) for f in (
            blackjax.diagnostics.potential_scale_reduction, blackjax.diagnostics.effective_sample_size))
    if not r_hat.max() < AGREED:
        warnings.warn(f"the chains do not agree: r_hat {r_hat.max():.2f}, {effective.min():.0f} effective draws; take a longer warm-up "
                      "and more samples, or scale x so that all numbers are of like size", stacklevel=2)
    return Posterior(jax.vmap(jax.vmap(back))(draws), float(r_hat.max()), float(effective.min()), float(jnp.mean(accepted)),
                     float(jnp.mean(left, dtype=x.dtype)), int(jnp.sum(steps)))
