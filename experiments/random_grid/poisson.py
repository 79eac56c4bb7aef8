"""Poisson's equation with a conductivity that depends on the solution: u from five coefficients z and a source w, and z from u."""

import jax.numpy as jnp
from _study import Case, Preset, main

from pdesurr.fields.regions import box
from pdesurr.models.constrained import given
from pdesurr.pdes import QuasilinearPoisson

PDE = QuasilinearPoisson()
GRID = PDE.grid(64)
WALL = given(lambda x: jnp.cos(jnp.pi * x / 2))


def solve(z, w):
    x = jnp.asarray(GRID.bases[0].nodes)
    z, w = z.astype(x.dtype), w.astype(x.dtype)
    return PDE.solve(jnp.stack([PDE.coefficient(z, x), jnp.broadcast_to(w, x.shape)], axis=-1), GRID)


CASE = Case(
    "Poisson", ("x",), PDE.residual_of_numbers, box((-1, 1)), GRID, PDE.numbers, lambda x, v, w: WALL(x) * v, solve, {
        "smoke": Preset(20, 10, 10, 21, 40, {"width": 12, "depth": 2}, {"width": 12}),
        "cpu": Preset(8000, 50, 30, 1000, 1000, {"width": 100, "depth": 4, "rank": 6}, {"width": 100}),
        "paper": Preset(20_000, 50, 30, 1000, 1000, {"width": 300, "depth": 7}, {"width": 300}, (0, 1, 2)),
    }, data=1000, seen=jnp.linspace(-1, 1, 201)[20:-20:3, None])

if __name__ == "__main__":
    main(CASE)
