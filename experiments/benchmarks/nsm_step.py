"""The neural spectral method: a training step against the official network, and inference against the resolution of the answer.

The peer is the official code's network made again from its description (its own needs jax 0.4.7): the same weights and activations, but
every dense layer acts on coefficients, so that each activation has transforms of all channels, one FFT an axis on one sample's channel,
batched by `vmap`. Both give the same answer. The loss, its gradient and Adam are the same code for both.

    python experiments/benchmarks/nsm_step.py [--json] [--quick] [--only SUBSTRING]
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import _harness as harness
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import PriorSource
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid
from pdesurr.models import FNO, NSM, InitialValue, ZeroMean
from pdesurr.models._coefficients import with_coordinates
from pdesurr.objectives import SpectralResidual
from pdesurr.pdes import Poisson, ReactionDiffusion
from pdesurr.types import Samples, apply

PEER = "official network, made again"


class Official(eqx.Module):
    """An `NSM` in the official operations."""

    own: NSM

    @property
    def horizon(self) -> float:
        return self.own.horizon

    def __call__(self, a: Samples, x: Any = None, *, key: Any = None) -> jax.Array:
        net: Any = self.own
        space: Any = a.points
        coarse = space.with_shape(*net.modes)
        grid = Grid([*coarse.bases, ChebyshevBasis(net.time, 0.0, net.horizon)], (*space.names, "t")) if net.time else coarse
        values = space.resample(a.values, *net.modes)
        if net.time:
            values = jnp.broadcast_to(values[..., None, :], (*values.shape[:-1], net.time, values.shape[-1]))
        to, back = (lambda v: through(v, grid, analyse)), (lambda c: through(c, grid, synthesise))
        c = to(jnp.moveaxis(with_coordinates(values[None], grid)[:, 0], 0, -1))
        dense = lambda layer, c: c @ layer.weight.T  # noqa: E731
        for layer in net.lift:
            c = to(jax.nn.relu(back(dense(layer, c)) + layer.bias))
        for mixing, bypass in zip(net.mixings, net.bypasses, strict=True):
            c = to(jax.nn.relu(back(jnp.einsum("...oi,...i->...o", mixing.weight, c) + dense(bypass, c)) + bypass.bias))
        for layer in net.head[:2]:
            c = to(jax.nn.relu(back(dense(layer, c)) + layer.bias))
        u = net.scale * (back(dense(net.head[2], c)) + net.head[2].bias)
        return grid.interpolate(grid.transform(u), space if x is None else x)


def through(v: jax.Array, grid: Grid, one: Any) -> jax.Array:
    """A transform of one axis after another, each of one line of one channel, under `vmap`."""
    for axis in range(grid.ndim):
        line = lambda w, axis=axis: one(w, grid.bases[axis])  # noqa: E731
        for _ in range(grid.ndim):
            line = jax.vmap(line)
        v = jnp.moveaxis(line(jnp.moveaxis(v, axis, -1)), -1, axis)
    return v


def analyse(u: jax.Array, basis: Any) -> jax.Array:
    """One line of values to as many real coefficients: cosines, then sines."""
    hat = basis.transform(u, 0)
    return jnp.concatenate([hat.real, -hat.imag[1 : (basis.n + 1) // 2]]) if isinstance(basis, FourierBasis) else hat


def synthesise(c: jax.Array, basis: Any) -> jax.Array:
    if not isinstance(basis, FourierBasis):
        return basis.inverse(c, 0)
    half = basis.n // 2 + 1
    sines = jnp.zeros(half, c.dtype).at[1 : (basis.n + 1) // 2].set(c[half:])
    return basis.inverse(jax.lax.complex(c[:half], -sines), 0, True)


def works() -> dict[str, tuple[Any, int, NSM, Any]]:
    """The paper's networks: equation, nodes of the input, network, what holds its conditions."""
    key = jax.random.key(0)
    steady, moving = NSM(1, 1, (31, 31), 64, 4, scale=1e-3, key=key), NSM(1, 1, (64,), 64, 4, time=32, scale=1e-3, key=key)
    return {"Poisson 31 x 31 width 64 depth 4 batch 16": (Poisson(), 31, steady, ZeroMean),
            "reaction-diffusion 64 x 32 width 64 depth 4 batch 16": (ReactionDiffusion(), 64, moving, InitialValue)}


def step(work: tuple[Any, int, NSM, Any], rounds: int, name: str) -> dict[str, Any]:
    pde, nodes, net, condition = work
    batch = PriorSource(pde, pde.grid(nodes), 16, 0).take(jnp.arange(16))
    objective, optimiser = SpectralResidual(pde, padding=1.0), optax.adam(1e-3)
    space = pde.grid(nodes)
    x = Grid([*space.bases, ChebyshevBasis(net.time, 0.0, net.horizon)], (*space.names, "t")) if net.time else space
    runs, answers = {}, {}
    for label, network in (("ours", net), ("peer", Official(net))):
        params, static = eqx.partition(condition(network), eqx.is_inexact_array)
        state = optimiser.init(params)

        def one(p: Any, s: Any, static: Any = static) -> Any:
            loss, gradient = jax.value_and_grad(lambda q: objective(eqx.combine(q, static), batch, None)[0])(p)
            updates, s = optimiser.update(gradient, s)
            return optax.apply_updates(p, updates), s, loss

        compiled = jax.jit(one)
        jax.block_until_ready(compiled(params, state))
        answers[label] = eqx.filter_jit(apply)(network, batch.input, x)
        runs[label] = lambda compiled=compiled, p=params, s=state: compiled(p, s)
    seconds = harness.alternate(runs, rounds)
    difference = float(jnp.linalg.norm(answers["ours"] - answers["peer"]) / jnp.linalg.norm(answers["peer"]))
    return harness.row(f"step, {name}", seconds["ours"], PEER, seconds["peer"], ours_error=difference)


def inference(n: int, rounds: int) -> dict[str, Any]:
    """16 answers on n x n nodes, by the network of coefficients and by an FNO on those nodes."""
    grid = Poisson().grid(n)
    a = Samples(grid, jax.vmap(lambda k: Poisson().sample(k, grid))(jax.random.split(jax.random.key(1), 16)))
    nets = {"ours": NSM(1, 1, (31, 31), 64, 4, key=jax.random.key(0)), "peer": FNO(1, 1, (16, 16), 64, 4, key=jax.random.key(0))}
    runs = {label: jax.jit(lambda v, net=net: apply(net, Samples(grid, v), grid)) for label, net in nets.items()}
    for run in runs.values():
        jax.block_until_ready(run(a.values))
    seconds = harness.alternate({label: lambda run=run: run(a.values) for label, run in runs.items()}, rounds)
    return harness.row(f"inference, {n} x {n} nodes, batch 16", seconds["ours"], "our FNO, 16 modes, width 64, depth 4", seconds["peer"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    harness.add_options(parser)
    options = parser.parse_args()
    tune_allocator()
    rounds = 3 if options.quick else 9
    rows = [step(work, rounds, name) for name, work in works().items() if options.only in name]
    rows += [inference(n, rounds) for n in (32, 64, 128, 256) if options.only in f"inference {n}"]
    harness.finish("nsm_step", rows, options.json)


if __name__ == "__main__":
    main()
