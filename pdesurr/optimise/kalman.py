"""Inverse problems without gradients: an ensemble of guesses that Kalman's formula moves towards the data."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import DivergedError, require
from pdesurr.types import Key


class EnsembleKalman(eqx.Module):
    """Ensemble Kalman inversion of y = G(x) + noise, noise ~ N(0, covariance): ask for the ensemble, tell what G gave.

        x_j += C_xG (C_GG + covariance / dt)^-1 (y + e_j - G(x_j)),   e_j ~ N(0, covariance / dt)

    with covariances over the ensemble. Started from draws of a Gaussian prior and run for a pseudo-time of 1 (the sum of the dt) a linear
    G gives the posterior in the limit of many members; a nonlinear one only something like it. x stays in the span of the first ensemble:
    take at least ten members a parameter, or draw them from a prior that decays. dt is the ensemble's own: the size at which the misfit
    tells most (see `tell`), the last cut to end at 1.

    `members` `(j, p)` of parameters that may take any real value; `y` `(d,)`; `covariance` `(d,)` of independent noise, or `(d, d)`.
    Source: Iglesias, Law and Stuart, Inverse Problems 29 (2013); adaptive dt: Iglesias and Yang, Inverse Problems 37 (2021).
    """

    members: Float[Array, "j p"]
    y: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    time: Float[Array, ""]

    def __init__(self, members: Float[Array, "j p"], y: Float[Array, " d"], covariance: Float[Array, "..."]):
        members, y, covariance = (jnp.asarray(v) for v in (members, y, covariance))
        require(members.ndim == 2 and len(members) >= 2, "members", "an array (members, parameters), at least two", members.shape)
        require(y.ndim == 1, "y", "an array (data,)", y.shape)
        full = jnp.diag(covariance) if covariance.ndim == 1 else covariance
        require(full.shape == (y.size, y.size), "covariance", f"shape ({y.size},) or ({y.size}, {y.size})", covariance.shape)
        require(bool(jnp.all(jnp.isfinite(members)) & jnp.all(jnp.isfinite(y))), "members, y", "finite numbers", "NaN or infinity")
        positive = bool(jnp.all(full == full.T) & jnp.all(jnp.isfinite(jnp.linalg.cholesky(full))))
        require(positive, "covariance", "variances > 0, or a symmetric positive definite matrix", covariance.tolist())
        self.members, self.y, self.covariance, self.time = members, y, full, jnp.zeros((), members.dtype)

    @property
    def done(self) -> bool:
        """Whether the pseudo-time has come to 1."""
        return bool(self.time >= 1 - 1e-6)

    def ask(self) -> Float[Array, "j p"]:
        """The members at which G is wanted."""
        return self.members

    def tell(self, found: Float[Array, "j d"], key: Key) -> "EnsembleKalman":
        """The ensemble after a step (itself once `done`). Members whose G is not finite are drawn anew from the normal law of the others
        after it; dt is chosen from the misfits
        Phi_j = |y - G_j|^2 / 2 (in units of the noise): min(max(d / (2 mean Phi), (d / (2 var Phi))^(1/2)), what is left to 1).
        Raises `DivergedError` where fewer than two are finite."""
        require(found.shape == (len(self.members), self.y.size), "found", f"shape {(len(self.members), self.y.size)}", found.shape)
        if self.done:
            return self
        fine = jnp.all(jnp.isfinite(found), axis=1)
        if int(jnp.sum(fine)) < 2:
            raise DivergedError("fewer than two members of the ensemble have finite predictions; narrow the prior")
        members, time = _moved(self, found, fine, key)
        return eqx.tree_at(lambda e: (e.members, e.time), self, (members, time))


@jax.jit
def _moved(e: EnsembleKalman, found: Array, fine: Array, key: Key) -> tuple[Array, Array]:
    key, anew = jax.random.split(key)
    w = fine.astype(found.dtype)
    w = w / jnp.sum(w)
    g = jnp.where(fine[:, None], found, 0.0)
    dg = jnp.where(fine[:, None], g - (w @ g)[None], 0.0)
    dx = e.members - (w @ e.members)[None]
    root = jnp.linalg.cholesky(e.covariance)
    misfit = jnp.sum(jax.scipy.linalg.solve_triangular(root, (e.y[None] - g).T, lower=True) ** 2, axis=0) / 2
    mean = w @ misfit
    spread = w @ (misfit - mean) ** 2
    half, tiny = e.y.size / 2, jnp.finfo(found.dtype).tiny
    dt = jnp.minimum(jnp.maximum(half / jnp.maximum(mean, tiny), jnp.sqrt(half / jnp.maximum(spread, tiny))), 1 - e.time)
    noise = jax.random.normal(key, found.shape, found.dtype) @ root.T / jnp.sqrt(dt)
    gain = jnp.linalg.solve((dg * w[:, None]).T @ dg + e.covariance / dt, (dg * w[:, None]).T @ dx)
    moved = e.members + (e.y[None] + noise - g) @ gain
    centre = w @ moved
    drawn = centre[None] + jax.random.normal(anew, (len(g), len(g)), g.dtype) @ (jnp.sqrt(w)[:, None] * (moved - centre[None]))
    return jnp.where(fine[:, None], moved, drawn), e.time + dt


def invert(forward: Callable[[Array], Array], ensemble: EnsembleKalman, *, key: Key, steps: int = 50) -> EnsembleKalman:
    """`tell` with `forward`, one member's G (a jax function; others by `ask` and `tell`), on all at once, until the pseudo-time is 1.
    Raises `DivergedError` if that takes more than `steps` steps: the data are too far from what the prior allows, or the noise stated is
    too small."""
    batched = jax.jit(lambda members: lax.map(forward, members, batch_size=32))
    for one in jax.random.split(key, steps):
        if ensemble.done:
            return ensemble
        ensemble = ensemble.tell(batched(ensemble.ask()), one)
    if ensemble.done:
        return ensemble
    raise DivergedError(f"pseudo-time {float(ensemble.time):.2g} of 1 after {steps} steps: the data are far from what the prior allows, "
                        "or the noise is stated too small")
