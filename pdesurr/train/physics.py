"""`fit_problem`: a coordinate network made to satisfy a problem, by stages: Adam, a quasi-Newton method, least squares."""

import dataclasses
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from pdesurr._runtime import Stopped, locked, progress, stop_signals
from pdesurr.checks import CheckpointError, DivergedError, require
from pdesurr.objectives.constraints import check_constraints, check_model
from pdesurr.objectives.physics import Problem
from pdesurr.train import checkpoint
from pdesurr.train.identity import ADDRESS, fingerprint
from pdesurr.train.stages import LBFGS, SOAP, AbstractStage, Adam, LeastSquares, QuasiNewton
from pdesurr.types import Key

__all__ = ["LBFGS", "SOAP", "AbstractStage", "Adam", "LeastSquares", "ProblemFit", "QuasiNewton", "fit_problem"]


@dataclasses.dataclass
class ProblemFit:
    """`model` as it ended, `history`: for each round its stage, steps, loss and seconds. The loss is the one minimised at the
    last step, on its points and with its weights: where those follow the residual it does not compare with another stage's, and errors
    are measured on points of one's own."""

    model: Any
    history: list[dict[str, Any]]

    @property
    def loss(self) -> float:
        return self.history[-1]["loss"]


def fit_problem(model: Any, problem: Problem, stages: Sequence[AbstractStage], *, key: Key, folder: Path | str | None = None) -> ProblemFit:
    """Train a coordinate network to satisfy `problem`, one stage after the other, in the default precision (float64 under
    `jax.enable_x64(True)`, which the last two kinds of stage want). Raises `UsageError` where the model is no coordinate network with the
    problem's channels, a `HardConstraint` contradicts the problem, or the problem has points outside the model's box.

    With a `folder` each finished round is kept there, and the same call goes on after the last one, bit for bit. Raises `DivergedError`,
    with the last good round kept, `CheckpointError` where the folder holds another training, `Stopped` after SIGTERM or Ctrl-C.
    """
    sound = isinstance(stages, Sequence) and len(stages) > 0 and all(isinstance(s, AbstractStage) for s in stages)
    require(sound, "stages", "a list of at least one stage", stages)
    model = jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(float)) if eqx.is_inexact_array(leaf) else leaf, model)
    check_model(model, problem)
    check_constraints(model, problem, key)
    where = Path(folder) if folder is not None else None
    identity = [*map(repr, stages), repr(jax.random.key_data(key).tolist())]
    if where is not None:
        identity += [fingerprint(model), fingerprint(problem), *(code_of(getattr(t, "text", None)) for t in problem.terms.values())]
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
            like = eqx.filter_eval_shape(stage.start, problem, model, jax.random.fold_in(key, number))
            found = _load(folder, number, (eqx.filter(model, eqx.is_array), like), identity)
            if found is not None:
                (arrays, states), books = found
                model, first = eqx.combine(arrays, eqx.filter(model, eqx.is_array, inverse=True)), number
                break
    for number in range(first, len(stages)):
        stage = stages[number]
        own_key = jax.random.fold_in(key, number)
        state = states if states is not None else stage.start(problem, model, own_key)
        done, states = (books["round"] if number == books["stage"] else 0), None
        if done >= stage.rounds:
            continue
        advance = stage.advance(problem, model)
        with progress(type(stage).__name__, stage.rounds, done) as show:
            for turn in range(done, stage.rounds):
                began = time.monotonic()
                new, state, losses, more = advance(model, state, jax.random.fold_in(own_key, turn))
                if not all(map(math.isfinite, losses)):
                    kept = f"the round before is kept in {folder}" if folder else "nothing was kept (no folder)"
                    raise DivergedError(f"{type(stage).__name__}, stage {number}: the loss left the finite numbers in round {turn}; "
                                        f"{kept}; {_cause(model, problem, own_key)}")
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


def _cause(model: Any, problem: Problem, key: Key) -> str:
    """What to do where the loss of what follows `model` is not finite."""
    parts = problem.loss(model, problem.draw(key))[1]
    wrong = [name for name, value in parts.items() if not math.isfinite(float(value))]
    return (f"term {', '.join(wrong)} is not finite to begin with: look at its text and known functions" if wrong else
            "lower the learning rate, or train in float64")


def code_of(function: Any) -> str:
    """A function's instructions, constants and names, whatever file and line it stands on; empty of what is no function."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    inner = lambda c: (c.co_code.hex(), c.co_names, [inner(v) if hasattr(v, "co_code") else repr(v) for v in c.co_consts])  # noqa: E731
    held = [re.sub(ADDRESS, "", repr(cell.cell_contents)) for cell in getattr(function, "__closure__", None) or ()]
    return "" if code is None else repr((inner(code), held))


def _load(folder: Path, number: int, like: Any, identity: list[str]) -> Any:
    """The newest round, if it is of stage `number`."""

    class Elsewhere(Exception):
        pass

    def check(info: dict[str, Any]) -> None:
        if info.get("identity") != identity:
            raise CheckpointError(f"{folder} holds a training by other stages, of another model or problem, or from another key; use "
                                  "another folder, or delete this one")
        if info.get("stage") != number:
            raise Elsewhere

    try:
        return checkpoint.load_newest(folder / "checkpoints", like, check)
    except Elsewhere:
        return None
