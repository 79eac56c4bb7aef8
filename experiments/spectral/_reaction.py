"""u_t - nu u_xx = 5 u (1 - u), periodic, to t = 1: what its rows share. Du, Chalapathi and Krishnapriyan (ICLR 2024), reaction-diffusion.

Claim: at most 0.5 % at each nu, aim 0.1 %. Errors are those of 16 records together, on 64 nodes."""

import math

import jax.numpy as jnp
from _study import RECORDS, Preset, Row, Solver, etdrk4, main
from jaxtyping import Array

from pdesurr.fields import Grid
from pdesurr.models import NSM, InitialValue
from pdesurr.nn.activation import Activation
from pdesurr.objectives import SpectralResidual
from pdesurr.pdes import ReactionDiffusion

__all__ = ["PRESETS", "main", "row"]

PRESETS = {
    "smoke": Preset(24, 6, batch=2, size={"modes": 12, "time": 6, "width": 8, "depth": 1}, seeds=(0,), tests=(4, 4)),
    "cpu": Preset(64, 3000, 3e-3, seeds=(0, 1, 2)),
    "paper": Preset(64, 30_000, size={"modes": 64, "time": 32, "width": 64, "depth": 4, "activation": "relu", "scale": 1e-3}),
}


def network(key, modes=32, time=16, width=32, depth=3, activation: Activation = "gelu", scale=1.0):
    return InitialValue(NSM(1, 1, (modes,), width, depth, time=time, activation=activation, scale=scale, key=key))


def row(nu: float) -> Row:
    """A row of the table."""
    pde, step = ReactionDiffusion(nu=nu), ReactionDiffusion(nu=nu, horizon=1 / RECORDS)

    def solvers(grid: Grid) -> dict[str, Solver]:
        def strang(a: Array, each: int) -> Array:
            found = [a]
            for _ in range(RECORDS):
                found.append(step.strang(found[-1], grid, each))
            return jnp.concatenate(found[1:], axis=-1)

        return {f"Strang, {RECORDS} steps": lambda a: strang(a, 1), f"Strang, {2 * RECORDS} steps": lambda a: strang(a, 2),
                f"ETDRK4, {RECORDS} steps": etdrk4(pde, grid, grid.shape[0], RECORDS),
                f"ETDRK4, 32 nodes, {RECORDS} steps": etdrk4(pde, grid, 32, RECORDS)}

    def objective(preset: Preset) -> SpectralResidual:
        return SpectralResidual(pde, time=math.ceil(1.5 * preset.size.get("time", 16)))

    return Row(f"Reaction-diffusion nu = {nu:g}, NSM", pde, network, objective, PRESETS, None, must=5e-3, aim=1e-3, solvers=solvers)
