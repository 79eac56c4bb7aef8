"""Weights that follow the training: of the terms against each other, and of the points of one term."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

from pdesurr.checks import require
from pdesurr.objectives.physics import Drawn, Problem
from pdesurr.objectives.sampling import AbstractSampler, Points, State, check_counts, equation, squared_residual
from pdesurr.types import Key, flattened


class AbstractWeighting(eqx.Module):
    """Multiplies the points' weights by numbers that it holds: `state = start(problem)`, then `drawn, state = weighting(problem, model,
    drawn, state)`, which renews what it holds and applies it. Between renewals `apply` alone goes on with what was held.

    The weights are constants of the loss: `problem.loss` of the weighted points is what a training minimises and reports, so two losses
    compare only under the same weights."""

    @abc.abstractmethod
    def start(self, problem: Problem) -> State: ...

    @abc.abstractmethod
    def renew(self, problem: Problem, model: Any, drawn: Points, state: State) -> State:
        """What is held, from the model at the points."""

    @abc.abstractmethod
    def factors(self, problem: Problem, drawn: Points, state: State) -> dict[str, Array]:
        """By term the factor of each point's weight, or one for all."""

    def apply(self, problem: Problem, drawn: Points, state: State) -> Points:
        factors = self.factors(problem, drawn, state)
        return drawn | {name: dataclasses.replace(drawn[name], weights=lax.stop_gradient(f) * drawn[name].weights)
                        for name, f in factors.items()}

    def __call__(self, problem: Problem, model: Any, drawn: Points, state: State) -> tuple[Points, State]:
        state = self.renew(problem, model, drawn, state)
        return self.apply(problem, drawn, state), state


class AbstractBalance(AbstractWeighting):
    """One factor lambda_i for each term i: lambda_i <- memory lambda_i + (1 - memory) mean_j s_j / s_i, at first 1, of sizes s_i that
    contain the terms' own weights, which therefore cancel out in the end."""

    memory: eqx.AbstractVar[float]

    @abc.abstractmethod
    def size(self, problem: Problem, model: Any, name: str, drawn: Drawn) -> Array: ...

    def start(self, problem: Problem) -> State:
        return {name: jnp.ones(()) for name in problem.terms}

    def renew(self, problem: Problem, model: Any, drawn: Points, state: State) -> State:
        sizes = {name: self.size(problem, model, name, d) for name, d in drawn.items()}
        mean = sum(sizes.values(), jnp.zeros(())) / len(sizes)
        least = jnp.finfo(mean.dtype).tiny  # pyright: ignore[reportAttributeAccessIssue]
        return {name: self.memory * state[name] + (1 - self.memory) * mean / jnp.maximum(s, least) for name, s in sizes.items()}

    def factors(self, problem: Problem, drawn: Points, state: State) -> dict[str, Array]:
        del problem, drawn
        return state


class GradientNorm(AbstractBalance):
    """s_i = |g_i|, the norm of the gradient of term i's share of the loss: all terms then pull equally hard.
    Source: Wang, Teng and Perdikaris, SIAM J. Sci. Comput. 43 (2021), in the form of Wang, Sankaran, Wang and Perdikaris,
    arXiv 2308.08468, whose good values are memory 0.9 and a renewal each 1000 steps."""

    memory: float = eqx.field(static=True, default=0.9)

    def __check_init__(self):
        check_memory(self.memory)

    def size(self, problem: Problem, model: Any, name: str, drawn: Drawn) -> Array:
        x, back = flattened(model)
        return jnp.linalg.norm(jax.grad(lambda x: problem.loss(back(x), {name: drawn})[0])(x))


class NTK(AbstractBalance):
    """s_i = tr K_i, K_i the neural tangent kernel of term i's weighted residuals with themselves, sum over points of |dr / dtheta|^2, on at
    most `points` of them, `chunk` at a time: all terms then learn equally fast.
    Source: Wang, Yu and Perdikaris, J. Comput. Phys. 449 (2022)."""

    memory: float = eqx.field(static=True, default=0.9)
    points: int = eqx.field(static=True, default=256)
    chunk: int = eqx.field(static=True, default=64)

    def __check_init__(self):
        check_memory(self.memory)
        check_counts(points=self.points, chunk=self.chunk)

    def size(self, problem: Problem, model: Any, name: str, drawn: Drawn) -> Array:
        x, back = flattened(model)
        some = jax.tree.map(lambda v: v[:: -(-len(v) // self.points)], drawn)

        def trace(one: Drawn) -> Array:
            alone = jax.tree.map(lambda v: v[None], one)
            return jnp.sum(jax.jacrev(lambda x: problem.residuals(back(x), {name: alone})[name][0])(x) ** 2)

        return jnp.mean(lax.map(trace, some, batch_size=self.chunk))


class Causal(AbstractWeighting):
    """The points of `term` in the m-th of `chunks` equal intervals of `axis` have the weight exp(-tolerance sum_{j < m} L_j), L_j the mean
    square of the residual in the j-th: what comes later waits for what comes before. Good values: 16 to 32 chunks, tolerance 1 for
    residuals of size 1. All weights near 1 say that the training has got to the end.
    Source: Wang, Sankaran and Perdikaris, arXiv 2203.07404 (2022)."""

    term: str = eqx.field(static=True, default="equation")
    axis: str = eqx.field(static=True, default="t")
    chunks: int = eqx.field(static=True, default=32)
    tolerance: float | int = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        check_counts(chunks=self.chunks)
        require(self.tolerance > 0, "tolerance", "a number > 0", self.tolerance)

    def start(self, problem: Problem) -> State:
        equation(problem, self.term)
        require(self.axis in problem.names, "axis", f"one of {problem.names}", self.axis)
        return jnp.ones((self.chunks,))

    def renew(self, problem: Problem, model: Any, drawn: Points, state: State) -> State:
        d, chunk = drawn[self.term], self.chunk_of(problem, drawn)
        total = lambda v: jnp.zeros_like(state).at[chunk].add(v)  # noqa: E731
        weight = total(d.weights)
        losses = total(d.weights * squared_residual(problem, self.term, model, d.points)) / jnp.where(weight > 0, weight, 1.0)
        return jnp.exp(-self.tolerance * (jnp.cumsum(losses) - losses))

    def factors(self, problem: Problem, drawn: Points, state: State) -> dict[str, Array]:
        return {self.term: state[self.chunk_of(problem, drawn)]}

    def chunk_of(self, problem: Problem, drawn: Points) -> Int[Array, " n"]:
        axis, regions = problem.names.index(self.axis), equation(problem, self.term).regions
        low, high = min(r.lower[axis] for r in regions), max(r.upper[axis] for r in regions)
        share = (drawn[self.term].points[:, axis] - low) / (high - low)
        return jnp.clip((share * self.chunks).astype(jnp.int32), 0, self.chunks - 1)


class ResidualAttention(AbstractWeighting):
    """Each point of `term` has a multiplier w of its residual, so w^2 of its square: w <- memory w + rate |r| / max |r|, at first 0. For
    points that stay (`Kept`, or `RAR`); with new ones at each draw a multiplier would belong to another point each time.
    Source: Anagnostopoulos, Toscano, Stergiopulos and Karniadakis, Comput. Methods Appl. Mech. Eng. 421 (2024), with memory 0.999 and
    rate 0.01 at each step; the multiplier stays below rate / (1 - memory)."""

    term: str = eqx.field(static=True, default="equation")
    memory: float = eqx.field(static=True, default=0.999)
    rate: float = eqx.field(static=True, default=0.01)

    def __check_init__(self):
        check_memory(self.memory)
        require(self.rate > 0, "rate", "a number > 0", self.rate)

    def start(self, problem: Problem) -> State:
        return jnp.zeros((equation(problem, self.term).points,))

    def renew(self, problem: Problem, model: Any, drawn: Points, state: State) -> State:
        size = jnp.sqrt(squared_residual(problem, self.term, model, drawn[self.term].points))
        return self.memory * state + self.rate * size / jnp.maximum(jnp.max(size), jnp.finfo(size.dtype).tiny)

    def factors(self, problem: Problem, drawn: Points, state: State) -> dict[str, Array]:
        del problem, drawn
        return {self.term: state**2}


class Weighted(AbstractSampler):
    """A sampler with weightings applied to its points in turn, renewed at the first draw and every `every` draws."""

    sampler: AbstractSampler
    weightings: tuple[AbstractWeighting, ...]
    every: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_counts(every=self.every)

    def start(self, problem: Problem, key: Key) -> State:
        return {"draws": jnp.zeros((), jnp.int32), "sampler": self.sampler.start(problem, key),
                "weightings": tuple(w.start(problem) for w in self.weightings)}

    def draw(self, problem: Problem, model: Any, state: State, key: Key) -> tuple[Points, State]:
        drawn, inner = self.sampler.draw(problem, model, state["sampler"], key)
        due, held = state["draws"] % self.every == 0, []
        for weighting, old in zip(self.weightings, state["weightings"], strict=True):
            renew = lambda old, w=weighting, d=drawn: w.renew(problem, model, d, old)  # noqa: E731
            held.append(lax.cond(due, renew, lambda old: old, old))
            drawn = weighting.apply(problem, drawn, held[-1])
        return drawn, {"draws": state["draws"] + 1, "sampler": inner, "weightings": tuple(held)}


def check_memory(memory: float) -> None:
    require(0 <= memory < 1, "memory", "a number in [0, 1)", memory)
