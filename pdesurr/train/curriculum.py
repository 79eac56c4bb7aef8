"""A curriculum: problems of rising difficulty, each begun where the one before ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from pdesurr.checks import require
from pdesurr.objectives.physics import Problem
from pdesurr.train.physics import ProblemFit, fit_problem
from pdesurr.train.stages import AbstractStage
from pdesurr.types import Key


def fit_curriculum(model: Any, problems: Sequence[Problem], trainings: Sequence[Sequence[AbstractStage]], *, key: Key,
                   folder: Path | str | None = None) -> ProblemFit:
    """`fit_problem` on each of `problems` in turn (rising Reynolds or wavenumbers, say) by its own of `trainings`; the result is the last
    one's. The history counts `problem`s. With a `folder` each has one of its own there. Raises what `fit_problem` raises.
    """
    require(len(problems) == len(trainings) > 0, "trainings", f"{len(problems)} sequences of stages, one for each problem", len(trainings))
    history: list[dict[str, Any]] = []
    for number, (problem, stages) in enumerate(zip(problems, trainings, strict=True)):
        own = Path(folder) / f"problem_{number}" if folder is not None else None
        found = fit_problem(model, problem, stages, key=jax.random.fold_in(key, number), folder=own)
        model, history = found.model, [*history, *({"problem": number} | entry for entry in found.history)]
    return ProblemFit(model, history)
