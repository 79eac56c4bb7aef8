"""Multi-stage training: what a network leaves is measured, and the next is made of that size and that fine."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.fields.regions import Region
from pdesurr.models.multistage import MultiStage
from pdesurr.objectives.physics import Equation, Problem, at_points, unknowns_of
from pdesurr.train.physics import AbstractStage, ProblemFit, fit_problem
from pdesurr.types import Key

LINES, SAMPLES = 16, 2001  # through the region along each axis, on which zeros of the residual are counted


@dataclasses.dataclass(frozen=True)
class Leftover:
    """What a network leaves of an equation: the root mean square of its residual, the wavenumber along the axis where that changes sign
    most often (of the region scaled to (-1, 1)), and the size of the missing function, residual / wavenumber^order in its own units."""

    residual: float
    wavenumber: float
    size: float


def leftover(model: Any, problem: Problem, name: str, key: Key) -> Leftover:
    """Of the term called `name`, an equation on one region, at `SAMPLES` points of `LINES` lines along each axis."""
    term = problem.terms[name]
    require(isinstance(term, Equation) and len(term.regions) == 1, f"term {name!r}", "an equation on one region", type(term).__name__)
    region = term.regions[0]
    order = max(map(sum, problem.indices(name, unknowns_of(model))))
    lines = jnp.concatenate([_lines(region, axis, k) for axis, k in zip(region.free, jax.random.split(key, len(region.free)), strict=True)])
    r = np.asarray(eqx.filter_jit(problem.term_residual)(name, model, at_points(lines)))
    signs = np.signbit(r.reshape(len(region.free), LINES, SAMPLES, -1))
    crossings = np.mean(signs[:, :, 1:] != signs[:, :, :-1], axis=(1, 2, 3)) * (SAMPLES - 1)
    half = np.array([(region.upper[axis] - region.lower[axis]) / 2 for axis in region.free])
    wavenumber = math.pi / 2 * max(1.0, float(np.max(crossings)))
    steepest = math.pi / 2 * max(1.0, float(np.max(crossings / half)))
    size = float(np.sqrt(np.mean(r**2)))
    return Leftover(size, wavenumber, size / steepest**order)


def _lines(region: Region, axis: int, key: Key) -> Array:
    starts = jax.random.uniform(key, (LINES, 1, region.ndim), jnp.result_type(float))
    along = jnp.linspace(0.0, 1.0, SAMPLES)[None, :]
    return region.place(jnp.broadcast_to(starts, (LINES, SAMPLES, region.ndim)).at[..., axis].set(along).reshape(-1, region.ndim))


def fit_multistage(make: Callable[[float, Key], Any], problem: Problem, name: str, trainings: Sequence[Sequence[AbstractStage]], *,
                   key: Key, folder: Path | str | None = None) -> ProblemFit:
    """Networks made one after the other by `make(wavenumber, key)`, each trained by the next of `trainings` on what those before leave of
    `problem`, measured on its equation `name`; the first gets the wavenumber 0.

    The weights of all terms are divided by the mean square of what is left, so that every network sees a loss of order one. The
    equation is read as it stands: where the correction is small it acts through the linearised equation. Use float64. The history is of
    all; its losses are in the first network's weights. Source: Wang and Lai, J. Comput. Phys. 504 (2024).
    """
    require(len(trainings) > 0, "trainings", "at least one sequence of stages", trainings)
    model, history, scale, wavenumber, size = None, [], 1.0, 0.0, 1.0
    for number, stages in enumerate(trainings):
        own = jax.random.fold_in(key, number)
        top = make(wavenumber, jax.random.fold_in(own, 0))
        model = top if model is None else MultiStage(model, top, size)
        terms = {k: dataclasses.replace(t, weight=t.weight / scale) for k, t in problem.terms.items()}
        found = fit_problem(model, dataclasses.replace(problem, terms=terms), stages, key=jax.random.fold_in(own, 1),
                            folder=None if folder is None else Path(folder) / f"stage-{number}")
        model = found.model
        history += [h | {"loss": h["loss"] * scale, "network": number} for h in found.history]
        left = leftover(model, problem, name, jax.random.fold_in(own, 2))
        scale, wavenumber, size = left.residual**2, left.wavenumber, left.size
    return ProblemFit(model, history)
