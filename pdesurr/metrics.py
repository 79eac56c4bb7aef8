"""How far one function is from another: plain functions of two arrays `(*grid, channel)`, for one sample.

Norms are those of the grid: `||u||^2 = int sum_c u_c^2`, H1 adds the squared gradient. `relative_*` divide by the truth's norm.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields import Grid


def relative_l2(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
    """||u - truth||_L2 / ||truth||_L2."""
    return relative(u, truth, grid, order=0)


def relative_h1(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid) -> Float[Array, ""]:
    """||u - truth||_H1 / ||truth||_H1, the true Sobolev norm: derivatives are taken in the grid's own basis."""
    return relative(u, truth, grid, order=1)


def relative(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid, order: int) -> Float[Array, ""]:
    """The relative error in the Sobolev norm of that order (0 or 1)."""
    require(u.shape == truth.shape, "u", f"the truth's shape {truth.shape}", u.shape)
    grid.check(u)
    return _total(grid.norm(u - truth, order)) / _total(grid.norm(truth, order))


def max_error(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"]) -> Float[Array, ""]:
    """max |u - truth|, in the field's own unit."""
    return jnp.max(jnp.abs(u - truth))


def error_spectrum(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid,
                   bands: int = 12) -> tuple[np.ndarray, Float[Array, " band"], Float[Array, " band"]]:
    """RMS of the error and of the truth by wavenumber band: `(edges (band + 1,), error, truth)`.

    Bands are octave-like (logarithmic) in |k| from 0 to the grid's largest; by Parseval the squares of a row sum to the mean
    square. Needs a Fourier grid.
    """
    k = np.sqrt(np.sum(np.broadcast_arrays(*(w**2 for w in grid.wavenumbers())), axis=0))
    lowest = min(2 * np.pi / b.length for b in grid.bases)
    edges = np.concatenate([[0.0], lowest * np.geomspace(0.5, k.max() / lowest * (1 + 1e-9), bands)])
    band = jnp.asarray(np.clip(np.digitize(k, edges) - 1, 0, bands - 1).ravel())
    multiplicity = np.ones(k.shape) * grid.bases[-1].multiplicity(half=True)  # pyright: ignore[reportAttributeAccessIssue]

    def rms(v: Array) -> Array:
        v_hat = grid.transform(v)
        square = jnp.sum(jnp.real(v_hat) ** 2 + jnp.imag(v_hat) ** 2, axis=-1) * jnp.asarray(multiplicity, v.dtype)
        return jnp.sqrt(jnp.zeros(bands, v.dtype).at[band].add(square.ravel()))

    return edges, rms(u - truth), rms(truth)


def _total(per_channel: Float[Array, " c"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(per_channel**2))
