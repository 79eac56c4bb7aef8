"""A cavity from rest under an accelerating lid: velocity and pressure from the density and the viscosity, and these two from them."""

import jax
import jax.numpy as jnp
from _study import Case, Preset, main

from pdesurr.fields import ChebyshevBasis, Grid
from pdesurr.fields.jets import concatenate
from pdesurr.fields.regions import box
from pdesurr.models.constrained import given
from pdesurr.pdes import UnsteadyCavity

NODES, INTERVALS = 16, 8
GRID = Grid([ChebyshevBasis(7, 0.0, 1.0), *UnsteadyCavity().grid(NODES).bases])  # t, x, y
LID = given(lambda t, x, y: UnsteadyCavity().profile(x) * y * t)
INNER = given(lambda t, x, y: jnp.sin(jnp.pi * x) * jnp.sin(jnp.pi * y) * t)
CORNER = given(lambda t, x, y: x + y)
WEIGHT = 10.0  # of the divergence


def text(u, v, p, z, w):
    del w
    along, up, divergence = UnsteadyCavity(rho=z[0], mu=z[1]).residual(u, v, p)
    return along, up, divergence * WEIGHT


def constraint(x, v, w):
    """The velocities of walls and start; no pressure at the corner."""
    del w
    pick = lambda c: v.linear(lambda part: part[:, c : c + 1])  # noqa: E731
    inner = INNER(x)
    return concatenate([LID(x) + inner * pick(0), inner * pick(1), CORNER(x) * pick(2)])


def numbers(key):
    z = jax.random.uniform(key, (2,)) * jnp.asarray([0.2, 0.9]) + jnp.asarray([0.8, 0.1])
    return {"z": z, "w": jnp.ones(1)}


def solve(z, w):
    """Velocity and pressure at equal times, interpolated in time to the nodes there."""
    del w
    pde = UnsteadyCavity(rho=z[0].astype(float), mu=z[1].astype(float), intervals=INTERVALS)
    grid = pde.grid(NODES)
    lid = jnp.broadcast_to(pde.profile(jnp.asarray(grid.bases[0].nodes))[:, None, None], (NODES, NODES, 1))
    fields, _ = pde.recorded(lid, grid)
    u = jnp.stack([fields[name] for name in pde.outputs], axis=-1)
    t, s = jnp.asarray(GRID.bases[0].nodes), jnp.asarray(pde.record_times)
    return jnp.tensordot(lagrange(t, s), u, axes=1)


def lagrange(t, s):
    """The matrix from values at the nodes s to values at t, by the polynomial through all."""
    gap = s[:, None] - s[None, :] + jnp.eye(len(s))
    parts = (t[:, None, None] - s[None, None, :]) / gap[None]
    return jnp.prod(jnp.where(jnp.eye(len(s), dtype=bool)[None], 1.0, parts), axis=-1)


CASE = Case(
    "cavity", ("t", "x", "y"), text, box((0, 1), (0, 1), (0, 1)), GRID, numbers, constraint, solve, {
        "smoke": Preset(6, 2, 20, 21, 4, {"width": 8, "depth": 2}, {"width": 12, "nodes": 5, "kernel": 2, "channels": 4}),
        "cpu": Preset(3000, 5, 200, 200, 100, {"width": 96, "depth": 5, "lowest": 1e-2, "highest": 1.0, "rank": 6},
                      {"width": 100, "nodes": 8, "kernel": 2, "channels": 12}, rate=5e-3, noise=0.2),
        "paper": Preset(200_000, 5, 512, 100, 1000, {"width": 200, "depth": 11, "lowest": 1e-2, "highest": 1.0, "rank": 4},
                        {"width": 400, "nodes": 10, "kernel": 2, "channels": 33}, (0, 1, 2)),
    }, channels=3, judged=2)

if __name__ == "__main__":
    main(CASE)
