"""What a trained surrogate is for, in small: the start of a flow from a few noisy readings of its end."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pdesurr import metrics
from pdesurr.fields import Grid
from pdesurr.optimise import minimise, trust_region
from pdesurr.pdes import Burgers
from pdesurr.surrogates import load

READINGS, NOISE = 32, 0.02  # of the end, in equal distances; in units of its standard deviation
DIRECTIONS, DRAWS = 16, 200  # principal components of draws of the prior


def recover(bundle: Path, pde: Burgers, grid: Grid, seed: int = 0) -> dict[str, Any]:
    """u(., 0) from noisy readings y of u(., horizon), by the surrogate in `bundle` and by it with corrections of the true solver.

    The start is sum_k c_k s_k v_k, v_k the principal components of draws of the prior and s_k their deviations, and c the minimum of

        |y - readings of the end of c|^2 / (2 noise^2) + |c|^2 / 2,

    the most probable one. Returned: the objective that the surrogate claims at its minimum, and what the solver says; the same of
    `trust_region`, with its number of solves; relative L2 errors of both starts; and what a figure needs.
    """
    surrogate = load(Path(bundle))
    keys = jax.random.split(jax.random.key(seed), DRAWS + 2)
    draws = np.asarray(jax.vmap(lambda k: pde.sample(k, grid))(keys[2:]))[..., 0]
    _, s, v = np.linalg.svd(draws, full_matrices=False)
    basis = jnp.asarray(v[:DIRECTIONS] * s[:DIRECTIONS, None] / DRAWS**0.5)
    start = lambda c: (c @ basis)[:, None]  # noqa: E731
    solve = lambda a: pde.solve(a, grid, method="heat_kernel")  # noqa: E731
    every = max(1, grid.shape[0] // READINGS)
    truth = pde.sample(keys[0], grid)
    end = solve(truth)
    noise = NOISE * float(jnp.std(end))
    readings = end[::every] + noise * jax.random.normal(keys[1], end[::every].shape)

    def objective(model: Any) -> Any:
        return lambda c: (jnp.sum(((model(start(c))[::every] - readings) / noise) ** 2) + jnp.sum(c**2)) / 2

    zero = jnp.zeros(DIRECTIONS)
    alone = minimise(objective(surrogate), zero, truth=objective(solve))
    corrected = trust_region(objective(surrogate), objective(solve), zero, radius=3.0, solves=20, tolerance=1e-3)
    error = lambda c: float(metrics.relative_l2(start(c), truth, grid))  # noqa: E731
    found: dict[str, Array] = {"truth": truth, "alone": start(alone.x), "corrected": start(corrected.x)}
    return {
        "readings": len(readings), "noise": NOISE, "directions": DIRECTIONS, "claimed": alone.claimed, "verified": alone.verified,
        "calls": alone.calls, "error": error(alone.x), "corrected": corrected.verified, "corrected_error": error(corrected.x),
        "solves": corrected.solves, "starts": {k: np.asarray(a[:, 0]).tolist() for k, a in found.items()},
        "ends": {k: np.asarray(solve(a)[:, 0]).tolist() for k, a in found.items()},
        "x": np.asarray(grid.bases[0].nodes).tolist(), "at": np.asarray(grid.bases[0].nodes)[::every].tolist(),
        "values": np.asarray(readings[:, 0]).tolist(),
    }
