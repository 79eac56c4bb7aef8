"""Ensembles and last layers: what their members say, the posterior's closed form, and bundles that hold them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.models import FNO, NSM, Ensemble, InitialValue
from pdesurr.objectives import SpectralResidual
from pdesurr.pdes import Burgers, ReactionDiffusion
from pdesurr.surrogates import Channel, Spec, Surrogate, load_surrogate, save_surrogate
from pdesurr.types import Batch, Samples
from pdesurr.uq import Disagreement, LastLayer, Residual
from pdesurr.uq.spread import _slopes

PDE = Burgers(nu=0.5)
GRID = PDE.grid(16)


def fno(seed, width=6):
    return FNO(1, 1, (4,), width, 2, head_width=5, key=jax.random.key(seed))


def surrogate(model):
    channel = lambda t: (Channel("u", t, "1", -4.0, 4.0),)  # noqa: E731
    spec = Spec("Burgers", PDE.parameters, GRID, channel(0.0), channel(1.0), (0.1, 9.0), {}, {}, {}, None)
    return Surrogate(Scaled(model, ChannelScaler((0.0,), (1.1,)), ChannelScaler((0.2,), (0.9,))), spec)


def inputs(n):
    return jax.vmap(lambda k: PDE.sample(k, GRID))(jax.random.split(jax.random.key(1), n))


def weight(s):
    return s.model.model.head[-1].weight


def test_an_ensemble_is_the_mean_of_its_members():
    members = [fno(i) for i in range(3)]
    whole, a = Ensemble.of(members), Samples(GRID, inputs(1)[0])
    answer = eqx.filter_jit(lambda m, a: m(a, None))
    each = jnp.stack([answer(m, a) for m in members])
    np.testing.assert_allclose(eqx.filter_jit(lambda m, a: m.each(a))(whole, a), each, atol=1e-6)
    np.testing.assert_allclose(answer(whole, a), jnp.mean(each, axis=0), atol=1e-6)
    np.testing.assert_array_equal(answer(whole.member(2), a), each[2])
    for bad in (lambda: Ensemble.of([]), lambda: Ensemble.of([fno(0), fno(1, width=4)]), lambda: Ensemble(fno(0), 0)):
        with pytest.raises(UsageError):
            bad()


def test_a_bundle_keeps_every_member(tmp_path):
    ours = surrogate(Ensemble.of([fno(i) for i in range(2)]))
    save_surrogate(ours, tmp_path / "both")
    theirs = load_surrogate(tmp_path / "both")
    a = inputs(2)
    np.testing.assert_array_equal(theirs(a), ours(a))
    np.testing.assert_array_equal(Disagreement(theirs)(a[0], theirs(a[0])), Disagreement(ours)(a[0], ours(a[0])))


def test_disagreement_is_the_members_deviation_in_physical_units():
    ours, a = surrogate(Ensemble.of([fno(i) for i in range(3)])), inputs(1)[0]
    each = np.stack([surrogate(fno(i))(a) for i in range(3)])
    wanted = np.sqrt(np.mean((each - each.mean(0)) ** 2) / np.mean(each.mean(0) ** 2))
    np.testing.assert_allclose(Disagreement(ours)(a, ours(a)), wanted, rtol=1e-4)
    alike = surrogate(Ensemble(fno(0), 2))
    assert Disagreement(alike)(a, alike(a)) < 1e-6
    with pytest.raises(UsageError, match="an Ensemble of at least two"):
        Disagreement(surrogate(fno(0)))


def test_the_last_layers_posterior_is_its_closed_form():
    ours, a = surrogate(fno(0)), inputs(12)
    truth = ours(a) + 0.1 * jax.random.normal(jax.random.key(2), (12, 16, 1))
    found = LastLayer.of(ours, weight, a, truth)
    slopes = np.concatenate([np.asarray(_slopes(ours, weight, v)).reshape(weight(ours).size, -1).T for v in a])
    inverse = np.linalg.inv(np.asarray(found.root, np.float64) @ np.asarray(found.root, np.float64).T)
    gram = slopes.T @ slopes
    # S^-1 - gram / noise^2 is a multiple of the identity, for the one noise, which the truth was given.
    rest = inverse - gram / 0.01
    np.testing.assert_allclose(np.trace(gram) / np.trace(inverse), 0.01, rtol=0.2)
    assert np.linalg.norm(rest) < 0.2 * np.linalg.norm(inverse)
    one = np.asarray(_slopes(ours, weight, a[0])).reshape(weight(ours).size, -1)
    deviation = np.sqrt(np.sum(one * (np.linalg.inv(inverse) @ one), axis=0))
    u = np.asarray(ours(a[0])).ravel()
    np.testing.assert_allclose(found(a[0], ours(a[0])), np.linalg.norm(deviation) / np.linalg.norm(u), rtol=1e-3)


def test_the_slopes_are_those_of_a_layer_that_the_answer_is_linear_in():
    import equinox as eqx

    ours, a = surrogate(fno(0)), inputs(1)[0]
    change = jax.random.normal(jax.random.key(3), weight(ours).shape)
    moved = eqx.tree_at(weight, ours, weight(ours) + change)
    np.testing.assert_allclose(moved(a) - ours(a), jnp.tensordot(change.ravel(), _slopes(ours, weight, a), axes=1), atol=1e-4)
    with pytest.raises(UsageError, match="at most 4096"):
        LastLayer.of(ours, lambda s: jnp.zeros(5000), inputs(2), inputs(2))
    for where, words in ((lambda s: s.model.nothing, "that picks a weight of FNO"), (lambda s: None, "that picks one weight"),
                         (lambda s: (weight(s),), "that picks one weight")):
        with pytest.raises(UsageError, match=words):
            LastLayer.of(ours, where, inputs(2), inputs(2))  # pyright: ignore[reportArgumentType]


def test_the_residual_of_an_evolution_is_its_objectives_relative_to_the_end():
    pde = ReactionDiffusion(nu=0.05)
    grid, objective = pde.grid(16), SpectralResidual(pde, time=8)
    channel = lambda t: (Channel("u", t, "1", 0.0, 1.0),)  # noqa: E731
    spec = Spec("ReactionDiffusion", pde.parameters, grid, channel(0.0), channel(1.0), (0.1, 9.0), {}, {}, {}, None)
    model = InitialValue(NSM(1, 1, (8,), 6, 1, time=5, key=jax.random.key(0)))
    same = ChannelScaler((0.0,), (1.0,))
    ours, a = Surrogate(Scaled(model, same, same), spec), pde.sample(jax.random.key(1), grid)
    loss, _ = objective(model, Batch(Samples(grid, a[None]), Samples(grid, a[None])), None)
    u = ours(a)
    np.testing.assert_allclose(Residual(ours, objective)(a, u), np.sqrt(loss / np.mean(np.square(u))), rtol=1e-4)
    with pytest.raises(UsageError, match="SpectralResidual"):
        Residual(ours, pde)
