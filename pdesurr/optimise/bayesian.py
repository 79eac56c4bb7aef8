"""Bayesian optimisation: the true solver is asked where the surrogate may be beaten most, and a Gaussian process learns how it errs."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.optimise.doors import check_scalar
from pdesurr.types import Key

CANDIDATES, TRIALS = 2000, 256
def nugget(dtype: Any) -> float:
    """What is added to the kernel's diagonal, relative: above what rounding does to a factorisation."""
    return max(1e-6, 1e3 * float(jnp.finfo(dtype).eps))


class BayesianSearch(eqx.Module):
    """The least of f(x) over a box, f expensive, no gradients: ask for points, tell what f gave there.

        f(x) = s(x) + g(x),   g ~ GP(0, a^2 e(x) e(x') exp(-sum_k (x_k - x'_k)^2 / (2 l_k^2)))

    s the `objective` by a surrogate, e its own uncertainty `spread` (one if None: the disagreement of an ensemble in s, say), so that the
    search distrusts s where s does; a and l the most probable of a few hundred tried, given what was told. `ask` gives the points of
    largest expected improvement, one after the other, each taken to be what the process expects of it. Both functions are jax functions of
    x `(p,)`; f is whatever the caller does. Source: Jones, Schonlau and Welch, J. Global Optim. 13 (1998); the surrogate as mean: Kennedy
    and O'Hagan, Biometrika 87 (2000); several points: Ginsbourger, Le Riche and Carraro (2010).
    """

    objective: Callable[[Array], Array] = eqx.field(static=True)
    spread: Callable[[Array], Array] | None = eqx.field(static=True)
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]
    x: Float[Array, "n p"]
    f: Float[Array, " n"]

    def __init__(self, objective: Callable[[Array], Array], lower: Any, upper: Any, *, spread: Callable[[Array], Array] | None = None):
        self.lower, self.upper = (jnp.asarray(v, jnp.result_type(float)) for v in (lower, upper))
        sound = self.lower.ndim == 1 and self.lower.shape == self.upper.shape
        require(sound and bool(jnp.all(jnp.isfinite(self.upper - self.lower) & (self.lower < self.upper))), "lower, upper",
                "two arrays (p,), one number a parameter, finite, lower < upper", (lower, upper))
        check_scalar(objective, self.lower, "objective")
        if spread is not None:
            check_scalar(spread, self.lower, "spread")
        self.objective, self.spread = objective, spread
        self.x, self.f = jnp.zeros((0, self.lower.size)), jnp.zeros(0)

    @property
    def best(self) -> tuple[Float[Array, " p"], float]:
        """The point with the least f that was told. Raises `UsageError` before any."""
        require(len(self.f) > 0, "search", "at least one told point", 0, "tell returns a new search: search = search.tell(x, f)")
        i = int(jnp.argmin(self.f))
        return self.x[i], float(self.f[i])

    def tell(self, x: Float[Array, "k p"], f: Float[Array, " k"]) -> "BayesianSearch":
        """With k more values of f. Where f is not finite (a solver that diverged) the point counts as the worst so far. Raises `UsageError`
        for shapes that do not fit, and where no value is finite yet."""
        x, f = jnp.asarray(x, self.x.dtype), jnp.asarray(f, self.f.dtype)
        require(x.ndim == 2 and x.shape == (f.size, self.lower.size) and f.ndim == 1, "x, f", f"(k, {self.lower.size}) and (k,)",
                (x.shape, f.shape))
        slack = 1e-6 * (self.upper - self.lower)
        inside = bool(jnp.all((x >= (self.lower - slack)[None]) & (x <= (self.upper + slack)[None])))
        require(inside, "x", "points within the box", x.tolist())
        every = jnp.concatenate([self.f, f])
        fine = jnp.isfinite(every)
        require(bool(jnp.any(fine)), "f", "at least one finite value", f.tolist())
        worst = jnp.max(jnp.where(fine, every, -jnp.inf))
        return eqx.tree_at(lambda s: (s.x, s.f), self, (jnp.concatenate([self.x, x]), jnp.where(fine, every, worst)))

    def ask(self, key: Key, count: int = 1) -> Float[Array, "count p"]:
        """Points at which f is wanted; the first of all where the surrogate is least."""
        require(type(count) is int and count >= 1, "count", "a whole number >= 1", count)
        now, found, kernel = self, [], _fitted(*self._padded)
        for one in jax.random.split(key, count):
            x, mean = _chosen(*now._padded, kernel, one)
            found.append(x)
            now = now.tell(x[None], mean[None])
        return jnp.stack(found)

    @property
    def _padded(self) -> tuple["BayesianSearch", Float[Array, " m"]]:
        """The same with its points filled up to a multiple of 16, and 1 where a point was told: compiled anew every 16 points only."""
        n = len(self.f)
        more = 16 - n % 16
        filled = jnp.concatenate([self.x, jnp.broadcast_to(self.lower[None], (more, self.lower.size))]), jnp.pad(self.f, (0, more))
        return eqx.tree_at(lambda s: (s.x, s.f), self, filled), jnp.pad(jnp.ones(n, self.f.dtype), (0, more))

    def errors(self, x: Float[Array, "m p"]) -> Float[Array, " m"]:
        """e."""
        return jnp.ones(len(x), x.dtype) if self.spread is None else jnp.maximum(jax.vmap(self.spread)(x), 1e-12)

    def kernel(self, x: Array, z: Array, kernel: Array) -> Float[Array, "m n"]:
        """The covariance of g, `kernel` being log a and log l in widths of the box."""
        scaled = (x[:, None] - z[None]) / ((self.upper - self.lower) * jnp.exp(kernel[1:]))[None, None]
        near = jnp.exp(2 * kernel[0] - jnp.sum(scaled**2, axis=-1) / 2)
        return near * self.errors(x)[:, None] * self.errors(z)[None, :]

    def root(self, known: Float[Array, " n"], kernel: Array) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
        """The Cholesky factor of the told points' covariance (the identity's for the others), and f - s there."""
        k = self.kernel(self.x, self.x, kernel) * known[:, None] * known[None]
        diagonal = jnp.diagonal(k)
        gap = jnp.where(known > 0, self.f - jax.vmap(self.objective)(self.x), 0.0)
        return jnp.linalg.cholesky(k + jnp.diag(nugget(k.dtype) * diagonal + 1 - known)), gap

    def expected(self, x: Float[Array, "m p"], known: Float[Array, " n"], kernel: Array) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Mean and deviation of f."""
        root, gap = self.root(known, kernel)
        across = self.kernel(x, self.x, kernel) * known[None]
        own = jnp.exp(2 * kernel[0]) * self.errors(x) ** 2
        left = own - jnp.sum(solve_triangular(root, across.T, lower=True) ** 2, axis=0)
        return jax.vmap(self.objective)(x) + across @ cho_solve((root, True), gap), jnp.sqrt(jnp.maximum(left, 0.0))


@eqx.filter_jit
def _fitted(search: BayesianSearch, known: Float[Array, " n"]) -> Float[Array, " q"]:
    """Log a and log l: the most probable of `TRIALS`, l log-normal about a third of the box."""
    _, gap = search.root(known, jnp.zeros(1 + search.lower.size, known.dtype))
    count = jnp.maximum(jnp.sum(known), 1.0)
    size = jnp.sqrt(jnp.sum((gap / search.errors(search.x)) ** 2) / count)
    centre = jnp.log(jnp.where(jnp.sum(known) > 0, jnp.maximum(size, 1e-6), 1.0))
    drawn = jax.random.normal(jax.random.key(0), (TRIALS, 1 + search.lower.size), known.dtype)
    tried = drawn + jnp.concatenate([centre[None], jnp.full(search.lower.size, math.log(0.3), known.dtype)])[None]

    def unlikely(kernel: Array) -> Array:
        root, gap = search.root(known, kernel)
        prior = jnp.sum((kernel[1:] - math.log(0.3)) ** 2) / 2
        return jnp.sum(solve_triangular(root, gap, lower=True) ** 2) / 2 + jnp.sum(jnp.log(jnp.diagonal(root))) + prior

    return tried[jnp.nanargmin(jax.lax.map(unlikely, tried))]


@eqx.filter_jit
def _chosen(search: BayesianSearch, known: Float[Array, " n"], kernel: Array, key: Key) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    """The candidate of largest expected improvement, with its mean: of half over the box, half about the best point, near and far."""
    over, about, far = jax.random.split(key, 3)
    p, dtype, any_told = search.lower.size, known.dtype, jnp.sum(known) > 0
    lower, width = search.lower[None], (search.upper - search.lower)[None]
    told = jnp.where(known > 0, search.f, jnp.inf)
    best = jnp.where(any_told, search.x[jnp.argmin(told)], search.lower + width[0] / 2)
    wide = lower + width * jax.random.uniform(over, (CANDIDATES, p), dtype)
    size = jnp.exp(jax.random.uniform(far, (CANDIDATES, 1), dtype, math.log(1e-3), 0.0))
    near = jnp.clip(best[None] + size * width * jax.random.normal(about, (CANDIDATES, p), dtype), lower, search.upper[None])
    candidates = jnp.concatenate([wide, near])
    mean, deviation = search.expected(candidates, known, kernel)
    worth = jnp.where(any_told, improvement(mean, deviation, jnp.where(any_told, jnp.min(told), 0.0)), -mean)
    chosen = jnp.argmax(worth)
    return candidates[chosen], mean[chosen]


def improvement(mean: Array, deviation: Array, least: Array) -> Array:
    """E max(least - f, 0) for a normal f."""
    s = jnp.maximum(deviation, 1e-12 * (1 + jnp.abs(least)))
    z = (least - mean) / s
    return (least - mean) * jax.scipy.stats.norm.cdf(z) + s * jax.scipy.stats.norm.pdf(z)
