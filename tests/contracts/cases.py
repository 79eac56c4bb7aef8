"""One tiny case for everything exported: the batteries run each unasked, and the meta-test names what has none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import objectives
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO
from pdesurr.pdes import AbstractEvolution, Burgers


@dataclass(frozen=True)
class EvolutionCase:
    """A periodic evolution equation with a closed-form solution `exact(t, x)` of one point."""

    pde: AbstractEvolution
    exact: Callable[[Any, Any], Any]
    n: int
    horizon: float
    invariants: tuple[Callable[[Any], Any], ...]  # conserved functionals of nodal values (n,)
    decaying: tuple[Callable[[Any], Any], ...]  # functionals that never grow


def burgers_wave(nu: float, a: float = 0.8, mean: float = 0.3) -> Callable[[Any, Any], Any]:
    """Cole-Hopf image of phi = 1 + a exp(-nu t) cos(x), seen from a frame that moves with the mean velocity."""

    def exact(t, x):
        y, decay = x - mean * t, a * jnp.exp(-nu * t)
        return mean + 2 * nu * decay * jnp.sin(y) / (1 + decay * jnp.cos(y))

    return exact


EVOLUTIONS = {
    "Burgers": EvolutionCase(Burgers(nu=0.3, zero_mean=False), burgers_wave(0.3), 96, 0.5, (np.mean,),
                             (lambda u: np.mean(u**2), lambda u: np.max(np.abs(u)))),
}


@dataclass(frozen=True)
class ModelCase:
    """A small model, the grid it is tried on, and whether it is an operator that may change resolution."""

    make: Callable[[jax.Array], Any]
    grid: Grid
    channels: tuple[int, int]
    operator: bool


PERIODIC = Grid([FourierBasis(32)])
WALLS = Grid([UniformBasis(12, 0.0, 1.0, "left"), UniformBasis(10, 0.0, 1.0, "closed")])

MODELS = {
    "FNO": ModelCase(lambda key: FNO(1, 1, (6,), 8, 2, coordinates=(False,), key=key), PERIODIC, (1, 1), True),
    "FNO, two axes with walls, mlp": ModelCase(
        lambda key: FNO(2, 1, (4, 3), 6, 2, lifting_width=8, channel_mlp=0.5, head_width=8, coordinates=(True, True), key=key),
        WALLS, (2, 1), False),
}

OBJECTIVES = {"relative_l2": objectives.relative_l2, "relative_h1": objectives.relative_h1}
