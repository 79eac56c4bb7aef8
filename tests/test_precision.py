"""Steps in bfloat16 and TF32, and blocks that are computed again for their gradient."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import print_saved_residuals
from jaxtyping import TypeCheckError

from pdesurr.checks import UsageError
from pdesurr.data.sources import ArraySource
from pdesurr.fields import FourierBasis, Grid
from pdesurr.models import FNO
from pdesurr.objectives import relative_l2
from pdesurr.train import TrainConfig, fit
from pdesurr.train.precision import in_precision

GRID = Grid([FourierBasis(32)])


def net(**more):
    return FNO(1, 1, (6,), 16, 2, head_width=16, key=jax.random.key(0), **more)


def source(n=16):
    x, waves = 2 * np.pi * np.arange(32) / 32, np.arange(1, 5)
    c = np.random.default_rng(n).normal(size=(2, n, 4))
    smooth = (c[0] @ np.cos(np.outer(waves, x)) + c[1] @ np.sin(np.outer(waves, x)))[..., None].astype(np.float32)
    return ArraySource(smooth, np.roll(smooth, 3, 1), GRID)


def gradient(precision):
    call = lambda m: in_precision(relative_l2, precision)(m, source().take(jnp.arange(16)), None)[0]  # noqa: E731
    return eqx.filter_value_and_grad(call)(net())


def test_bfloat16_gradients_point_where_float32_ones_do_and_are_float32():
    (loss, whole), (low_loss, low) = gradient("float32"), gradient("bfloat16")
    assert 0 < abs(low_loss - loss) < 1e-2 * loss
    x, y = (np.concatenate([np.ravel(v) for v in jax.tree.leaves(g)]) for g in (whole, low))
    assert y.dtype == np.float32
    assert x @ y / np.linalg.norm(x) / np.linalg.norm(y) > 0.999


def test_what_acts_at_points_is_in_bfloat16_and_transforms_are_not():
    batch = source().take(jnp.arange(16))
    call = lambda m: in_precision(relative_l2, "bfloat16")(m, batch, None)[0]  # noqa: E731
    lines = [line for line in str(jax.make_jaxpr(lambda p: call(eqx.combine(p, net())))(eqx.filter(net(), eqx.is_array))).splitlines()
             if "dot_general" in line]
    low = [line for line in lines if "bf16" in line]
    assert len(low) == 2 + 1 + 2  # bypasses, lifting, head
    assert len(lines) - len(low) == 2 * 3 + 2  # of each Fourier layer the transform, the product of modes, the inverse; two norms


def test_tf32_and_float32_ask_for_their_products():
    batch = source().take(jnp.arange(16))
    text = lambda p: jax.jit(lambda: in_precision(relative_l2, p)(net(), batch, None)[0]).lower().as_text()  # noqa: E731
    dots = {p: [line for line in text(p).splitlines() if "dot_general" in line] for p in ("float32", "tf32")}
    assert all("HIGHEST" in line for line in dots["float32"])
    assert sum("HIGHEST" in line for line in dots["tf32"]) == 2 * 2 < len(dots["tf32"])  # transforms stay whole


@pytest.mark.slow
def test_training_in_bfloat16_ends_near_training_in_float32():
    config = TrainConfig(epochs=60, batch_size=8, learning_rate=1e-2)
    whole, low = (fit(net(), source(), relative_l2, dataclasses.replace(config, precision=p), validate=source(8), devices=jax.devices()[:1])
                  for p in ("float32", "bfloat16"))
    assert low.best_metric < max(1.5 * whole.best_metric, 0.05)
    assert all(v.dtype == jnp.float32 for v in jax.tree.leaves(eqx.filter(low.model, eqx.is_array)))


def test_an_unknown_precision_is_refused():
    with pytest.raises((UsageError, TypeCheckError), match="float32"):
        TrainConfig(precision="float8")  # pyright: ignore[reportArgumentType]


def test_blocks_that_are_computed_again_give_the_same_and_keep_less(capsys):
    batch = source().take(jnp.arange(16))

    def found(remat):
        model = net(remat=remat, channel_mlp=0.5)
        assert model.arguments.get("remat", False) == remat
        params, static = eqx.partition(model, eqx.is_array)
        loss = lambda p: relative_l2(eqx.combine(p, static), batch, None)[0]  # noqa: E731
        print_saved_residuals(loss, params)
        kept = [line for line in capsys.readouterr().out.splitlines() if "528]" in line]  # fields, 16 samples side by side
        return jax.jit(jax.grad(loss))(params), len(kept)

    (kept, most), (again, less) = found(False), found(True)
    for x, y in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    assert less < 0.6 * most, (less, most)
