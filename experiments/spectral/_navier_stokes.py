"""w_t + u . grad w = nu Lap w (+ f) on the torus: what its rows share. Du, Chalapathi and Krishnapriyan (ICLR 2024), Navier-Stokes.

`cpu` is small: few modes, steps and seeds, and shorter than the published horizon where that says so; `paper` is their network and steps.
Errors are those of 16 records together, on 32 nodes an axis."""

import math

from _study import Preset, Row, Solver, etdrk4, main

from pdesurr.fields import Grid
from pdesurr.models import NSM, InitialValue
from pdesurr.nn.activation import Activation
from pdesurr.objectives import SpectralResidual
from pdesurr.pdes import KernelStart, NavierStokes

__all__ = ["main", "row"]


def row(name: str, nu: float, horizon: float = 3.0, forcing: float = 0.0, time: int = 10, paper_time: int = 12, depth: int = 10) -> Row:
    """A row of the table."""
    pde = NavierStokes(nu=nu, forcing=forcing, horizon=horizon, intervals=1, history=1, prior=KernelStart())

    def network(key, modes=12, time=time, width=24, depth=3, activation: Activation = "gelu", scale=1.0):
        kind = {"time": time, "horizon": horizon, "activation": activation, "scale": scale}
        return InitialValue(NSM(1, 1, (modes, modes), width, depth, **kind, key=key))

    def objective(preset: Preset) -> SpectralResidual:
        modes = preset.size.get("modes", 12)
        return SpectralResidual(pde, (2 * modes,) * 2, time=math.ceil(1.5 * preset.size.get("time", time)), padding=1.0)

    def solvers(grid: Grid) -> dict[str, Solver]:
        tried = ((12, 16), (16, 16), (16, 32), (32, 64))
        return {f"ETDRK4, {n} nodes an axis, {steps} steps": etdrk4(pde, grid, n, steps) for n, steps in tried}

    published = {"modes": 31, "time": paper_time, "width": 32, "depth": depth, "activation": "relu", "scale": 1e-3}
    presets = {
        "smoke": Preset(16, 4, batch=2, size={"modes": 6, "time": 5, "width": 6, "depth": 1}, seeds=(0,), tests=(2, 2)),
        "cpu": Preset(24, 1500, 3e-3, batch=8, seeds=(0,), tests=(16, 64)),
        "paper": Preset(64, 200_000, size=published),
    }
    return Row(name, pde, network, objective, presets, None, must=None, tested=32, solvers=solvers)
