"""Settings searched for: brackets, rungs, what is better found, a stop in between."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest
from test_train import CONFIG, Tiny, model, run, source

from pdesurr.checks import UsageError
from pdesurr.objectives import relative_l2
from pdesurr.train import Between, TrainConfig, fit, search
from pdesurr.train.search import halving

WHOLE = dataclasses.replace(CONFIG, epochs=9)


def make(key, hidden=8):
    inner, outer = jax.random.split(key)
    return Tiny(jax.random.normal(inner, (3, hidden)), jax.random.normal(outer, (hidden, 1)))


def searched(space=None, config=WHOLE, **more):
    return search(make, source(), relative_l2, config, space or {"learning_rate": Between(1e-5, 1e-1)}, validate=source(8, 1), **more)


def test_brackets_are_those_of_the_paper():
    """Table 1 of Li et al. (2018): R = 81, eta = 3."""
    assert halving(81, 1, 3) == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    assert halving(8, 8, 2) == [(1, 8)]


def test_members_dealt_to_devices_are_the_single_runs():
    config = dataclasses.replace(CONFIG, seed=(0, 1))
    members = jax.tree.map(lambda *v: jax.numpy.stack(v) if eqx.is_array(v[0]) else v[0], model(0), model(1))
    dealt = fit(members, source(), relative_l2, config, validate=source(8, 1), devices=jax.devices()[:2], parallel="members")
    for i in (0, 1):
        alone = run(dataclasses.replace(CONFIG, seed=i), model=model(i))
        for x, y in zip(jax.tree.leaves(dealt.state.params), jax.tree.leaves(alone.state.params), strict=True):
            np.testing.assert_allclose(x[i], y, rtol=0, atol=1e-6)
        np.testing.assert_allclose(dealt.best_metric[i], alone.best_metric, rtol=1e-5)
    with pytest.raises(UsageError, match="divides the 2 members, received 4; give devices=jax.devices"):
        fit(members, source(), relative_l2, config, devices=jax.devices()[:4], parallel="members")
    with pytest.raises(UsageError, match="an ensemble has TrainConfig"):
        run(parallel="members")


def test_the_best_of_a_search_is_trained_in_full_and_better_than_most(tmp_path):
    found = searched(folder=tmp_path)
    rungs = [[t for t in found.trials if t.epochs == e] for e in (1, 3, 9)]
    assert [len(r) for r in rungs] == [9, 3, 1] and found.cost == 27
    assert {t.number for t in rungs[1]} == {t.number for t in sorted(rungs[0], key=lambda t: t.metric)[:3]}
    assert found.best == rungs[2][0] and found.best.metric < np.median([t.metric for t in rungs[0]])
    alone = run(dataclasses.replace(WHOLE, learning_rate=found.best.settings["learning_rate"], seed=found.best.number),
                model=make(jax.random.key(found.best.number)))
    np.testing.assert_allclose(found.best.metric, alone.best_metric, rtol=1e-5)
    for x, y in zip(jax.tree.leaves(found.model), jax.tree.leaves(alone.model), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-6)
    again = searched(folder=tmp_path)  # all of it is there
    assert again.trials == found.trials
    with pytest.raises(Exception, match="holds another run: learning_rate"):
        searched(folder=tmp_path, config=dataclasses.replace(WHOLE, seed=5))


@pytest.mark.slow
def test_hyperband_searches_the_models_own_settings_too():
    space = {"hidden": (4, 8), "weight_decay": Between(0.0, 1e-2, log=False), "learning_rate": Between(1e-3, 1e-1)}
    found = searched(space, dataclasses.replace(WHOLE, epochs=4), eta=2, hyperband=True)
    assert found.best.epochs == 4 and found.best.settings["hidden"] == found.model.inner.shape[1]
    assert [t.epochs for t in found.trials].count(4) == 1 + 1 + 3


@pytest.mark.slow
def test_a_trial_that_diverges_comes_last():
    found = searched({"learning_rate": (3e-3, 1e30)}, dataclasses.replace(WHOLE, epochs=3), trials=4)
    rates = {t.settings["learning_rate"]: t.metric for t in found.trials if t.epochs == 1}
    assert len(rates) == 2 and found.best.settings["learning_rate"] == 3e-3 and rates[1e30] > rates[3e-3]


@pytest.mark.parametrize(("space", "words"), [({}, "at least one setting"), ({"seed": (0, 1)}, "other than seed"),
                                              ({"learning_rate": "fast"}, "a Between or a"), ({"learning_rate": ()}, "a Between or a")])
def test_what_is_no_space_is_refused(space, words):
    with pytest.raises(UsageError, match=words):
        search(make, source(), relative_l2, WHOLE, space, validate=source(8, 1))
    with pytest.raises(UsageError, match="low < high"):
        Between(0.0, 1.0)
    with pytest.raises(UsageError, match="different devices"):
        searched(devices=[])
    with pytest.raises(UsageError, match="fields of TrainConfig and arguments of `make`, received 'lr'"):
        searched({"lr": (1e-3,)})
    with pytest.raises(UsageError, match="one seed"):
        searched(config=TrainConfig(seed=(0, 1)))
