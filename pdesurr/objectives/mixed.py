"""Objectives made of others: several at once, and one on the records of an evolution."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pdesurr.checks import require
from pdesurr.models import Records
from pdesurr.types import Batch, Key, Metrics, Model, Objective


@dataclass(frozen=True)
class Mixed:
    """sum_i weight_i objective_i on the same batch: data and physics together,

        Mixed(((1.0, relative_l2), (0.1, SpectralResidual(pde))))

    Metrics: those of all; of two that have one name, the later one's. Raises `UsageError` for no terms or weights not above 0.
    Source of the mixture: Li et al. (arXiv 2111.03794), equation 7.
    """

    terms: tuple[tuple[float, Objective], ...]

    def __post_init__(self):
        require(len(self.terms) > 0 and all(w > 0 for w, _ in self.terms), "terms", "pairs of a weight > 0 and an objective", self.terms)

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        keys = [None] * len(self.terms) if key is None else list(jax.random.split(key, len(self.terms)))
        found = [(weight, *objective(model, batch, k)) for (weight, objective), k in zip(self.terms, keys, strict=True)]
        return sum((w * loss for w, loss, _ in found), jnp.zeros(())), {name: v for _, _, m in found for name, v in m.items()}


@dataclass(frozen=True)
class AtRecords:
    """An objective on the answers at `steps` equal intervals up to the horizon of a model of space and time (see `Records`): how data,
    which hold records, teach or validate a model that is trained on its equation. Metrics: the objective's."""

    objective: Objective
    steps: int

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        return self.objective(Records(model, self.steps), batch, key)
