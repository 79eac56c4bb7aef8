"""The stages of a physics-informed training: what they share is where their points come from; what differs is the step."""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.objectives.linear import head_system, weights_system
from pdesurr.objectives.physics import Problem
from pdesurr.objectives.sampling import AbstractSampler, Fresh
from pdesurr.objectives.weighting import AbstractWeighting, Weighted
from pdesurr.train import lbfgs, quasi_newton
from pdesurr.train.least_squares import marquardt_step
from pdesurr.train.soap import scale_by_soap
from pdesurr.types import Key, flattened

Advance = Callable[[Any, Any, Key], tuple[Any, Any, list[float], bool]]
Weightings = tuple[AbstractWeighting, ...]


class AbstractStage(abc.ABC):
    """A part of a training: `rounds` calls of what `advance(problem, model)` makes, which maps (model, state, the round's key) to (model,
    state, the loss after each step, whether to go on). The loss is the one that the step minimises: on its points, which the `sampler`
    chose, with their weights. The state holds the sampler's and the weightings', so that a checkpoint resumes them too."""

    @property
    @abc.abstractmethod
    def rounds(self) -> int: ...

    @abc.abstractmethod
    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        """The state before the first round, a pytree of arrays."""

    @abc.abstractmethod
    def advance(self, problem: Problem, model: Any) -> Advance: ...


@dataclasses.dataclass(frozen=True)
class AbstractFirstOrder(AbstractStage):
    """`steps` steps along a gradient that `direction` transforms, at points that the `sampler` draws for each, `per_round` of them in one
    compiled call; a linear warm-up over a twentieth of them, then a cosine to a hundredth of `learning_rate`. `weighting` is renewed every
    `reweigh` steps."""

    steps: int = 2000
    learning_rate: float = 1e-3
    per_round: int = 200
    sampler: AbstractSampler = Fresh("uniform")
    weighting: Weightings = ()
    reweigh: int = 100

    def __post_init__(self):
        check_steps(self)
        require(self.learning_rate > 0, "learning_rate", "a number > 0", self.learning_rate)
        require(self.reweigh >= 1, "reweigh", "a whole number >= 1", self.reweigh)

    @property
    @abc.abstractmethod
    def direction(self) -> optax.GradientTransformation: ...

    @property
    def rounds(self) -> int:
        return self.steps // self.per_round

    @property
    def points(self) -> Weighted:
        return Weighted(self.sampler, self.weighting, self.reweigh)

    @property
    def optimiser(self) -> optax.GradientTransformation:
        rate = self.learning_rate
        rates = optax.warmup_cosine_decay_schedule(0.0, rate, max(1, self.steps // 20), max(2, self.steps), rate / 100)
        return optax.chain(self.direction, optax.scale_by_learning_rate(rates))

    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        return self.optimiser.init(eqx.filter(model, eqx.is_inexact_array)), self.points.start(problem, key)

    def advance(self, problem: Problem, model: Any) -> Advance:
        static = eqx.filter(model, eqx.is_inexact_array, inverse=True)
        optimiser, points = self.optimiser, self.points

        def step(carry: Any, key: Key) -> tuple[Any, Array]:
            params, (state, held) = carry
            drawn, held = points.draw(problem, eqx.combine(params, static), held, key)
            loss, gradient = jax.value_and_grad(lambda p: problem.loss(eqx.combine(p, static), drawn)[0])(params)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimiser.update(gradient, state, params)
            return (jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates), (state, held)), loss

        run = jax.jit(lambda p, s, key: jax.lax.scan(step, (p, s), jax.random.split(key, self.per_round)))

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            (params, state), losses = run(eqx.filter(model, eqx.is_inexact_array), state, key)
            return eqx.combine(params, static), state, losses.tolist(), True

        return advance


@dataclasses.dataclass(frozen=True)
class Adam(AbstractFirstOrder):
    """Adam (Kingma and Ba, ICLR 2015); the rest as of every `AbstractFirstOrder`."""

    @property
    def direction(self) -> optax.GradientTransformation:
        return optax.scale_by_adam()


@dataclasses.dataclass(frozen=True)
class SOAP(AbstractFirstOrder):
    """SOAP, whose bases turn every `turn` steps (see `train.soap`); the rest as of every `AbstractFirstOrder`. Good values: three times
    Adam's learning rate."""

    turn: int = 2

    @property
    def direction(self) -> optax.GradientTransformation:
        return scale_by_soap(self.turn)


@dataclasses.dataclass(frozen=True)
class AbstractFixedPoints(AbstractStage):
    """`steps` steps of a method with a line search. Points and weights are fixed for `per_round` steps, then drawn and renewed. Ends early
    where a whole round lowers nothing."""

    steps: int = 2000
    per_round: int = 500
    sampler: AbstractSampler = Fresh("quasi")
    weighting: Weightings = ()

    def __post_init__(self):
        check_steps(self)

    @abc.abstractmethod
    def begin(self, x: Array) -> Any:
        """The method's state, from round to round."""

    @abc.abstractmethod
    def minimise(self, loss: Callable[[Array], Array], x: Array, state: Any) -> tuple[Array, Any, Array]:
        """A round of steps: x, the state, and the loss before the first and after each."""

    @property
    def rounds(self) -> int:
        return self.steps // self.per_round

    @property
    def points(self) -> Weighted:
        return Weighted(self.sampler, self.weighting)

    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        return self.begin(flattened(model)[0]), self.points.start(problem, key)

    def advance(self, problem: Problem, model: Any) -> Advance:
        _, back = flattened(model)

        @jax.jit
        def run(x: Array, state: Any, key: Key) -> Any:
            own, held = state
            drawn, held = self.points.draw(problem, back(x), held, key)
            x, own, values = self.minimise(lambda x: problem.loss(back(x), drawn)[0], x, own)
            return x, (own, held), values

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            x, state, values = run(flattened(model)[0], state, key)
            return back(x), state, values[1:].tolist(), float(values[-1]) < float(values[0])

        return advance


@dataclasses.dataclass(frozen=True)
class QuasiNewton(AbstractFixedPoints):
    """A quasi-Newton method that holds the whole inverse Hessian (see `train.quasi_newton`): for up to some thousand numbers, in float64.
    What is known of the curvature stays from round to round. The rest as of every `AbstractFixedPoints`."""

    update: quasi_newton.Update = "ssbroyden"

    def __post_init__(self):
        check_steps(self)
        require(self.update in quasi_newton.UPDATES, "update", f"one of {', '.join(quasi_newton.UPDATES)}", self.update)

    def begin(self, x: Array) -> Any:
        return quasi_newton.start(x)

    def minimise(self, loss: Callable[[Array], Array], x: Array, state: Any) -> tuple[Array, Any, Array]:
        first = quasi_newton.restart(loss, x, state)
        x, state, values = quasi_newton.quasi_newton(loss, x, first, self.per_round, self.update)
        return x, state, jnp.concatenate([first.value[None], values])


@dataclasses.dataclass(frozen=True)
class LBFGS(AbstractFixedPoints):
    """L-BFGS with the last `memory` steps, which it forgets where the points change: for networks of any size, best in float64. The rest as
    of every `AbstractFixedPoints`."""

    memory: int = 20

    def __post_init__(self):
        check_steps(self)
        require(self.memory >= 1, "memory", "a whole number >= 1", self.memory)

    def begin(self, x: Array) -> Any:
        del x
        return ()

    def minimise(self, loss: Callable[[Array], Array], x: Array, state: Any) -> tuple[Array, Any, Array]:
        x, values = lbfgs.lbfgs(loss, x, self.per_round, self.memory)
        return x, state, values


@dataclasses.dataclass(frozen=True)
class LeastSquares(AbstractStage):
    """Gauss-Newton steps with Marquardt's damping on points drawn once, of a field's `head` alone (exact in one step for a linear equation;
    the features stay) or of "all" numbers of a network. Ends where a step lowers the loss by less than the fraction `tolerance`.

    `damping`: at first, relative to the columns of the Jacobian; `least`: its floor. Memory: residuals times numbers."""

    steps: int = 20
    part: Literal["head", "all"] = "head"
    damping: float = 1e-14
    least: float = 1e-14
    tolerance: float = 1e-3
    sampler: AbstractSampler = Fresh("quasi")
    weighting: Weightings = ()

    def __post_init__(self):
        require(self.steps >= 1, "steps", "a whole number >= 1", self.steps)
        require(self.part in ("head", "all"), "part", "'head' or 'all'", self.part)
        require(0 < self.least <= self.damping, "damping", f"a number of at least least={self.least} > 0", self.damping)

    @property
    def rounds(self) -> int:
        return self.steps

    def start(self, problem: Problem, model: Any, key: Key) -> Any:
        points = Weighted(self.sampler, self.weighting)
        return jnp.asarray(self.damping), points.draw(problem, model, points.start(problem, key), key)[0]

    def advance(self, problem: Problem, model: Any) -> Advance:
        system = {"head": head_system, "all": weights_system}[self.part]
        compiled = eqx.filter_jit(lambda model, drawn: system(model, problem, drawn))
        loss = eqx.filter_jit(lambda model, drawn: problem.loss(model, drawn)[0])

        def moved(model: Any, change: Array) -> Any:
            if self.part == "head":
                return eqx.tree_at(lambda m: m.head, model, model.head + change.reshape(model.head.shape).astype(model.head.dtype))
            x, back = flattened(model)
            return back(x + change)

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            del key
            damping, drawn = state
            jacobian, r = compiled(model, drawn)
            before = float(jnp.sum(r**2))
            if not math.isfinite(before):
                return model, state, [before], False
            squares = lambda change: loss(moved(model, change), drawn)  # noqa: E731
            x = model.head.reshape(-1).astype(r.dtype) if self.part == "head" else None
            found = marquardt_step(jacobian, r, squares, float(damping), self.least, x=x)
            if found is None:
                return model, state, [before], False
            change, value, lower = found
            return moved(model, change), (jnp.asarray(lower), drawn), [value], (before - value) > self.tolerance * before

        return advance


def check_steps(stage: AbstractFirstOrder | AbstractFixedPoints) -> None:
    """Rounds are equal, and fewer steps than a round's are one round."""
    whole = all(isinstance(n, int) and n >= 1 for n in (stage.steps, stage.per_round))
    require(whole, "steps, per_round", "whole numbers >= 1", (stage.steps, stage.per_round))
    n = min(stage.steps, stage.per_round)
    require(stage.steps % n == 0, "steps", f"a multiple of per_round={n}", stage.steps,
            f"take {stage.steps // n * n} or {stage.steps // n * n + n}, or give a per_round that divides {stage.steps}")
    object.__setattr__(stage, "per_round", n)
