"""Where a problem's points come from: drawn anew, kept, or gone where the residual is large. On the device, inside a compiled step."""

import abc
import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.regions import Order
from pdesurr.objectives.physics import Drawn, Equation, Problem, at_points
from pdesurr.types import Key

State = Any  # a pytree of arrays
Points = dict[str, Drawn]


class AbstractSampler(eqx.Module):
    """`state = start(problem, key)` once, then `drawn, state = draw(problem, model, state, key)` as often as points are wanted.

    What a training then minimises is `problem.loss(model, drawn)` with the points held: a sampler that follows the residual changes the
    loss, and each says to which. The state is a pytree of arrays of fixed shapes, which a checkpoint can keep."""

    @abc.abstractmethod
    def start(self, problem: Problem, key: Key) -> State: ...

    @abc.abstractmethod
    def draw(self, problem: Problem, model: Any, state: State, key: Key) -> tuple[Points, State]: ...


class Fresh(AbstractSampler):
    """New points in all regions at each draw, uniform there: the loss is an unbiased estimate of the mean square over the regions."""

    order: Order = eqx.field(static=True, default="uniform")

    def start(self, problem: Problem, key: Key) -> State:
        del problem, key
        return ()

    def draw(self, problem: Problem, model: Any, state: State, key: Key) -> tuple[Points, State]:
        del model
        return problem.draw(key, self.order), state


class Kept(AbstractSampler):
    """The same points at each draw, uniform in all regions: the loss is the mean square over them, which a network can fit alone."""

    order: Order = eqx.field(static=True, default="quasi")

    def start(self, problem: Problem, key: Key) -> State:
        return problem.draw(key, self.order)

    def draw(self, problem: Problem, model: Any, state: State, key: Key) -> tuple[Points, State]:
        del problem, model, key
        return state, state


class AbstractAdaptive(AbstractSampler):
    """Follows the residual of the equations called `terms`: holds something for each, renews it at the first draw and every `every` draws
    from the model, and takes its points from it. All other terms get new points at each draw.

    A stage of Adam draws at each step and a renewal costs more than a step, so there `every` should be some hundred; one that draws once
    a round wants 1. Raises `UsageError` for a term that is not an equation of the problem."""

    terms: eqx.AbstractVar[tuple[str, ...]]
    every: eqx.AbstractVar[int]

    @abc.abstractmethod
    def first(self, term: Equation, key: Key) -> State:
        """What is held at first."""

    @abc.abstractmethod
    def renew(self, problem: Problem, name: str, model: Any, held: State, key: Key) -> State: ...

    @abc.abstractmethod
    def take(self, term: Equation, held: State, key: Key) -> Drawn: ...

    def start(self, problem: Problem, key: Key) -> State:
        keys = jax.random.split(key, len(self.terms))
        held = {name: self.first(equation(problem, name), k) for name, k in zip(self.terms, keys, strict=True)}
        return {"draws": jnp.zeros((), jnp.int32), "held": held}

    def draw(self, problem: Problem, model: Any, state: State, key: Key) -> tuple[Points, State]:
        first, *keys = jax.random.split(key, 1 + 2 * len(self.terms))
        drawn, held = problem.draw(first, "quasi"), {}
        for name, renewing, taking in zip(self.terms, keys[::2], keys[1::2], strict=True):
            renew = lambda old, name=name, key=renewing: self.renew(problem, name, model, old, key)  # noqa: E731
            held[name] = lax.cond(state["draws"] % self.every == 0, renew, lambda old: old, state["held"][name])
            drawn[name] = self.take(equation(problem, name), held[name], taking)
        return drawn, {"draws": state["draws"] + 1, "held": held}


class RAD(AbstractAdaptive):
    """Residual-based adaptive distribution: points of the density p ~ |r|^power / mean |r|^power + offset, out of a dense pool that is
    uniform in the regions and new at each renewal; |r|^2 sums the squares of the term's equations.

    The loss is an unbiased estimate of the mean square under p (on the pool): not of the one over the regions, whose zero it shares. Draws
    are stratified, one from each n-th part of the pool's cumulative p.
    Source: Wu, Zhu, Tan, Kartha and Lu, Comput. Methods Appl. Mech. Eng. 403 (2023), whose good values are power = offset = 1.
    """

    terms: tuple[str, ...] = eqx.field(static=True, default=("equation",))
    power: float | int = eqx.field(static=True, default=1.0)
    offset: float | int = eqx.field(static=True, default=1.0)
    pool: int = eqx.field(static=True, default=10_000)
    every: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(pool=self.pool, every=self.every)
        fine = self.power >= 0 and self.offset >= 0 and math.isfinite(self.power + self.offset)
        require(fine, "power, offset", "numbers >= 0", (self.power, self.offset))

    def first(self, term: Equation, key: Key) -> State:
        pool = uniform(term, key, self.pool)
        return {"pool": pool, "cumulative": jnp.arange(1, len(pool) + 1, dtype=pool.dtype) / len(pool)}

    def renew(self, problem: Problem, name: str, model: Any, held: State, key: Key) -> State:
        pool = uniform(equation(problem, name), key, self.pool)
        size = squared_residual(problem, name, model, pool) ** (self.power / 2)
        density = size / jnp.maximum(jnp.mean(size), jnp.finfo(size.dtype).tiny) + self.offset
        cumulative = jnp.cumsum(density)
        return {"pool": pool, "cumulative": cumulative / cumulative[-1]}

    def take(self, term: Equation, held: State, key: Key) -> Drawn:
        pool, cumulative = held["pool"], held["cumulative"]
        at = (jnp.arange(term.points, dtype=pool.dtype) + jax.random.uniform(key, (term.points,), pool.dtype)) / term.points
        chosen = jnp.searchsorted(cumulative, at, side="right")
        return at_points(pool[jnp.minimum(chosen, len(pool) - 1)])


class RAR(AbstractAdaptive):
    """Residual-based adaptive refinement: points are kept, and at each renewal the `add` ones of largest residual in a fresh uniform pool
    join them, until the term's number of points is reached. At first the share `initial` of it, uniform.

    The loss is the mean square over the points so far, which has no density of its own: those not yet there have the weight 0.
    Source: Lu, Meng, Mao and Karniadakis, SIAM Review 63 (2021); greedy form of Wu et al. (see `RAD`).
    """

    terms: tuple[str, ...] = eqx.field(static=True, default=("equation",))
    initial: float = eqx.field(static=True, default=0.5)
    add: int = eqx.field(static=True, default=10)
    pool: int = eqx.field(static=True, default=10_000)
    every: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(pool=self.pool, every=self.every, add=self.add)
        require(0 < self.initial <= 1, "initial", "a share in (0, 1]", self.initial)
        require(self.add <= self.pool, "add", f"at most the pool of {self.pool}", self.add)

    def first(self, term: Equation, key: Key) -> State:
        points = uniform(term, key, max(len(term.regions), round(self.initial * term.points)))
        room = jnp.zeros((term.points, points.shape[1]), points.dtype)
        rest = room.at[:].set(points[:1])  # somewhere in the region, where every text is finite
        return {"points": rest.at[: len(points)].set(points), "used": jnp.asarray(len(points), jnp.int32)}

    def renew(self, problem: Problem, name: str, model: Any, held: State, key: Key) -> State:
        pool = uniform(equation(problem, name), key, self.pool)
        _, worst = lax.top_k(squared_residual(problem, name, model, pool), self.add)
        places = held["used"] + jnp.arange(self.add, dtype=jnp.int32)
        points = held["points"].at[places].set(pool[worst], mode="drop")
        return {"points": points, "used": jnp.minimum(held["used"] + self.add, len(points))}

    def take(self, term: Equation, held: State, key: Key) -> Drawn:
        del key
        drawn, used = at_points(held["points"]), held["used"]
        weights = jnp.where(jnp.arange(term.points, dtype=jnp.int32) < used, term.points / used.astype(drawn.points.dtype), 0.0)
        return dataclasses.replace(drawn, weights=weights)


def equation(problem: Problem, name: str) -> Equation:
    """A term that has regions to draw from. Raises `UsageError` for any other."""
    names = [n for n, term in problem.terms.items() if isinstance(term, Equation)]
    require(name in names, "terms", f"names of equations: {', '.join(names)}", name)
    return problem.terms[name]  # pyright: ignore[reportReturnType]


def uniform(term: Equation, key: Key, n: int) -> Float[Array, "n d"]:
    """n points of the term's regions, evenly spread."""
    return dataclasses.replace(term, points=n).draw(key, "quasi").points


def squared_residual(problem: Problem, name: str, model: Any, points: Float[Array, "n d"]) -> Float[Array, " n"]:
    """r^2, summed over the term's equations, without weights."""
    return jnp.sum(problem.term_residual(name, model, at_points(points)) ** 2, axis=1)


def check_counts(**numbers: int) -> None:
    for name, number in numbers.items():
        require(number >= 1, name, "a whole number >= 1", number)
