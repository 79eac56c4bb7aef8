"""Adversarial adaptive sampling: the points come from a density that is trained, against the network, to be where the residual is."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.regions import box
from pdesurr.nn.flow import BoxFlow
from pdesurr.objectives.physics import Drawn, Equation, Problem, at_points
from pdesurr.objectives.sampling import AbstractAdaptive, State, check_counts, equation, squared_residual
from pdesurr.types import Key


class AdversarialFlow(AbstractAdaptive):
    """Points of a density p on the term's region, a `BoxFlow`, in

        min_u max_p  E_{x ~ p} r(x; u)^2 - smoothness |p|_H1^2,     |p|_H1^2 = int |grad p|^2 dx in the region's unit cube:

    a renewal is `ascent` steps of Adam on p, each on `batch` of its own samples; then come the network's steps on new samples. With
    `reweighed` each has the weight 1 / p: the network's loss is then an unbiased estimate of the mean square over the region, with less
    noise than even points have where r is large. Without, it is E_p r^2, as published.

    The ascent is on log E_p r^2 - smoothness |p|_H1^2: the same direction with the residual in units of its mean, so that `smoothness`
    has no unit: p may narrow to about smoothness^(1 / (d + 2)) of the cube in d axes. Its gradient is the score form, E (r^2 - mean) grad
    log p, through importance ratios that are one; r is not differentiated. p is uniform at first and forgotten after the stage. The share
    `mixed` of the points is uniform instead, so that what p leaves out stays small and no weight exceeds 1 / `mixed`: p above is then the
    mixture. A term has one
    region, with an axis that is free.
    Source: Tang, Zhai, Wan and Yang, ICLR 2024 (arXiv 2305.18702), there with a KRnet; the penalty's form, the
    mixture and the weights are ours.
    """

    terms: tuple[str, ...] = eqx.field(static=True, default=("equation",))
    smoothness: float | int = eqx.field(static=True, default=1e-4)
    ascent: int = eqx.field(static=True, default=5)
    batch: int = eqx.field(static=True, default=1000)
    learning_rate: float = eqx.field(static=True, default=1e-3)
    mixed: float | int = eqx.field(static=True, default=0.0)
    reweighed: bool = eqx.field(static=True, default=True)
    couplings: int = eqx.field(static=True, default=8)
    width: int = eqx.field(static=True, default=32)
    every: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(ascent=self.ascent, batch=self.batch, couplings=self.couplings, width=self.width, every=self.every)
        require(self.smoothness >= 0 and self.learning_rate > 0, "smoothness, learning_rate", "numbers >= 0 and > 0",
                (self.smoothness, self.learning_rate))
        require(0 <= self.mixed < 1, "mixed", "a share in [0, 1)", self.mixed)

    @property
    def optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(self.learning_rate))

    def first(self, term: Equation, key: Key) -> State:
        require(len(term.regions) == 1 and len(term.regions[0].free) > 0, "regions", "one, with a free axis", term.regions)
        axes = len(term.regions[0].free)
        flow = BoxFlow((0.0,) * axes, (1.0,) * axes, self.couplings, self.width, key=key)
        return flow, self.optimiser.init(eqx.filter(flow, eqx.is_inexact_array))

    def renew(self, problem: Problem, name: str, model: Any, held: State, key: Key) -> State:
        region = equation(problem, name).regions[0]

        def ascend(carry: State, key: Key) -> tuple[State, None]:
            flow, state = carry
            at = flow.sample(key, self.batch)[0]
            squares = squared_residual(problem, name, model, region.spread(at))
            gradient = jax.grad(lambda f: -advantage(f, at, squares, self.smoothness))(flow)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = self.optimiser.update(gradient, state)
            return (jax.tree.map(lambda p, u: p + u.astype(p.dtype), flow, updates), state), None

        return lax.scan(ascend, held, jax.random.split(key, self.ascent))[0]

    def take(self, term: Equation, held: State, key: Key) -> Drawn:
        flow_key, rest_key = jax.random.split(key)
        region, rest = term.regions[0], int(self.mixed * term.points)
        at = held[0].sample(flow_key, term.points - rest)[0]
        at = jnp.concatenate([at, box(*[(0.0, 1.0)] * at.shape[1]).draw(rest_key, rest, "quasi")]) if rest else at
        if not self.reweighed:
            return at_points(region.spread(at))
        share = rest / term.points
        return at_points(region.spread(at), lax.stop_gradient(1 / ((1 - share) * jnp.exp(held[0].log_prob(at)) + share)))


def advantage(flow: BoxFlow, at: Float[Array, "n k"], squares: Float[Array, " n"], smoothness: float | int) -> Float[Array, ""]:
    """A number whose gradient in the flow estimates that of log E_p r^2 - smoothness int |grad p|^2, from samples `at` of p as it is and
    r^2 = `squares` there."""
    log_p, slope = flow.log_prob(at), jax.grad(lambda x: jnp.sum(flow.log_prob(x)))(at)
    held = lax.stop_gradient(log_p)
    roughness = jnp.exp(2 * log_p - held) * jnp.sum(slope**2, axis=1)
    rise = squares / jnp.maximum(jnp.mean(squares), jnp.finfo(squares.dtype).tiny) - 1
    return jnp.mean(rise * jnp.exp(log_p - held) - smoothness * roughness)
