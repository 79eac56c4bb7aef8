"""Burgers between walls, u_t + z_1 u u_x = z_0 u_xx on (0, 1), u(x, 0) = sin(2 pi w x) sin(pi x): u from z and w, and z from u.

z_1 u solves Burgers' equation, and so does its odd continuation, of period 2: the reference is that, exact by Cole and Hopf."""

import jax
import jax.numpy as jnp
from _study import Case, Preset, main

from pdesurr.fields import ChebyshevBasis, Grid
from pdesurr.fields.regions import box
from pdesurr.models.constrained import given
from pdesurr.pdes import Burgers

GRID = Grid([ChebyshevBasis(20, 0.0, 1.0), ChebyshevBasis(48, 0.0, 1.0)])  # t, x
FINE = 512  # nodes of the reference
FACTOR = given(lambda t, x: jnp.sin(jnp.pi * x) * t)


def start(x, w):
    return jnp.sin(2 * jnp.pi * w * x) * jnp.sin(jnp.pi * x)


def text(u, z, w):
    del w
    v = u * z[1]
    return Burgers(nu=z[0]).residual(v) / z[1]


def numbers(key):
    z_key, w_key = jax.random.split(key)
    z = jax.random.uniform(z_key, (2,)) * jnp.asarray([0.09, 0.5]) + jnp.asarray([0.01, 0.5])
    return {"z": z, "w": jax.random.uniform(w_key, (1,), minval=0.5, maxval=2)}


def solve(z, w):
    pde = Burgers(nu=z[0].astype(float), length=2.0)
    line = pde.grid(FINE)
    x = jnp.asarray(line.bases[0].nodes)
    odd = jnp.where(x < 1, start(x, w[0]), -start(2 - x, w[0])) * z[1]
    u = pde.solve(odd[:, None], line, tuple(float(s) for s in GRID.bases[0].nodes), method="heat_kernel") / z[1]
    at = jnp.asarray(GRID.bases[1].nodes)[:, None]
    return jax.vmap(lambda v: line.evaluate(line.transform(v), at))(u)


CASE = Case(
    "Burgers", ("t", "x"), text, box((0, 1), (0, 1)), GRID, numbers,
    lambda p, v, w: given(lambda t, x: start(x, w[0]) + 0 * t)(p) + FACTOR(p) * v, solve, {
        "smoke": Preset(10, 4, 20, 21, 12, {"width": 12, "depth": 2}, {"width": 12, "nodes": 6, "kernel": 2}),
        "cpu": Preset(5000, 25, 100, 500, 1000, {"width": 100, "depth": 5, "lowest": 1e-2, "rank": 6},
                      {"width": 100, "nodes": 10, "kernel": 2}, rate=5e-3, noise=0.02),
        "paper": Preset(80_000, 25, 225, 1000, 10_000, {"width": 400, "depth": 9, "lowest": 1e-2}, {"nodes": 10, "kernel": 2}, (0, 1, 2),
                        noise=None),
    })

if __name__ == "__main__":
    main(CASE)
