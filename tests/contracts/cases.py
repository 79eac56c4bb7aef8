"""One tiny case for everything exported: the batteries run each unasked, and the meta-test names what has none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import objectives
from pdesurr.fields import ChebyshevBasis, CosineBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import (
    FFNO,
    FNO,
    GNO,
    LNO,
    NSM,
    SNO,
    CoMoving,
    DeepONet,
    Ensemble,
    InitialValue,
    MgNO,
    MoNO,
    MultipoleGraphOperator,
    OrthogonalMultipole,
    OverTime,
    PODDeepONet,
    Records,
    Resampled,
    RollOut,
    Smoothed,
    SpaceTime,
    Symmetrised,
    Transolver,
    UNet,
    ZeroMean,
    ZeroWalls,
    pod_modes,
)
from pdesurr.pdes import (
    AbstractEvolution,
    Advection,
    AllenCahn,
    Burgers,
    Burgers2D,
    ForcedBurgers,
    GrayScott,
    Heat,
    KortewegDeVries,
    KuramotoSivashinsky,
    NavierStokes,
    ReactionDiffusion,
)


@dataclass(frozen=True)
class EvolutionCase:
    """A periodic evolution equation, small. `exact(t, *x)` is a closed-form solution at one point, a tuple for a system; None
    where there is none: then the scheme is judged by its own refinement, and the equation by the two calculi."""

    pde: AbstractEvolution
    exact: Callable[..., Any] | None
    n: int
    horizon: float
    steps: int  # at which the fourth-order scheme is in its asymptotic range
    invariants: tuple[Callable[[Any, Grid], Any], ...] = ()  # conserved functionals of values (*grid, c)
    decaying: tuple[Callable[[Any, Grid], Any], ...] = ()  # functionals that never grow
    orders: tuple[int, ...] = (4,)
    amplitude: float = 1.0  # of the random start where there is no exact one
    centre: tuple[float, ...] = (0.0,)  # about which it varies
    exact_in_time: bool = False  # a linear equation: an exponential scheme makes no error in time


def burgers_wave(nu: float, a: float = 0.8, mean: float = 0.3) -> Callable[[Any, Any], Any]:
    """Cole-Hopf image of phi = 1 + a exp(-nu t) cos(x), seen from a frame that moves with the mean velocity."""

    def exact(t, x):
        y, decay = x - mean * t, a * jnp.exp(-nu * t)
        return mean + 2 * nu * decay * jnp.sin(y) / (1 + decay * jnp.cos(y))

    return exact


def forced_wave(nu: float, force: float = 0.7) -> Callable[[Any, Any], Any]:
    """A uniform force: the same wave seen from an accelerated frame."""
    wave = burgers_wave(nu)
    return lambda t, x: (force * t + wave(t, x - force * t**2 / 2), force + 0 * x)


def burgers_2d_wave(nu: float) -> Callable[..., Any]:
    """u = v = W(x + y, 2 t), W a solution in one dimension."""
    wave = burgers_wave(nu, 0.3)
    return lambda t, x, y: (wave(2 * t, x + y),) * 2


def soliton(delta: float, c: float, start: float, length: float) -> Callable[[Any, Any], Any]:
    """Zabusky and Kruskal's: 3 c sech^2(sqrt(c) (x - c t - start) / (2 delta)), its image one period on either side far away."""
    return lambda t, x: 3 * c / jnp.cosh(c**0.5 * (jnp.mod(x - c * t - start + length / 2, length) - length / 2) / (2 * delta)) ** 2


def taylor_green(nu: float, k: float) -> Callable[..., Any]:
    """w of the decaying vortices psi = cos(k x) cos(k y) exp(-2 nu k^2 t) / (2 k^2), whose advection vanishes."""
    return lambda t, x, y: jnp.cos(k * x) * jnp.cos(k * y) * jnp.exp(-2 * nu * k * k * t)


def total(u, grid):
    return np.asarray(grid.integral(u))


def total_force(u, grid):
    return float(grid.integral(u)[1])


def square(u, grid):
    return np.asarray(grid.integral(u**2)).sum()


def peak(u, grid):
    return np.abs(u).max()


def kinetic_energy(w, grid):
    u, v = NavierStokes().velocity(w[..., 0], grid)
    return float(grid.integral(u**2 + v**2))


def allen_cahn_energy(u, grid):
    gradient = grid.derivative(u, "x")
    return float(grid.integral(0.01 * gradient**2 / 2 + 5 * (u**2 - 1) ** 2 / 4)[0])


def kdv_energy(u, grid):
    return float(grid.integral(u**3 / 3 - 0.5**2 * grid.derivative(u, "x") ** 2)[0])


EVOLUTIONS = {
    "Burgers": EvolutionCase(Burgers(nu=0.3, zero_mean=False), burgers_wave(0.3), 96, 0.5, 8, (total,), (square, peak), (1, 2, 3, 4)),
    "Advection": EvolutionCase(Advection(velocity=0.7), lambda t, x: jnp.sin(4 * jnp.pi * (x - 0.7 * t)), 32, 0.5, 1, (total, square),
                               exact_in_time=True),
    "Heat": EvolutionCase(Heat(nu=0.02, dimension=2), lambda t, x, y: jnp.exp(-0.02 * 20 * jnp.pi**2 * t) * jnp.sin(2 * jnp.pi * x)
                          * jnp.cos(4 * jnp.pi * y), 16, 0.3, 1, (total,), (square, peak), exact_in_time=True),
    "KortewegDeVries": EvolutionCase(KortewegDeVries(delta=0.5, length=30.0), soliton(0.5, 0.6, 12.0, 30.0), 192, 0.5, 8,
                                     (total, square, kdv_energy), orders=(2, 4)),
    "KuramotoSivashinsky": EvolutionCase(KuramotoSivashinsky(length=32.0), None, 64, 2.0, 16, (total,)),
    "AllenCahn": EvolutionCase(AllenCahn(epsilon=0.01), None, 64, 0.5, 8, (), (allen_cahn_energy,)),
    "Burgers2D": EvolutionCase(Burgers2D(nu=0.3, length=2 * np.pi), burgers_2d_wave(0.3), 48, 0.25, 8, (), (peak,)),
    "ForcedBurgers": EvolutionCase(ForcedBurgers(nu=0.3, length=2 * np.pi), forced_wave(0.3), 96, 0.5, 8, (total_force,)),
    "GrayScott": EvolutionCase(GrayScott(length=0.5), None, 24, 60.0, 30, amplitude=0.05, centre=(0.5, 0.25)),
    "ReactionDiffusion": EvolutionCase(ReactionDiffusion(nu=0.05), None, 48, 0.4, 8, amplitude=0.1, centre=(0.4,)),
    "NavierStokes": EvolutionCase(NavierStokes(nu=0.002, forcing=0.0), taylor_green(0.002, 2 * np.pi), 32, 2.0, 20, (total,),
                                  (square, kinetic_energy), amplitude=3.0),
}


@dataclass(frozen=True)
class ModelCase:
    """A small model, the grid it is tried on, and what it claims.

    `operator`: it may change resolution. Its outputs at `factors[0]` and `factors[1]` times the grid's nodes then differ by at most
    `drift` times their size, for an input that half the grid resolves. `cloud`: it also reads and answers on scattered points.
    `fits`: the share of the initial loss that is left after learning one batch. `smooth`: its outputs vary little from node to
    node, or keep the mean, so that batch is of the lowest wave per axis and not of noise.
    """

    make: Callable[[jax.Array], Any]
    grid: Grid
    channels: tuple[int, int]
    operator: bool
    factors: tuple[int, int] = (4, 8)
    drift: float = 1e-4
    cloud: bool = False
    fits: float = 0.15
    smooth: bool = False


PERIODIC = Grid([FourierBasis(32)])
WALLS = Grid([UniformBasis(12, 0.0, 1.0, "left"), UniformBasis(10, 0.0, 1.0, "closed")])


def pod_case(key):
    """Its modes are those of the outputs that `test_fits_one_batch` asks for, their mean and three directions."""
    with jax.ensure_compile_time_eval():
        modes = pod_modes(2 * jax.random.normal(jax.random.key(7), (4, 32, 1)), PERIODIC, 3)
    return PODDeepONet(1, 1, (32,), 3, 8, 2, modes=modes, key=key)


MODELS = {
    "FNO": ModelCase(lambda key: FNO(1, 1, (6,), 8, 2, coordinates=(False,), key=key), PERIODIC, (1, 1), True),
    "FNO, two axes with walls, mlp": ModelCase(
        lambda key: FNO(2, 1, (4, 3), 6, 2, lifting_width=8, channel_mlp=0.5, head_width=8, coordinates=(True, True), key=key),
        WALLS, (2, 1), False),
    "FNO, one low-rank spectral weight": ModelCase(
        lambda key: FNO(1, 1, (6,), 8, 2, shared=True, rank=0.7, key=key), PERIODIC, (1, 1), True),
    "FFNO": ModelCase(lambda key: FFNO(2, 1, (4, 3), 6, 2, expansion=2, head_width=8, coordinates=(True, True), key=key), WALLS, (2, 1),
                      False),
    "LNO": ModelCase(lambda key: LNO(1, 1, 1, 4, 2, 2, kernel=(8, 8), head_width=8, period=(2 * np.pi,), key=key), PERIODIC, (1, 1),
                     True, cloud=True),
    "LNO, two axes with walls": ModelCase(lambda key: LNO(2, 1, 2, 4, 1, 2, kernel=(6,), head_width=8, activation="relu", key=key),
                                          WALLS, (2, 1), False, cloud=True),
    "MgNO": ModelCase(lambda key: MgNO(2, 1, (12, 10), 4, 2, levels=(1, 1), post=(1, 0), key=key), WALLS, (2, 1), False),
    "MgNO, one axis periodic, norm": ModelCase(
        lambda key: MgNO(1, 1, (8, 9), 6, 1, levels=(2, 1), norm=True, bypass=False, boundary=("periodic", "neumann"), key=key),
        Grid([FourierBasis(8), UniformBasis(9)]), (1, 1), False),
    "DeepONet": ModelCase(lambda key: DeepONet(1, 1, (32,), 16, 2, 8, period=(2 * np.pi,), key=key), PERIODIC, (1, 1), True,
                          smooth=True),
    "DeepONet, two axes with walls": ModelCase(lambda key: DeepONet(2, 2, (12, 10), 24, 2, 8, period=(2.0, 2.0), key=key), WALLS, (2, 2),
                                               False, smooth=True),
    "PODDeepONet": ModelCase(pod_case, PERIODIC, (1, 1), True),
    "MoNO": ModelCase(lambda key: MoNO(1, 1, (4,), 4, 2, levels=2, codes=3, head_width=8, key=key), PERIODIC, (1, 1), True),
    "GNO": ModelCase(lambda key: GNO(1, 1, 1, 1.0, 8, 2, kernel=(8,), head_width=8, nodes=256, max_degree=84, period=(2 * np.pi,), key=key),
                     PERIODIC, (1, 1), True, drift=2e-3, cloud=True),
    "GNO, two axes with walls, a kernel each": ModelCase(
        lambda key: GNO(2, 1, 2, 0.4, 8, 2, kernel=(6,), head_width=8, nodes=120, max_degree=40, shared=False, key=key),
        WALLS, (2, 1), False, cloud=True),
    "MultipoleGraphOperator": ModelCase(
        lambda key: MultipoleGraphOperator(1, 1, 1, 8, nodes=(256, 32), radii=(0.5, 2.0), between=(0.5,), cycles=1, kernel_width=6,
                                           head_width=8, period=(2 * np.pi,), key=key),
        PERIODIC, (1, 1), True, drift=0.01, cloud=True),
    "OrthogonalMultipole": ModelCase(lambda key: OrthogonalMultipole(1, 1, 8, 2, cycles=1, kernel_width=6, head_width=8, key=key),
                                     Grid([FourierBasis(8)]), (1, 1), True, drift=0.02),
    "RollOut": ModelCase(lambda key: RollOut(FNO(2, 1, (6,), 12, 2, head_width=16, key=key), 3), PERIODIC, (2, 3), True),
    "RollOut, two components, residual": ModelCase(
        lambda key: RollOut(FFNO(4, 2, (4, 3), 6, 2, head_width=8, key=key), 3, components=2, residual=True), WALLS, (4, 6), False,
        smooth=True),
    "SpaceTime": ModelCase(
        lambda key: SpaceTime(FNO(2, 1, (6, 2), 8, 2, head_width=8, coordinates=(False, True), key=key), 4), PERIODIC, (2, 4), True),
    "SpaceTime, two components": ModelCase(
        lambda key: SpaceTime(FNO(2, 2, (4, 3, 2), 6, 2, head_width=8, key=key), 4, components=2), WALLS, (2, 8), False),
    "Ensemble": ModelCase(lambda key: Ensemble.of([FNO(1, 1, (5,), 8, 2, head_width=8, key=k) for k in jax.random.split(key)]), PERIODIC,
                          (1, 1), True, smooth=True),
    "CoMoving": ModelCase(lambda key: CoMoving(FNO(1, 1, (6,), 8, 2, key=key), 0.7), PERIODIC, (1, 1), True, smooth=True),
    "Symmetrised": ModelCase(
        lambda key: Symmetrised(FNO(2, 1, (4, 4), 8, 1, coordinates=(True, True), key=key), "square"), Grid([UniformBasis(9)] * 2), (2, 1),
        False),
    "Resampled": ModelCase(lambda key: Resampled(FNO(2, 1, (4,), 8, 2, key=key), (24,)), PERIODIC, (2, 1), True, smooth=True,
                           drift=2e-3),
    "Resampled, two axes with walls": ModelCase(
        lambda key: Resampled(FNO(1, 2, (4, 4), 8, 2, coordinates=(True, True), key=key), (9, 9)), WALLS, (1, 2), False, smooth=True),
    "Smoothed": ModelCase(lambda key: Smoothed(FNO(2, 1, (6,), 8, 2, key=key), (0.5,)), PERIODIC, (1, 1), True),
    "Smoothed, two axes with walls, two lengths": ModelCase(
        lambda key: Smoothed(GNO(6, 1, 2, 0.5, 6, 1, kernel=(6, 4), nodes=120, head_width=8, key=key), (0.1, 0.3)), WALLS, (2, 1), False),
    "UNet": ModelCase(lambda key: UNet(2, 1, 2, 4, 2, groups=2, key=key), WALLS, (2, 1), False),
    "UNet, one axis periodic, three levels": ModelCase(
        lambda key: UNet(1, 1, 2, 4, 3, groups=1, boundary=("periodic", "neumann"), key=key),
        Grid([FourierBasis(8), UniformBasis(9)]), (1, 1), False),
    "Transolver": ModelCase(lambda key: Transolver(1, 1, 1, 8, 1, heads=2, slices=4, period=(2 * np.pi,), key=key), PERIODIC, (1, 1),
                            True, cloud=True),
    "Transolver, two axes with walls": ModelCase(lambda key: Transolver(2, 1, 2, 6, 1, heads=3, slices=4, expansion=2, key=key), WALLS,
                                                 (2, 1), False, cloud=True),
    "Transolver, convolved": ModelCase(lambda key: Transolver(1, 1, 2, 6, 1, heads=2, slices=4, convolved=True, key=key),
                                       Grid([FourierBasis(8), UniformBasis(9)]), (1, 1), False),
}

MODELS |= {
    "NSM": ModelCase(lambda key: NSM(1, 1, (9,), 12, 2, key=key), PERIODIC, (1, 1), True, smooth=True),
    "NSM, Chebyshev and Fourier, in time": ModelCase(
        lambda key: NSM(2, 1, (6, 5), 8, 1, time=4, periodic=(False, True), activation="tanh", key=key),
        Grid([ChebyshevBasis(9, 0.0, 1.0), FourierBasis(8)]), (2, 1), False, smooth=True),
    "SNO": ModelCase(lambda key: SNO(1, 1, (9,), 12, 2, key=key), PERIODIC, (1, 1), True, smooth=True, fits=0.4),
    "SNO, Chebyshev and Fourier, in time": ModelCase(
        lambda key: SNO(2, 1, (6, 5), 8, 1, time=4, periodic=(False, True), activation="tanh", key=key),
        Grid([ChebyshevBasis(9, 0.0, 1.0), FourierBasis(8)]), (2, 1), False, smooth=True, fits=0.4),
    "OverTime": ModelCase(lambda key: OverTime(FNO(1, 1, (6, 2), 8, 2, head_width=8, coordinates=(False, True), key=key), 5), PERIODIC,
                          (1, 1), True),
    "InitialValue": ModelCase(lambda key: InitialValue(NSM(1, 1, (9,), 12, 2, time=4, activation="gelu", key=key)), PERIODIC, (1, 1), True,
                              smooth=True),
    "Records": ModelCase(lambda key: Records(NSM(1, 1, (9,), 12, 2, time=5, activation="gelu", key=key), 3), PERIODIC, (1, 3), True,
                         smooth=True),
    "ZeroMean": ModelCase(lambda key: ZeroMean(FNO(1, 1, (6,), 8, 2, key=key)), PERIODIC, (1, 1), True, smooth=True),
    "ZeroWalls": ModelCase(lambda key: ZeroWalls(FNO(1, 1, (4,), 12, 2, coordinates=(True,), key=key)), Grid([CosineBasis(16)]), (1, 1),
                           False, smooth=True),
}

OBJECTIVES = {"relative_l2": objectives.relative_l2, "relative_h1": objectives.relative_h1,
              "SampledL2": objectives.SampledL2(points=20), "StepwiseL2": objectives.StepwiseL2(),
              "RolledOut": objectives.RolledOut(steps=1, components=2),
              "Mixed": objectives.Mixed(((1.0, objectives.relative_l2), (0.5, objectives.relative_h1)))}
# What these ask of a model is not an answer at the input's nodes: the file that tries them.
ELSEWHERE = dict.fromkeys(("AtRecords", "SpectralResidual", "StencilResidual"), "test_spectral_loss.py")
