"""Cases of equations whose map is computed directly; and those that have a test file of their own."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from pdesurr.pdes import FlowMixing, Helmholtz, KleinGordon, NonlinearDiffusion, NonlinearPoisson, Poisson, QuasilinearPoisson, Wave
from pdesurr.pdes._direct import AbstractDirect

ALONE = {"Cavity": "test_cavity.py", "Darcy": "test_darcy.py", "Lorenz96": "test_lorenz_96.py",
         "UnsteadyCavity": "test_unsteady_cavity.py"}


@dataclass(frozen=True)
class DirectCase:
    """An equation, small, with a closed-form solution: `start(*x)` the input's channels, `exact(t, *x)` all channels of the output at
    one time, the unknown first (t is ignored by steady problems)."""

    pde: AbstractDirect
    start: Callable[..., tuple[Any, ...]]
    exact: Callable[..., tuple[Any, ...]]
    sizes: tuple[int, ...]  # nodes, coarsest first
    tolerance: float  # of the finest, in relative L2
    refined: float = 1e-9  # how far `record` may be from `refined_record`, relative
    order: float | None = None  # measured over `sizes`; None: no claim, exact at the coarsest that holds the function
    multiples: bool = False  # any multiple of a solution is one too
    refused: tuple[dict[str, Any], ...] = field(default=())


SIN = lambda k, x: jnp.sin(k * jnp.pi * x)  # noqa: E731
COS = lambda k, x: jnp.cos(k * jnp.pi * x)  # noqa: E731
KG = KleinGordon(horizon=1.0, intervals=2)
MIXING = FlowMixing(intervals=2)
NLD = NonlinearDiffusion(horizon=0.5, intervals=2, refinement=1)



def quasilinear_source(x):
    """-(k u')' of u = sin(pi x) with c = x."""
    u, slope, bend = SIN(1, x), jnp.pi * COS(1, x), -(jnp.pi**2) * SIN(1, x)
    return -(jax.nn.softplus(u * x) + 0.1) * bend - jax.nn.sigmoid(u * x) * (slope * x + u) * slope


DIRECT = {
    "Poisson, periodic": DirectCase(
        Poisson(), lambda x, y: (20 * jnp.pi**2 * SIN(2, x) * COS(4, y),), lambda t, x, y: (SIN(2, x) * COS(4, y),), (8, 16), 1e-13,
        refused=({"length": 0.0}, {"dimension": 4}, {"scale": 0.01}, {"modes": 2})),
    "Poisson, three axes, periodic": DirectCase(
        Poisson(dimension=3, length=2.0, modes=6), lambda x, y, z: (3 * jnp.pi**2 * SIN(1, x) * COS(1, y) * SIN(1, z),),
        lambda t, x, y, z: (SIN(1, x) * COS(1, y) * SIN(1, z),), (6, 10), 1e-13),
    "Poisson, walls": DirectCase(
        Poisson(walls=True), lambda x, y: ((1 + 4) * jnp.pi**2 * SIN(1, x) * SIN(2, y),), lambda t, x, y: (SIN(1, x) * SIN(2, y),),
        (8, 12, 24), 1e-13, refined=1e-5, order=8.0),
    "Helmholtz": DirectCase(
        Helmholtz(k=1.3), lambda x, y: (Helmholtz(k=1.3).source(x, y),), lambda t, x, y: (Helmholtz.exact(x, y),), (16, 24, 36), 1e-12,
        refined=1e-5, order=8.0, refused=({"k": math.pi / 2**0.5}, {"k": -1.0}, {"k": float("nan")})),
    "Wave, periodic": DirectCase(
        Wave(c=0.7, horizon=0.9, intervals=2), lambda x: (SIN(4, x), -2.8 * jnp.pi * COS(4, x)),
        lambda t, x: (SIN(4, x - 0.7 * t), -2.8 * jnp.pi * COS(4, x - 0.7 * t)), (8, 64), 1e-12, refined=1e-3, multiples=True,
        refused=({"c": 0.0}, {"ends": ()}, {"horizon": 0.0}, {"intervals": 0})),
    "Wave, fixed and free": DirectCase(
        Wave(ends=("fixed", "free")), lambda x, y: (SIN(3, x) * COS(4, y), 0.0 * x * y),
        lambda t, x, y: (SIN(3, x) * COS(4, y) * COS(5, t), -5 * jnp.pi * SIN(3, x) * COS(4, y) * SIN(5, t)), (8, 32), 1e-12, refined=1e-2,
        multiples=True),
    "Wave, one end fixed, one free": DirectCase(
        Wave(ends=("mixed",), velocity=0.5), lambda x: (SIN(2.5, x), SIN(0.5, x)),
        lambda t, x: (SIN(2.5, x) * COS(2.5, t) + SIN(0.5, x) * SIN(0.5, t) / (0.5 * jnp.pi),
                      -2.5 * jnp.pi * SIN(2.5, x) * SIN(2.5, t) + SIN(0.5, x) * COS(0.5, t)), (8, 64), 1e-12,
        refined=1e-3, multiples=True),
    "KleinGordon": DirectCase(
        KG, lambda x, y: (x + y, 2 * x * y), lambda t, x, y: (KG.exact(t + 0 * x, x, y), KG.exact_velocity(t + 0 * x, x, y)),
        (8, 20), 1e-12, refined=1e-2, refused=({"sigma": -1.0}, {"horizon": -1.0})),
    "FlowMixing": DirectCase(
        MIXING, lambda x, y: (-jnp.tanh(y / 2) + 0 * x,), lambda t, x, y: (MIXING.exact(t + 0 * x, x, y),), (12, 28), 1e-12,
        refined=1e-4, multiples=True, refused=({"v_max": 0.0}, {"sigma": -1.0})),
    "NonlinearPoisson": DirectCase(
        NonlinearPoisson(), lambda x, y: (NonlinearPoisson.source(x, y),), lambda t, x, y: (NonlinearPoisson.exact(x, y),), (8, 16), 1e-12,
        refined=1e-2, refused=({"dimension": 0}, {"amplitude": 0.0}, {"scale": 0.01})),
    "QuasilinearPoisson": DirectCase(
        QuasilinearPoisson(), lambda x: (x, quasilinear_source(x)), lambda t, x: (SIN(1, x),), (8, 12, 48), 1e-11, refined=1e-7, order=8.0,
        refused=({"terms": 0}, {"floor": float("nan")})),
    "NonlinearDiffusion": DirectCase(
        NLD, lambda x, y: (NLD.barenblatt(4.0, x, y),), lambda t, x, y: (NLD.barenblatt(4.0 + t, x, y),), (15, 45), 1.5e-2, refined=1e-2,
        order=0.7, refused=({"alpha": 0.0}, {"refinement": 2}, {"bumps": 0})),
}
