"""-Lap u = s on the unit square: what its rows share. Du, Chalapathi and Krishnapriyan (ICLR 2024), Poisson benchmark."""

from typing import Any

from _study import Preset, Row, Solver, main
from jaxtyping import Array

from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.fields import Grid, SineBasis
from pdesurr.models import FNO, NSM, ZeroMean
from pdesurr.nn.activation import Activation
from pdesurr.objectives import SpectralResidual, StencilResidual
from pdesurr.pdes import Poisson

__all__ = ["PAPER", "Preset", "coefficients", "differences", "fno", "main", "nsm", "row", "sines", "smoke"]

PAPER = {"modes": 31, "width": 64, "depth": 4, "activation": "relu", "scale": 1e-3}


def smoke(**size: Any) -> Preset:
    """Seconds: is the script whole?"""
    return Preset(16, 6, batch=2, size={"modes": 7, "width": 8, "depth": 1} | size, seeds=(0,), tests=(4, 4))


def nsm(key, modes=17, width=32, depth=3, activation: Activation = "gelu", scale=1e-2):
    return ZeroMean(NSM(1, 1, (modes, modes), width, depth, activation=activation, scale=scale, key=key))


def fno(key, modes=12, width=32, depth=4):
    """Between normalisers: u is about .02."""
    scaler = ChannelScaler((0.0,), (1.0,)), ChannelScaler((0.0,), (0.02,))
    return ZeroMean(Scaled(FNO(1, 1, (modes, modes), width, depth, key=key), *scaler))


def sines(n: int) -> Grid:
    """Functions that vanish on the walls."""
    return Grid([SineBasis(n)] * 2)


def coefficients(preset: Preset) -> SpectralResidual:
    """Of the residual: no products, so no padding."""
    del preset
    return SpectralResidual(Poisson(), padding=1.0)


def differences(preset: Preset) -> StencilResidual:
    del preset
    return StencilResidual(Poisson())


def row(name: str, network: Any, objective: Any, presets: dict[str, Preset], walls: bool = False, **more: Any) -> Row:
    """A row of the table."""
    pde = Poisson(walls=walls)

    def solvers(grid: Grid) -> dict[str, Solver]:
        def on(n: int, a: Array) -> Array:
            coarse = grid.with_shape(n, n)
            return coarse.resample(pde.recorded(grid.resample(a, n, n), coarse)[0]["u"][..., None], *grid.shape)

        return {"direct": lambda a: pde.recorded(a, grid)[0]["u"][..., None], "direct, 16 nodes an axis": lambda a: on(16, a)}

    return Row(name, pde, network, objective, presets, solvers=solvers, **more)
