"""What a step of the optimisers is, and that the engine trains with any of them."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import TypeCheckError

from pdesurr.checks import UsageError
from pdesurr.data.sources import ArraySource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainConfig, fit, muon

CONFIG = TrainConfig(epochs=2, batch_size=8, learning_rate=1e-2, optimiser="muon")


class Pointwise(eqx.Module):
    """A perceptron of a node's value with one square matrix in it."""

    layers: list[eqx.nn.Linear]

    def __init__(self, seed):
        sizes = (1, 8, 8, 1)
        keys = jax.random.split(jax.random.key(seed), 3)
        self.layers = [eqx.nn.Linear(i, o, key=k) for i, o, k in zip(sizes[:-1], sizes[1:], keys, strict=True)]

    def __call__(self, a, x=None, *, key=None):
        v = a.values
        for layer in self.layers[:-1]:
            v = jnp.tanh(jax.vmap(layer)(v))
        return jax.vmap(self.layers[-1])(v)


def source():
    a = jax.random.normal(jax.random.key(0), (16, 8, 1))
    return ArraySource(a, a**2, Grid([FourierBasis(8)]))


def stacked(*models):
    return jax.tree.map(lambda *v: jnp.stack(v) if eqx.is_array(v[0]) else v[0], *models)


def trained(config=CONFIG, model=None, devices=1, **more):
    result = fit(model or Pointwise(0), source(), relative_l2, config, devices=jax.devices()[:devices], **more)
    return [np.asarray(v) for v in jax.tree.leaves(eqx.filter(result.state.params, eqx.is_array))]


def second_step(optimiser, gradient, params) -> Any:
    """The first has the rate zero, at which the schedule begins."""
    state = optimiser.init(params)
    with jax.numpy_dtype_promotion("standard"):
        _, state = optimiser.update(gradient, state, params)
        return optimiser.update(gradient, state, params)[0]


def test_muon_steps_have_singular_values_near_one():
    """Per pair of channel axes, in the singular vectors of the gradient; Newton-Schulz products leave values about one, not at it."""
    keys = jax.random.split(jax.random.key(0), 3)
    gradient = {"matrix": jax.random.normal(keys[0], (3, 16, 8)), "bias": jnp.linspace(-1.0, 1.0, 16), "thin": jnp.ones((16, 2))}
    params = jax.tree.map(jnp.zeros_like, gradient)
    step, plain = (second_step(o, gradient, params) for o in (muon(100, warmup=0.0, weight_decay=0.0), optax.nadamw(1.0, weight_decay=0.0)))
    for g, s in zip(gradient["matrix"], step["matrix"], strict=True):
        u, _, v = np.linalg.svd(g, full_matrices=False)
        turned = -u.T @ np.asarray(s) @ v.T / (0.2 * 16**0.5)
        np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-4)
        assert np.diag(turned).min() > 0.6 and np.diag(turned).max() < 1.3
    for name in ("bias", "thin"):
        np.testing.assert_allclose(step[name], plain[name], rtol=1e-5)


def test_muon_trains_on_any_devices_as_members_and_resumes(tmp_path):
    alone = trained()
    members = trained(dataclasses.replace(CONFIG, seed=(0, 0)), stacked(Pointwise(0), Pointwise(1)))
    for other in (trained(devices=4), [v[0] for v in members]):
        for a, b in zip(alone, other, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)
    for _ in range(2):  # to its end, then from its last checkpoint
        for a, b in zip(alone, trained(folder=tmp_path), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.allclose(alone[0], trained(dataclasses.replace(CONFIG, optimiser="adamw"))[0], atol=1e-3)


def test_an_optimiser_of_ones_own_keeps_its_rate():
    """The config's rate does not multiply it, and the result says whose it was."""
    own = optax.chain(muon(4, warmup=CONFIG.warmup, weight_decay=CONFIG.weight_decay, clip_norm=CONFIG.clip_norm), optax.scale(1e-2))
    for a, b in zip(trained(), trained(dataclasses.replace(CONFIG, learning_rate=1e-5), optimiser=own), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    named = lambda o: fit(Pointwise(0), source(), relative_l2, CONFIG, devices=jax.devices()[:1], optimiser=o).optimiser  # noqa: E731
    assert (named(None), named(own)) == ("muon", "own")


def test_an_unknown_optimiser_is_refused():
    with pytest.raises((UsageError, TypeCheckError), match="adamw.*muon"):
        TrainConfig(optimiser="sgd")  # pyright: ignore[reportArgumentType]
