"""What random grid processes are trained by: the evidence of an equation, without a solution, and the likelihood of measured values."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from pdesurr.checks import expected, is_number, require
from pdesurr.fields.jets import Jet
from pdesurr.models.random_grid import RandomGridProcess
from pdesurr.nn.gaussian import LowRankGaussian
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.types import Batch, Key, Metrics


def _is_deviation(value: Any) -> bool:
    """Whether it is a number > 0; of a traced one nothing is known."""
    if isinstance(value, Tracer):
        return True
    return (is_number(value) or eqx.is_inexact_array(value)) and np.ndim(value) == 0 and 0 < float(value) < math.inf


class Evidence(eqx.Module):
    """Minus the evidence's lower bound, a point,

        E_{z, w, x} E_{u ~ alpha} [ log N(r(u, z, w); 0, noise^2) + log beta(z | u, x, w) - log alpha(u | z, w, x) ],

    r the residual of `problem`'s one equation, `text(*u, z=..., w=...)`, at points x of its region, new ones for each sample (`fresh`
    False: the same evenly spread ones for all, a fixed grid); u is one draw of alpha, whose derivatives are carried with its noise held.
    `noise` None is exp(`model.log_noise`), trained with the model. The density of alpha is that of the values before the model's
    `constraint`, which differs by a constant. beta reads u with Gaussian noise of deviation `reading_noise`: that of the measured values
    which z will be found from. The batch's input has `params` z and w, w empty where nothing is known (see `NumberSource`). Metrics:
    `evidence` (of a sample), `residual` (its root mean square). Raises `UsageError` for a problem of more than one term, noise that is
    none, other params, and without a key. Gradients are large at first: `TrainConfig(clip_norm=1e6)`. Source: Vadeboncoeur et al.,
    ICML 2023.
    """

    problem: Problem
    noise: float | Float[Array, ""] | None = 0.01
    fresh: bool = eqx.field(static=True, default=True)
    reading_noise: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require(isinstance(self.problem, Problem), "problem", "a Problem", type(self.problem).__name__)
        terms = list(self.problem.terms.values())
        require(len(terms) == 1 and isinstance(terms[0], Equation), "problem", "one term, an Equation", tuple(self.problem.terms))
        require(self.noise is None or _is_deviation(self.noise), "noise", "None or a number > 0", self.noise)
        require(isinstance(self.fresh, bool), "fresh", "True or False", self.fresh)
        require(is_number(self.reading_noise) and self.reading_noise >= 0, "reading_noise", "a number >= 0", self.reading_noise)

    def __call__(self, model: Any, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        if key is None:
            raise expected("key", "a key, for points and draws", key)
        require(isinstance(model, RandomGridProcess), "model", "a RandomGridProcess", type(model).__name__)
        params = batch.input.params
        require({"z", "w"} <= set(params), "params", "z and w, numbers of each sample, as `draw` of a NumberSource", tuple(params),
                "w = jnp.zeros(0) where no number is known")
        keys = jax.random.split(key, len(batch.input.values))
        bound, squares = jax.vmap(lambda p, k: self.sample(model, p, k))(params, keys)
        points = next(iter(self.problem.terms.values())).points
        return -jnp.mean(bound) / points, {"evidence": jnp.mean(bound), "residual": jnp.sqrt(jnp.mean(squares))}

    def deviation(self, model: RandomGridProcess) -> float | Float[Array, ""]:
        """Of the residual. Raises `UsageError` where neither the objective nor the model has one."""
        require(self.noise is not None or model.log_noise is not None, "noise", "a number > 0, or a model that has log_noise", None)
        return jnp.exp(model.log_noise) if self.noise is None else self.noise  # pyright: ignore[reportArgumentType]

    def sample(self, model: RandomGridProcess, params: dict[str, Array], key: Key) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """(the bound, the mean square of the residual) for one z and w."""
        (name,), (z, w) = self.problem.terms, (params["z"], params["w"])
        point_key, own_key, shared_key, reading_key = jax.random.split(key, 4)
        drawn = (self.problem.draw(point_key) if self.fresh else self.problem.draw(jax.random.key(0), "quasi"))[name]
        x = Jet.coordinates(drawn.points, self.problem.indices(name, params))
        mean, deviation, factors = model.forward.jets(x, jnp.concatenate([z, w]))
        own = jax.random.normal(own_key, mean.value.shape, x.dtype)
        shared = jax.random.normal(shared_key, (model.forward.rank,), x.dtype)
        free = mean + deviation.linear(lambda part: part * own)
        if model.forward.rank:
            free = free + factors.linear(lambda part: part.reshape(*mean.value.shape, -1) @ shared)
        u = model.constraint(x, free, w)
        r = self.problem.evaluate(name, u, drawn, params)
        likelihood = jnp.sum(jax.scipy.stats.norm.logpdf(r, scale=jnp.asarray(self.deviation(model), x.dtype)))
        alpha = LowRankGaussian(mean.value.ravel(), deviation.value.ravel(), factors.value.reshape(mean.value.size, -1))
        beta = model.inverse(u.value + self.reading_noise * jax.random.normal(reading_key, u.value.shape, x.dtype), drawn.points, w)
        return likelihood + beta.log_density(z) - alpha.log_density(free.value.ravel()), jnp.mean(r**2)


class Measured(eqx.Module):
    """Minus the log likelihood of values y that were measured at points `at`, a value,

        - E_{z, w, y} log N(y; u(at), covariance of u(at) + deviation^2), u ~ alpha(u | z, w, at),

    all values of a sample together. The batch's input has `params` z, w and y `(n, channels)`; `deviation` is that of the noise. Add it to
    `Evidence` by `Mixed`; with a `prefix`, "seen_" say, it reads seen_z, seen_w and seen_y, while `Evidence` reads other z and w. Raises
    `UsageError` for values of another shape and missing params. Source: as of `Evidence`, the data-assisted case.
    """

    at: Float[Array, "n d"]
    deviation: float | Float[Array, ""]
    prefix: str = eqx.field(static=True, default="")

    def __check_init__(self):
        require(_is_deviation(self.deviation), "deviation", "a number > 0", self.deviation)

    def __call__(self, model: Any, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        del key
        require(isinstance(model, RandomGridProcess), "model", "a RandomGridProcess", type(model).__name__)
        shape = (len(self.at), model.forward.out_channels)
        params, names = batch.input.params, [self.prefix + name for name in "zwy"]
        sound = all(name in params for name in names) and params[names[2]].shape[1:] == shape
        require(sound, f"params of {', '.join(names)}", f"numbers and measured values, {shape} of each sample",
                {name: v.shape for name, v in params.items()})

        def one(z: Array, w: Array, y: Array) -> Array:
            u = model.field(z, w, self.at)
            noisy = LowRankGaussian(u.mean, jnp.sqrt(u.deviation**2 + jnp.asarray(self.deviation, u.mean.dtype) ** 2), u.factors)
            return noisy.log_density(y.ravel())

        likelihood = jnp.mean(jax.vmap(one)(*(params[name] for name in names)))
        return -likelihood / (shape[0] * shape[1]), {"likelihood": likelihood}
