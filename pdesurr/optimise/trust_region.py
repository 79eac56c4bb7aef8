"""Optimisation by a surrogate that the true solver corrects: as few true solves as possible, and no worse a point than the start."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from pdesurr.checks import DivergedError, require
from pdesurr.optimise.doors import Flat, Objective, Vector, box_of
from pdesurr.optimise.minimise import by_scipy
from pdesurr.optimise.optimum import Optimum

POOR, GOOD = 0.25, 0.75  # ratios of true to predicted decrease below which the region shrinks, above which it grows
SHRINK, GROW = 0.25, 2.0
INNER = 100  # steps of the inner search
ALONE = 400  # of the surrogate's own, before any correction


class _Corrected:
    """m(x) of `trust_region` about a point, where the truth has `value` and `gradient`; as an objective with its best point."""

    def __init__(self, surrogate: Flat, curvature: "_Curvature", at: Vector, value: float, gradient: Vector):
        own_value, own_gradient = surrogate(at)
        self.surrogate, self.curvature, self.start = surrogate, curvature, at
        self.rise, self.tilt = value - own_value, gradient - own_gradient
        self.best, self.lowest, self.dtype = at, value, surrogate.dtype

    @property
    def calls(self) -> int:
        return self.surrogate.calls

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        value, gradient = self.surrogate(x)
        bent = self.curvature(x - self.start)
        value = value + self.rise + float((self.tilt + bent / 2) @ (x - self.start))
        if value < self.lowest:
            self.best, self.lowest = np.array(x), value
        return value, gradient + self.tilt + bent


class _Curvature:
    """B d, B the symmetric rank-one estimate of the Hessian of f - s from its gradients: a sum of v v^T / c."""

    def __init__(self):
        self.parts: list[tuple[Vector, float]] = []

    def __call__(self, d: Vector) -> Vector:
        return sum((v * (float(v @ d) / c) for v, c in self.parts), np.zeros_like(d))

    def learn(self, step: Vector, change: Vector) -> None:
        """From the change of the difference's gradient along a step; what would divide by next to nothing is left out."""
        v = change - self(step)
        c = float(v @ step)
        if math.isfinite(c) and abs(c) > 1e-8 * float(np.linalg.norm(v) * np.linalg.norm(step)):
            self.parts.append((v, c))


def trust_region(objective: Objective, truth: Callable[[Any], Any], start: PyTree, *, radius: float,
                 bounds: tuple[Any, Any] | None = None, solves: int = 50, tolerance: float = 1e-6, has_aux: bool = False) -> Optimum:
    """A local minimum of `truth(x)`, found through `objective(x)`, the same number by a surrogate: trust-region model management.

    First the truth is asked at the surrogate's own minimum, from which the search goes on if it is lower there than at the start: a
    correction found far from a minimum, where gradients are large, misleads. About the best point x_k so far the surrogate is corrected
    to the truth's value and gradient,

        m(x) = s(x) + (f - s)(x_k) + (grad f - grad s)(x_k) . (x - x_k) + (x - x_k) . B (x - x_k) / 2,

    B an estimate of the Hessian of f - s from the gradients so far (symmetric rank one), and minimised by L-BFGS-B within |x - x_k|_inf
    <= the radius and the bounds; the truth is then asked at the minimum and the step is taken if it is lower there. The radius shrinks
    fourfold where the decrease is below a quarter of that predicted, and doubles above three quarters if the step was as long as it. With
    value and gradient right at x_k it converges to a minimum of the truth, whatever the surrogate; a better one gets there in fewer
    solves.

    `truth` is evaluated with its gradient, at most `solves` times. `radius`: the first, in x's own units: scale x so that all numbers are
    of like size. Ends when the decrease predicted, relative to the value, or the radius, to the first, is at most `tolerance`. `verified`
    is never above the truth at the start. The history: truth, radius, and, but for the first two, ratio of true to predicted decrease, of
    each solve. With `has_aux`, `truth` answers (number, anything), say the fields that it solved for, and the optimum's `found` lists
    what came with each solve: training data for `refine`.

    Raises `UsageError` for bad arguments and `DivergedError` where the truth or the surrogate is not finite at the start; where the truth
    is not finite later, that step is refused. Source: Alexandrov, Lewis, Gumbert, Green and Newman, J. Aircraft 38 (2001); Alexandrov,
    Dennis, Lewis and Torczon, Struct. Optim. 15 (1998), whose constants these are; the second order of the correction: Eldred, Giunta and
    Collis, AIAA 2004-4457.
    """
    require(isinstance(radius, (int, float)) and 0 < radius < math.inf, "radius", "a number > 0", radius)
    require(type(solves) is int and solves >= 1, "solves", "a whole number >= 1", solves)
    require(isinstance(tolerance, (int, float)) and tolerance >= 0, "tolerance", "a number >= 0", tolerance)
    require(isinstance(has_aux, bool), "has_aux", "True or False", has_aux)
    surrogate, true = Flat(objective, start), Flat(truth, start, has_aux, "truth")
    lower, upper = box_of(bounds, surrogate)
    x, size = surrogate.start, radius
    value, gradient = true(x)
    if not (math.isfinite(value) and math.isfinite(surrogate(x)[0])):
        raise DivergedError("the true or the surrogate's objective is not finite at the start; begin elsewhere")
    history, message, converged = [{"truth": value, "radius": size}], f"all {solves} true solves spent", False
    by_scipy(surrogate, "L-BFGS-B", lower, upper, ALONE, None)
    if solves > 1 and not np.array_equal(surrogate.best, x):
        new, new_gradient = true(surrogate.best)
        history.append({"truth": new, "radius": size})
        if new < value:
            x, value, gradient = surrogate.best, new, new_gradient
    curvature = _Curvature()
    corrected = _Corrected(surrogate, curvature, x, value, gradient)
    while true.calls < solves:
        by_scipy(corrected, "L-BFGS-B", np.maximum(lower, x - size), np.minimum(upper, x + size), INNER, None)
        predicted = value - corrected.lowest
        if predicted <= tolerance * abs(value) or size <= tolerance * radius:
            message, converged = "nothing more to gain: the corrected surrogate predicts no decrease", True
            break
        step = corrected.best
        new, new_gradient = true(step)
        ratio = (value - new) / predicted if math.isfinite(new) else -math.inf
        long = float(np.max(np.abs(step - x))) >= 0.99 * size
        history.append({"truth": new, "radius": size, "ratio": ratio})
        if math.isfinite(new):
            curvature.learn(step - x, new_gradient - surrogate(step)[1] - corrected.tilt)
        if ratio > 0:
            x, value, gradient = step, new, new_gradient
        corrected = _Corrected(surrogate, curvature, x, value, gradient)
        size = size * (SHRINK if ratio < POOR else GROW if ratio > GOOD and long else 1.0)
    claimed = float(surrogate.of_vector(jnp.asarray(x, surrogate.dtype)))
    return Optimum(surrogate.pytree(x), claimed, value, surrogate.calls, true.calls, history, message, converged, true.found)
