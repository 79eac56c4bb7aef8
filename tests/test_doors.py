"""Other people's frames around a surrogate: SciPy, Flax NNX, Optax, PyTorch's autograd, an exported program, BlackJAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from test_surrogates import build

import pdesurr
from pdesurr.checks import DivergedError, UsageError
from pdesurr.models.flax import as_nnx
from pdesurr.optimise import posterior, scipy_functions, torch_function
from pdesurr.surrogates.deploy import deployed

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def surrogate():
    return pdesurr.load("burgers-fno")


def test_an_exported_copy_answers_and_differentiates_as_the_surrogate(surrogate):
    pytest.importorskip("flatbuffers")
    copy = jax.export.deserialize(bytearray(deployed(surrogate, (64,))))
    a = jax.random.normal(KEY, (3, 64, 1))
    np.testing.assert_allclose(copy.call(a), surrogate(a), atol=1e-6)
    np.testing.assert_allclose(copy.call(a[:1]), surrogate(a[:1]), atol=1e-6)  # any number of samples
    slope = lambda f: jax.grad(lambda v: jnp.mean(f(v) ** 2))(a)  # noqa: E731
    np.testing.assert_allclose(slope(copy.call), slope(surrogate), atol=1e-8)
    wrong: tuple[dict[str, Any], ...] = ({"platforms": ("tape",)}, {"platforms": ()}, {"derivatives": 3})
    for bad in wrong:
        with pytest.raises(UsageError):
            deployed(surrogate, **bad)
    with pytest.raises(UsageError, match="shape"):
        deployed(surrogate, (64, 64))


def test_pytorchs_autograd_gets_our_gradient(surrogate):
    torch = pytest.importorskip("torch")
    a = torch.randn(2, 64, 1, requires_grad=True)
    torch_function(surrogate)(a).square().mean().backward()
    ours = jax.grad(lambda v: jnp.mean(surrogate(v) ** 2))(jnp.asarray(a.detach().numpy()))
    np.testing.assert_allclose(a.grad.numpy(), ours, atol=1e-8)
    with pytest.raises(UsageError, match="enable_x64"):
        torch_function(surrogate)(a.double())
    with pytest.raises(UsageError, match="float tensors"):
        torch_function(surrogate)(np.ones((64, 1)))


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **_: COMPILED.append(event) if event.endswith("backend_compile_duration") else None)


def by_scipy(J, a):
    fun, jac, _ = scipy_functions(J, a)
    return lambda x: (fun(x), jac(x))


def by_nnx(J, a):
    class Inside(nnx.Module):
        def __init__(self, part):
            self.part = part

        def __call__(self, v):
            return jnp.mean(self.part(v) ** 2)

    del J
    module = Inside(as_nnx(build()))
    both = nnx.jit(lambda m, v: jax.value_and_grad(m)(v))
    return lambda x: both(module, jnp.asarray(x).reshape(a.shape))


def by_torch(J, a):
    torch = pytest.importorskip("torch")
    door = torch_function(J)

    def both(x):
        v = torch.tensor(x.reshape(a.shape), requires_grad=True)
        value = door(v)
        value.backward()
        return float(value.detach()), v.grad.numpy()

    return both


def by_optax(J, a):
    both = jax.jit(optax.value_and_grad_from_state(J))
    state = optax.lbfgs().init(a)
    return lambda x: both(jnp.asarray(x).reshape(a.shape), state=state)


@pytest.mark.parametrize("door", [by_scipy, by_nnx, by_torch, by_optax])
def test_every_door_passes_the_taylor_test_and_compiles_once(door):
    """What is left of J(x + h d) after its value, its slope by the door's gradient, and its curvature falls at rates 1, 2 and 3."""
    with jax.enable_x64(True):
        surrogate = build()
        J, a = lambda v: jnp.mean(surrogate(v) ** 2), jax.random.normal(KEY, (32, 1))
        both, x, d = door(J, a), np.asarray(a).ravel(), np.asarray(jax.random.normal(jax.random.key(1), (32,)))
        value, slope = both(x)[0], np.asarray(both(x)[1]).ravel() @ d
        bend = d @ np.asarray(jax.jvp(jax.grad(J), (a,), (jnp.asarray(d).reshape(a.shape),))[1]).ravel()
        known = len(COMPILED)
        h = 0.02 / 2.0 ** np.arange(4)
        change = np.array([float(both(x + s * d)[0]) for s in h]) - float(value)
        assert len(COMPILED) == known
        for order, left in enumerate((change, change - h * slope, change - h * slope - h**2 / 2 * bend), 1):
            assert np.min(np.log2(np.abs(left[:-1] / left[1:]))) > order - 0.15  # a wrong slope leaves 1, a wrong curvature 2


def test_without_pytorch_it_says_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match="pip install torch"):
        torch_function(jnp.sin)


@pytest.mark.slow
def test_draws_have_the_posteriors_mean_and_covariance():
    """A linear Gaussian problem, whose posterior is known."""
    pytest.importorskip("blackjax")
    g, y, noise = jnp.asarray([[1.0, 0.5], [0.2, 1.0], [1.0, -1.0]]), jnp.asarray([1.0, 0.3, 0.2]), 0.3
    log_density = lambda x: -jnp.sum((g @ x["c"] - y) ** 2) / (2 * noise**2) - jnp.sum(x["c"] ** 2) / 2  # noqa: E731
    found = posterior(log_density, {"c": jnp.zeros(2)}, key=KEY, samples=1000)
    draws = np.asarray(found.samples["c"]).reshape(-1, 2)
    covariance = np.linalg.inv(np.asarray(g.T @ g) / noise**2 + np.eye(2))
    assert found.samples["c"].shape == (4, 1000, 2) and found.r_hat < 1.02 and found.effective > 500 and found.divergent == 0
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((draws.mean(0) - covariance @ np.asarray(g.T @ y) / noise**2) / deviation, 0.0, atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.1 * covariance.max())


def test_bad_densities_are_refused():
    pytest.importorskip("blackjax")
    with pytest.raises(DivergedError, match="not finite at the start"):
        posterior(lambda x: jnp.log(x[0]), jnp.zeros(1), key=KEY)
    with pytest.raises(UsageError, match="whole numbers"):
        posterior(lambda x: -jnp.sum(x**2), jnp.zeros(1), key=KEY, chains=1)
