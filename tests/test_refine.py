"""Active refinement: the solves of a search teach the surrogate."""

import jax.numpy as jnp
import numpy as np
import pytest
from test_surrogates import build

from pdesurr.checks import UsageError
from pdesurr.optimise import refine, trust_region
from pdesurr.train import TrainConfig


def test_what_the_solver_was_asked_teaches_the_surrogate():
    """It leaves out a term that matters where the search goes; the solves on the way there are enough to learn it."""
    surrogate, grid = build(), build().spec.grid
    solve = lambda a: jnp.cos(a)  # noqa: E731
    shape = jnp.asarray(np.cos(grid.nodes), jnp.float32)
    target = solve(2 * shape)

    def truth(c):
        a = c[0] * shape
        u = solve(a)
        return jnp.sum((u - target) ** 2), (a, u)

    def gap(s):
        return float(jnp.linalg.norm(s(2 * shape) - target))

    found = trust_region(lambda c: jnp.sum((surrogate(c[0] * shape) - target) ** 2), truth, jnp.ones(1), radius=0.5, solves=8, has_aux=True)
    assert len(found.found) == found.solves >= 3 and found.verified is not None
    assert found.verified < found.history[0]["truth"]
    a, u = (jnp.stack(v) for v in zip(*found.found, strict=True))
    config = TrainConfig(epochs=60, batch_size=8, learning_rate=1e-2)
    refined = refine(surrogate, a, u, config, rehearsal=(np.asarray(a), np.asarray(u)))
    assert gap(refined) < gap(surrogate) / 2 and refined.spec.errors == {}
    assert refined.spec.training["refined_samples"] == len(a) and refined.spec.input[0].upper >= float(a.max())
    with pytest.raises(UsageError, match="inputs, outputs: expected samples of shapes"):
        refine(surrogate, a[:, :5], u, config)
    with pytest.raises(UsageError, match="config.batch_size: expected at most .* or give a rehearsal"):
        refine(surrogate, a[:2], u[:2], config)
    with pytest.warns(UserWarning, match="after and .* before: take more epochs"):
        zero = jnp.zeros((8, 32, 1))  # the solution nothing is relative to is left out
        refine(surrogate, jnp.concatenate([a, zero]), jnp.concatenate([u, zero]), TrainConfig(epochs=1, batch_size=8, learning_rate=10.0),
               rehearsal=(np.asarray(a), np.asarray(u)))
    with pytest.raises(UsageError, match="rehearsal: expected finite values"):
        refine(surrogate, a, u, config, rehearsal=(a * jnp.nan, u))
    with pytest.raises(UsageError, match="truth: expected with has_aux, a function to a pair"):
        trust_region(lambda c: jnp.sum(c**2), lambda c: jnp.sum(c**2), jnp.ones(1), radius=0.5, has_aux=True)
