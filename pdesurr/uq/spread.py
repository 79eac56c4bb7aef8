"""The error of an answer from how much it might have been another: by an ensemble's members, or a last layer that the data leave open."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.checks import expected, require
from pdesurr.fields import Grid
from pdesurr.models import Ensemble
from pdesurr.surrogates import Surrogate
from pdesurr.types import Samples
from pdesurr.uq.conformal import BATCH, Either, answers, check_pairs
from pdesurr.uq.estimates import AbstractEstimate, grid_of_one


class Disagreement(AbstractEstimate):
    """(mean_i ||u_i - u||^2)^(1/2) / ||u||, u_i the answers of the members of a surrogate's `Ensemble` and u their mean. Members share what
    the architecture and the data do wrong, which it does not see. Raises `UsageError` for another model."""

    surrogate: Surrogate

    def __check_init__(self):
        sound = isinstance(self.surrogate.model.model, Ensemble) and self.surrogate.model.model.members > 1
        require(sound, "surrogate", "one whose model is an Ensemble of at least two", type(self.surrogate.model.model).__name__)

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        scaled, grid = self.surrogate.model, grid_of_one(self.surrogate, a, u)
        each = scaled.output.decode(scaled.model.each(Samples(grid, scaled.input.encode(a)), grid))  # pyright: ignore
        return jnp.sqrt(jnp.mean(jax.vmap(lambda v: size(grid, v - u) ** 2)(each))) / size(grid, u)


class LastLayer(AbstractEstimate):
    """||deviation|| / ||u||, the deviation of u at each point under the Laplace approximation of the posterior of one weight W:

        W ~ N(W*, S),   S^-1 = precision + sum_{samples, points} J^T J / noise^2,   J = du / dW,

    exact for a weight that u is linear in, the last layer's. `LastLayer.of` finds noise and precision by the evidence. Source: MacKay,
    Neural Computation 4 (1992); Kristiadi, Hein and Hennig, ICML 2020.
    """

    surrogate: Surrogate
    where: Callable[[Any], Array] = eqx.field(static=True)
    root: Float[Array, "p p"]  # root root^T = S

    @classmethod
    def of(cls, surrogate: Surrogate, where: Callable[[Surrogate], Array], inputs: Float[Either, "n *grid c_in"],
           outputs: Float[Either, "n *grid c"], rounds: int = 20) -> "LastLayer":
        """From training samples. `where` picks the weight: `lambda s: s.model.model.head[-1].weight` of an FNO. Raises `UsageError` for a
        weight of more than 4096 numbers."""
        weight = _picked(surrogate, where)
        require(weight.size <= 4096, "where", "a weight of at most 4096 numbers: the last layer's", weight.shape)
        check_pairs(answers(surrogate, inputs), outputs)
        require(type(rounds) is int and rounds >= 1, "rounds", "a whole number >= 1", rounds)

        @jax.jit
        def sums(a: Array, truth: Array) -> tuple[Array, Array]:
            slopes = jax.vmap(lambda v: _slopes(surrogate, where, v))(a)
            flat = jnp.moveaxis(slopes, 1, -1).reshape(-1, weight.size)
            return jnp.matmul(flat.T, flat, precision="highest"), jnp.sum((surrogate(a) - truth) ** 2)

        gram, squares = np.zeros((weight.size, weight.size)), 0.0
        for i in range(0, len(inputs), BATCH):
            g, s = sums(jnp.asarray(inputs[i : i + BATCH]), jnp.asarray(outputs[i : i + BATCH]))
            gram, squares = gram + np.asarray(g, np.float64), squares + float(s)
        values, vectors = np.linalg.eigh(gram)
        values, count, norm = np.maximum(values, 0.0), np.size(outputs), float(jnp.sum(weight**2))
        noise, precision = squares / count, weight.size / norm
        for _ in range(rounds):
            known = float(np.sum(values / noise / (values / noise + precision)))
            precision, noise = known / norm, squares / max(count - known, 1.0)
        return cls(surrogate, where, jnp.asarray(vectors / np.sqrt(values / noise + precision), weight.dtype))

    def __call__(self, a: Float[Array, "*grid c_in"], u: Float[Array, "*grid c"]) -> Float[Array, ""]:
        grid = grid_of_one(self.surrogate, a, u)
        spread = jnp.tensordot(self.root.T, _slopes(self.surrogate, self.where, a), axes=1)
        return size(grid, jnp.sqrt(jnp.sum(spread**2, axis=0))) / size(grid, u)


def _picked(surrogate: Any, where: Any) -> Array:
    """The weight; `UsageError` where there is none."""
    require(isinstance(surrogate, Surrogate), "surrogate", "a Surrogate, first", type(surrogate).__name__)
    require(callable(where), "where", "a function of the surrogate that picks a weight, second", type(where).__name__)
    try:
        weight = where(surrogate)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise expected("where", f"a function that picks a weight of {type(surrogate.model.model).__name__}", str(error)) from error
    require(eqx.is_inexact_array(weight), "where", "a function that picks one weight", type(weight).__name__)
    return weight


def _slopes(surrogate: Surrogate, where: Callable[[Any], Array], a: Array) -> Float[Array, "p *grid c"]:
    """du / dW: one forward derivative a number of W."""
    weight = where(surrogate)
    _, along = jax.linearize(lambda w: eqx.tree_at(where, surrogate, w)(a), weight)
    return jax.vmap(lambda e: along(e.reshape(weight.shape)))(jnp.eye(weight.size, dtype=weight.dtype))


def size(grid: Grid, v: Float[Array, "*grid c"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(grid.norm(v) ** 2))
