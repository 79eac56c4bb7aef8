"""The gradient of a physics-informed loss: derivatives carried along by our layers against nested autodiff, the same loss.

`ours_s`: carried along; `peer_s`: for the network per point, reverse over reverse (as jaxpi), for the Gaussians forward over reverse, one
coordinate after the other (as PIG and SPINN). float32, 2048 points. Errors: relative difference of the losses.

    python experiments/benchmarks/derivatives.py [--json] [--quick]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness

from pdesurr.allocator import tune_allocator

POINTS = 2048


def network_losses(make, name: str):
    """u_t - u_xx of a network of two coordinates."""
    import jax
    import jax.numpy as jnp

    from pdesurr.models.coordinate import derivatives

    def ours(m, x):
        jet = derivatives(m, x, ((1, 0), (0, 2)))
        return jnp.mean((jet.part((1, 0)) - jet.part((0, 2))) ** 2)

    def nested(m, x):
        u = lambda t, x: m(None, jnp.stack([t, x])[None])[0, 0]  # noqa: E731
        r = lambda p: jax.grad(u, 0)(*p) - jax.grad(jax.grad(u, 1), 1)(*p)  # noqa: E731
        return jnp.mean(jax.vmap(r)(x) ** 2)

    return f"{name}, u_t - u_xx", make(jax.random.key(0)), ours, nested


def gaussian_losses():
    """u + Lap u of the published model: four channels of 800 Gaussians and a perceptron of width 16."""
    import jax
    import jax.numpy as jnp

    from pdesurr.fields.jets import Jet
    from pdesurr.models.gaussians import PIG

    model = PIG((-1.0, -1.0), (1.0, 1.0), 1, 4, 800, 0.3, key=jax.random.key(0))

    def ours(m, x):
        u = m.jet(Jet.coordinates(x, ((2, 0), (0, 2))))
        return jnp.mean((u.value + u.part((2, 0)) + u.part((0, 2))) ** 2)

    def by_coordinate(m, x):
        def u(x):
            z = (x[:, None, None] - m.gaussians.means[None]) / jnp.exp(m.gaussians.log_scales)[None]
            channels = jnp.einsum("pcn,cn->pc", jnp.exp(-0.5 * (z**2).sum(-1)), m.weights)
            hidden = jnp.tanh(channels @ m.hidden.weight + m.hidden.bias[None])
            return (hidden @ m.last.weight + m.last.bias[None])[:, 0]

        slope = jax.grad(lambda x: u(x).sum())
        second = [jax.jvp(slope, (x,), (jnp.zeros_like(x).at[:, i].set(1),))[1][:, i] for i in range(2)]
        return jnp.mean((u(x) + second[0] + second[1]) ** 2)

    return "PIG, 4 x 800 Gaussians, u + Lap u", model, ours, by_coordinate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    import equinox as eqx
    import jax

    from pdesurr.models.coordinate import CoordinateMLP, PirateNet

    box = ((-1.0, -1.0), (1.0, 1.0))
    cases = [
        (*network_losses(lambda key: CoordinateMLP(*box, 1, 64, 4, key=key), "perceptron 2-4x64-1"), "nested grad"),
        (*network_losses(lambda key: PirateNet(*box, 1, 256, 3, scale=2.0, key=key), "PirateNet, 3 blocks of 256"), "nested grad"),
        (*gaussian_losses(), "forward over reverse")]
    rows, x = [], jax.random.uniform(jax.random.key(1), (POINTS, 2), minval=-1, maxval=1)
    for name, model, ours, other, peer in cases:
        steps = {who: eqx.filter_jit(eqx.filter_value_and_grad(f)) for who, f in (("ours", ours), ("peer", other))}
        losses = [float(step(model, x)[0]) for step in steps.values()]  # pyright: ignore[reportCallIssue]
        calls = {who: lambda step=step, model=model: step(model, x) for who, step in steps.items()}
        seconds = harness.alternate(calls, 5 if options.quick else 15)
        rows.append(harness.row(name, seconds["ours"], peer, seconds["peer"], ours_error=abs(losses[0] / losses[1] - 1)))
        print(f"{name}: {rows[-1]['ratio']:.2f} times", file=sys.stderr, flush=True)
    harness.finish("derivatives", rows, options.json)


if __name__ == "__main__":
    main()
