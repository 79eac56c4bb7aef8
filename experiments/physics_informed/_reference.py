"""The reference solver's answer at any point, by quintic or cubic splines through its records."""

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RectBivariateSpline, RegularGridInterpolator


def periodic_line(pde, start, nodes, intervals, lower):
    """u(t, x) on one periodic axis from `lower`, of the equation `pde`, from t = 0 to its horizon."""
    grid, times = pde.grid(nodes), tuple(pde.horizon * i / intervals for i in range(intervals + 1))
    x = np.asarray(grid.bases[0].nodes) - grid.bases[0].lower + lower
    u = np.asarray(pde.solve(jnp.asarray(start(x))[:, None], grid, times)[..., 0])
    near = np.concatenate([np.arange(-8, 0), np.arange(nodes), np.arange(8)])  # the spline's ends lie beyond the period
    along = np.concatenate([x[-8:] - grid.volume, x, x[:8] + grid.volume])
    spline = RectBivariateSpline(times, along, u[:, near], kx=5, ky=5)
    return lambda t, x: jnp.asarray(spline.ev(np.asarray(t), np.asarray(x)))


def cells_in_time(pde, start, nodes):
    """u(t, x, y) of an equation that records its own times, on cells of the square (-1, 1)^2."""
    grid = pde.grid(nodes)
    x, y = np.moveaxis(np.asarray(grid.nodes), -1, 0)
    u0 = jnp.asarray(start(x, y))
    later = np.asarray(pde.solve(u0[..., None], grid))
    axis = np.concatenate([[-1.0], np.asarray(grid.bases[0].nodes), [1.0]])  # zero on the walls
    values = np.pad(np.concatenate([np.asarray(u0)[None], np.moveaxis(later, -1, 0)]), ((0, 0), (1, 1), (1, 1)))
    spline = RegularGridInterpolator((pde.record_times, axis, axis), values, method="cubic")
    return lambda t, x, y: jnp.asarray(spline(np.stack([np.asarray(t), np.asarray(x), np.asarray(y)], -1)))
