"""The gradient of a physics-informed loss: derivatives carried along by our layers against nested autodiff, the same loss.

`ours_s`: carried along; `peer_s`: for the network per point, reverse over reverse (as jaxpi), for the Gaussians forward over reverse, one
coordinate after the other (as PIG and SPINN). float32, 2048 points. Errors: relative difference of the losses.

    python experiments/benchmarks/derivatives.py [--json] [--quick]
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_experimental_ynn_fusion_type=")
import _harness as harness

from pdesurr.allocator import tune_allocator

POINTS = 2048


def network_losses():
    """u_t - u_xx of a perceptron 2 -> 4 x 64 -> 1."""
    import jax
    import jax.numpy as jnp

    from pdesurr.models.coordinate import CoordinateMLP, derivatives

    model = CoordinateMLP((-1.0, -1.0), (1.0, 1.0), 1, 64, 4, key=jax.random.key(0))

    def ours(m, x):
        jet = derivatives(m, x, ((1, 0), (0, 2)))
        return jnp.mean((jet.part((1, 0)) - jet.part((0, 2))) ** 2)

    def nested(m, x):
        u = lambda t, x: m(None, jnp.stack([t, x])[None])[0, 0]  # noqa: E731
        r = lambda p: jax.grad(u, 0)(*p) - jax.grad(jax.grad(u, 1), 1)(*p)  # noqa: E731
        return jnp.mean(jax.vmap(r)(x) ** 2)

    return "perceptron 2-4x64-1, u_t - u_xx", model, ours, nested


def gaussian_losses(channels: int = 4, gaussians: int = 800):
    """u + Lap u of four channels of 800 Gaussians and a perceptron of width 16."""
    import jax
    import jax.numpy as jnp

    from pdesurr.fields.jets import Jet, concatenate
    from pdesurr.models.gaussians import GaussianField
    from pdesurr.nn.dense import Dense
    from pdesurr.nn.smooth import tanh

    box = ((-1.0, -1.0), (1.0, 1.0))
    keys = jax.random.split(jax.random.key(0), channels + 2)
    fields = [GaussianField(*box, 1, gaussians, 0.3, key=k) for k in keys[:channels]]
    layers = (Dense(channels, 16, key=keys[-2]), Dense(16, 1, key=keys[-1]))

    def head(layers, jet):
        return layers[1](layers[0](jet).map(tanh))

    def ours(model, x):
        fields, layers = model
        jet = Jet.coordinates(x, ((2, 0), (0, 2)))
        u = head(layers, concatenate([f.jet(jet) for f in fields]))
        return jnp.mean((u.value + u.part((2, 0)) + u.part((0, 2))) ** 2)

    def by_coordinate(model, x):
        fields, layers = model

        def u(x):
            z = [(x[:, None] - f.gaussians.means[None]) / jnp.exp(f.gaussians.log_scales)[None] for f in fields]
            sums = [jnp.exp(-0.5 * (v**2).sum(-1)) @ f.head for v, f in zip(z, fields, strict=True)]
            return head(layers, Jet((jnp.concatenate(sums, 1),), ((0, 0),))).value[:, 0]

        slope = jax.grad(lambda x: u(x).sum())
        second = [jax.jvp(slope, (x,), (jnp.zeros_like(x).at[:, i].set(1),))[1][:, i] for i in range(2)]
        return jnp.mean((u(x) + second[0] + second[1]) ** 2)

    return f"{channels} x {gaussians} Gaussians, u + Lap u", (fields, layers), ours, by_coordinate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    import equinox as eqx
    import jax

    rows, x = [], jax.random.uniform(jax.random.key(1), (POINTS, 2), minval=-1, maxval=1)
    for make, peer in ((network_losses, "nested grad"), (gaussian_losses, "forward over reverse")):
        name, model, ours, other = make()
        steps = {who: eqx.filter_jit(eqx.filter_value_and_grad(f)) for who, f in (("ours", ours), ("peer", other))}
        losses = [float(step(model, x)[0]) for step in steps.values()]  # pyright: ignore[reportCallIssue]
        calls = {who: lambda step=step, model=model: step(model, x) for who, step in steps.items()}
        seconds = harness.alternate(calls, 5 if options.quick else 15)
        rows.append(harness.row(name, seconds["ours"], peer, seconds["peer"], ours_error=abs(losses[0] / losses[1] - 1)))
        print(f"{name}: {rows[-1]['ratio']:.2f} times", file=sys.stderr, flush=True)
    harness.finish("derivatives", rows, options.json)


if __name__ == "__main__":
    main()
