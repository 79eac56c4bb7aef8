"""`fit_problem`: a coordinate network made to satisfy a problem, by stages: Adam, a quasi-Newton method, least squares."""

import abc
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from pdesurr._runtime import Stopped, locked, progress, stop_signals
from pdesurr.checks import CheckpointError, DivergedError, require
from pdesurr.fields.regions import Order
from pdesurr.objectives.constraints import check_constraints
from pdesurr.objectives.linear import head_system, weights_system
from pdesurr.objectives.physics import Problem
from pdesurr.train import checkpoint, quasi_newton
from pdesurr.train.least_squares import marquardt_step
from pdesurr.types import Key

Advance = Callable[[Any, Any, Key], tuple[Any, Any, list[float], bool]]


class AbstractStage(abc.ABC):
    """A part of a training: `rounds` calls of what `advance(problem, model, key)` makes, which maps (model, state, the round's key) to
    (model, state, the loss after each step, whether to go on). The stage's own `key` draws what all its rounds share."""

    @property
    @abc.abstractmethod
    def rounds(self) -> int: ...

    @abc.abstractmethod
    def start(self, model: Any) -> Any:
        """The state before the first round, a pytree of arrays."""

    @abc.abstractmethod
    def advance(self, problem: Problem, model: Any, key: Key) -> Advance: ...


@dataclasses.dataclass(frozen=True)
class Adam(AbstractStage):
    """`steps` steps of Adam on fresh points each, drawn on the device, `per_round` of them in one compiled call; a linear warm-up over a
    twentieth of them, then a cosine to a hundredth of `learning_rate`."""

    steps: int = 2000
    learning_rate: float = 1e-3
    per_round: int = 200
    order: Order = "uniform"

    def __post_init__(self):
        check_steps(self.steps, self.per_round)
        require(self.learning_rate > 0, "learning_rate", "a number > 0", self.learning_rate)

    @property
    def rounds(self) -> int:
        return self.steps // self.per_round

    @property
    def optimiser(self) -> optax.GradientTransformation:
        rate = self.learning_rate
        return optax.adam(optax.warmup_cosine_decay_schedule(0.0, rate, max(1, self.steps // 20), max(2, self.steps), rate / 100))

    def start(self, model: Any) -> Any:
        return self.optimiser.init(eqx.filter(model, eqx.is_inexact_array))

    def advance(self, problem: Problem, model: Any, key: Key) -> Advance:
        del key
        static = eqx.filter(model, eqx.is_inexact_array, inverse=True)
        optimiser, per_round, order = self.optimiser, self.per_round, self.order

        def step(carry: Any, key: Key) -> tuple[Any, Array]:
            params, state = carry
            drawn = problem.draw(key, order)
            loss, gradient = jax.value_and_grad(lambda p: problem.loss(eqx.combine(p, static), drawn)[0])(params)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimiser.update(gradient, state, params)
            return (jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates), state), loss

        run = jax.jit(lambda p, s, key: jax.lax.scan(step, (p, s), jax.random.split(key, per_round)))

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            (params, state), losses = run(eqx.filter(model, eqx.is_inexact_array), state, key)
            return eqx.combine(params, static), state, losses.tolist(), True

        return advance


@dataclasses.dataclass(frozen=True)
class QuasiNewton(AbstractStage):
    """`steps` steps of a quasi-Newton method that holds the whole inverse Hessian (see `train.quasi_newton`): for up to some thousand
    numbers, in float64. Points are fixed for `per_round` steps, then drawn anew; what is known of the curvature stays. Ends early where a
    whole round lowers nothing."""

    steps: int = 2000
    per_round: int = 500
    update: quasi_newton.Update = "ssbroyden"
    order: Order = "quasi"

    def __post_init__(self):
        check_steps(self.steps, self.per_round)
        require(self.update in quasi_newton.UPDATES, "update", f"one of {', '.join(quasi_newton.UPDATES)}", self.update)

    @property
    def rounds(self) -> int:
        return self.steps // self.per_round

    def start(self, model: Any) -> Any:
        return quasi_newton.start(ravel_pytree(eqx.filter(model, eqx.is_inexact_array))[0])

    def advance(self, problem: Problem, model: Any, key: Key) -> Advance:
        del key
        params, static = eqx.partition(model, eqx.is_inexact_array)
        _, back = ravel_pytree(params)

        @jax.jit
        def run(x: Array, state: Any, key: Key) -> Any:
            drawn = problem.draw(key, self.order)
            loss = lambda x: problem.loss(eqx.combine(back(x), static), drawn)[0]  # noqa: E731
            return quasi_newton.quasi_newton(loss, x, quasi_newton.restart(loss, x, state), self.per_round, self.update)

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            stuck = int(state.stuck)
            x, state, values = run(ravel_pytree(eqx.filter(model, eqx.is_inexact_array))[0], state, key)
            return eqx.combine(back(x), static), state, values.tolist(), int(state.stuck) - stuck < self.per_round

        return advance


@dataclasses.dataclass(frozen=True)
class LeastSquares(AbstractStage):
    """Gauss-Newton steps with Marquardt's damping on fixed points, of a field's `head` alone (exact in one step for a linear equation; the
    features stay) or of "all" numbers of a network. Ends where a step lowers the loss by less than the fraction `tolerance`.

    `damping`: at first, relative to the columns of the Jacobian; `least`: its floor. Memory: residuals times numbers."""

    steps: int = 20
    part: Literal["head", "all"] = "head"
    damping: float = 1e-14
    least: float = 1e-14
    tolerance: float = 1e-3
    order: Order = "quasi"

    def __post_init__(self):
        check_steps(self.steps, 1)
        require(self.part in ("head", "all"), "part", "'head' or 'all'", self.part)
        require(0 < self.least <= self.damping, "damping", f"a number of at least least={self.least} > 0", self.damping)

    @property
    def rounds(self) -> int:
        return self.steps

    def start(self, model: Any) -> Any:
        return jnp.asarray(self.damping)

    def advance(self, problem: Problem, model: Any, key: Key) -> Advance:
        system = {"head": head_system, "all": weights_system}[self.part]
        drawn = problem.draw(key, self.order)
        compiled = eqx.filter_jit(lambda model, drawn: system(model, problem, drawn))
        loss = eqx.filter_jit(lambda model, drawn: problem.loss(model, drawn)[0])

        def moved(model: Any, change: Array) -> Any:
            if self.part == "head":
                return eqx.tree_at(lambda m: m.head, model, model.head + change.reshape(model.head.shape).astype(model.head.dtype))
            params, static = eqx.partition(model, eqx.is_inexact_array)
            x, back = ravel_pytree(params)
            return eqx.combine(back(x + change), static)

        def advance(model: Any, state: Any, key: Key) -> tuple[Any, Any, list[float], bool]:
            del key
            jacobian, r = compiled(model, drawn)
            before = float(jnp.sum(r**2))
            if not math.isfinite(before):
                return model, state, [before], False
            found = marquardt_step(jacobian, r, lambda change: loss(moved(model, change), drawn), float(state), self.least)
            if found is None:
                return model, state, [before], False
            change, value, damping = found
            return moved(model, change), jnp.asarray(damping), [value], (before - value) > self.tolerance * before

        return advance


@dataclasses.dataclass
class ProblemFit:
    """`model` as it ended, `history`: for each round its stage, steps so far, loss and seconds."""

    model: Any
    history: list[dict[str, Any]]

    @property
    def loss(self) -> float:
        return self.history[-1]["loss"]


def fit_problem(model: Any, problem: Problem, stages: Sequence[AbstractStage], *, key: Key, folder: Path | str | None = None) -> ProblemFit:
    """Train a coordinate network to satisfy `problem`, one stage after the other, in the default precision (float64 under
    `jax.enable_x64(True)`, which the last two kinds of stage want). Raises `UsageError` where a `HardConstraint` contradicts the problem.

    With a `folder` each finished round is kept there, and the same call goes on after the last one, bit for bit. Raises `DivergedError`,
    with the last good round kept, `CheckpointError` where the folder holds another training, `Stopped` after SIGTERM or Ctrl-C.
    """
    require(len(stages) > 0, "stages", "at least one", tuple(stages))
    model = jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(float)) if eqx.is_inexact_array(leaf) else leaf, model)
    check_constraints(model, problem, key)
    where = Path(folder) if folder is not None else None
    identity = [repr(s) for s in stages] + [repr(jax.random.key_data(key).tolist())]
    with ExitStack() as stack:
        if where is not None:
            stack.enter_context(locked(where))
        asked = stack.enter_context(stop_signals())
        return _run(model, problem, stages, key, where, identity, asked)


def _run(model: Any, problem: Problem, stages: Sequence[AbstractStage], key: Key, folder: Path | None, identity: list[str],
         asked: Callable[[], int | None]) -> ProblemFit:
    books: dict[str, Any] = {"identity": identity, "stage": 0, "round": 0, "history": []}
    first, states = 0, None
    if folder is not None:
        for number, stage in reversed(list(enumerate(stages))):  # the state's shape depends on the stage it was saved in
            found = _load(folder, number, (eqx.filter(model, eqx.is_array), stage.start(model)), identity)
            if found is not None:
                (arrays, states), books = found
                model, first = eqx.combine(arrays, eqx.filter(model, eqx.is_array, inverse=True)), number
                break
    for number in range(first, len(stages)):
        stage = stages[number]
        state = states if states is not None else stage.start(model)
        done, states = (books["round"] if number == books["stage"] else 0), None
        if done >= stage.rounds:
            continue
        own_key = jax.random.fold_in(key, number)
        advance = stage.advance(problem, model, own_key)
        with progress(type(stage).__name__, stage.rounds, done) as show:
            for turn in range(done, stage.rounds):
                began = time.monotonic()
                new, state, losses, more = advance(model, state, jax.random.fold_in(own_key, turn))
                if not all(map(math.isfinite, losses)):
                    kept = f"the round before is kept in {folder}" if folder else "nothing was kept (no folder)"
                    raise DivergedError(f"{type(stage).__name__}, stage {number}: the loss left the finite numbers in round {turn}; "
                                        f"{kept}; lower the learning rate, or train in float64")
                model = new
                books["history"].append({"stage": type(stage).__name__, "round": turn, "steps": len(losses), "loss": losses[-1],
                                         "seconds": time.monotonic() - began})
                books |= {"stage": number, "round": turn + 1 if more else stage.rounds}
                show(turn + 1, f"loss {losses[-1]:.2e}")
                if folder is not None:
                    checkpoint.save(folder / "checkpoints", len(books["history"]), (eqx.filter(model, eqx.is_array), state), books)
                if (signum := asked()) is not None:
                    raise Stopped(signum, f"continue with the same call ({folder})" if folder else "nothing was saved (no folder)")
                if not more:
                    break
    return ProblemFit(model, books["history"])


def _load(folder: Path, number: int, like: Any, identity: list[str]) -> Any:
    """The newest round, if it is of stage `number`."""

    class Elsewhere(Exception):
        pass

    def check(info: dict[str, Any]) -> None:
        if info.get("identity") != identity:
            raise CheckpointError(f"{folder} holds a training by other stages or from another key; use another folder, or delete this one")
        if info["stage"] != number:
            raise Elsewhere

    try:
        return checkpoint.load_newest(folder / "checkpoints", like, check)
    except Elsewhere:
        return None


def check_steps(steps: int, per_round: int) -> None:
    require(steps >= 1 and per_round >= 1 and steps % per_round == 0, "steps", "a multiple of per_round > 0", (steps, per_round))
