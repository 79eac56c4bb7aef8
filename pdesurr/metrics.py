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


def stepwise_l2(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid, components: int = 1) -> Float[Array, " steps"]:
    """||u_k - truth_k||_L2 / ||truth_k||_L2 of each record of an evolution, whose channels are record after record of `components`."""
    require(u.shape == truth.shape, "u", f"the truth's shape {truth.shape}", u.shape)
    require(u.shape[-1] % components == 0, "u", f"whole records of {components} channels", u.shape)
    grid.check(u)
    square = lambda v: jnp.sum(grid.integral(v**2).reshape(-1, components), axis=1)  # noqa: E731
    return jnp.sqrt(square(u - truth)) / jnp.sqrt(square(truth))


def relative(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid, order: int) -> Float[Array, ""]:
    """The relative error in the Sobolev norm of that order (0 or 1)."""
    require(u.shape == truth.shape, "u", f"the truth's shape {truth.shape}", u.shape)
    grid.check(u)
    return _total(grid.norm(u - truth, order)) / _total(grid.norm(truth, order))


def max_error(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"]) -> Float[Array, ""]:
    """max |u - truth|, in the field's own unit."""
    return jnp.max(jnp.abs(u - truth))


def spectrum_edges(grid: Grid, bands: int = 12) -> Float[np.ndarray, " edge"]:
    """Edges of wavenumber bands, logarithmic in |k| from the box's lowest to the grid's largest; the first band holds k = 0."""
    lowest = min(2 * np.pi / b.length for b in grid.bases)
    return np.concatenate([[0.0], lowest * np.geomspace(0.5, _modulus(grid).max() / lowest * (1 + 1e-9), bands)])


def error_spectrum(u: Float[Array, "*grid c"], truth: Float[Array, "*grid c"], grid: Grid,
                   bands: int = 12) -> tuple[Float[Array, " band"], Float[Array, " band"]]:
    """RMS of the error and of the truth in each band of `spectrum_edges`; by Parseval the squares sum to the mean square.

    Needs wavenumbers on every axis: Fourier, sine or cosine.
    """
    band = jnp.asarray(np.clip(np.digitize(_modulus(grid), spectrum_edges(grid, bands)) - 1, 0, bands - 1).ravel())
    multiplicity = grid.multiplicity()

    def rms(v: Array) -> Array:
        v_hat = grid.transform(v)
        square = jnp.sum(jnp.real(v_hat) ** 2 + jnp.imag(v_hat) ** 2, axis=-1) * jnp.asarray(multiplicity, v.dtype)
        return jnp.sqrt(jnp.zeros(bands, v.dtype).at[band].add(square.ravel()))

    return rms(u - truth), rms(truth)


def _modulus(grid: Grid) -> Float[np.ndarray, "*grid_hat"]:
    return np.sqrt(np.sum(np.broadcast_arrays(*(w**2 for w in grid.wavenumbers())), axis=0))


def _total(per_channel: Float[Array, " c"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(per_channel**2))
