"""A graph operator that never sees a grid: trained on points scattered over the Darcy square, asked on others and on the whole grid.

    python experiments/darcy/scattered.py [--quick] [--json]

Half of the nodes of a 43 x 43 grid, drawn once, are the cloud; every training step sees another 300 of them. Test samples are given and
answered on the cloud, on the other half, which no step saw, and on the grid; and given on the cloud, answered on the other half.
Expected: much the same error in all four. Weights are chosen on validation samples on the cloud.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr.allocator import tune_allocator
from pdesurr.data.scaling import Scaled, fit_scaler
from pdesurr.data.sources import ArraySource
from pdesurr.fields import Grid
from pdesurr.models import GNO
from pdesurr.nn.points import nodes
from pdesurr.recipes import find
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Samples
from pdesurr.workflow import environment


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of everything."""

    samples: tuple[int, int, int] = (200, 20, 50)  # to train, to choose the weights, to test
    resolution: int = 43
    points: int = 300
    epochs: int = 24
    network: tuple[int, int, tuple[int, ...]] = (24, 4, (48, 24))  # width, depth, kernel


QUICK = Size((16, 4, 4), 15, 60, 2, (4, 1, (4,)))


@dataclasses.dataclass(frozen=True)
class OnCloud:
    """Mean relative error on `points` of the nodes of numbers `index`, drawn for each sample and step; validation has its own."""

    index: np.ndarray
    points: int

    def __call__(self, model, batch, key):
        a, u = (of_cloud(s, self.index) for s in (batch.input, batch.output))

        def one(given, wanted, k):
            few = jax.random.choice(k, len(self.index), (self.points,), replace=False)
            places = jnp.asarray(a.points)[few]
            left = model(Samples(places, given[few]), places) - wanted[few]
            return jnp.sqrt(jnp.sum(left**2) / jnp.sum(wanted[few] ** 2))

        keys = jax.random.split(jax.random.key(0) if key is None else key, len(a.values))
        loss = jnp.mean(jax.vmap(one)(a.values, u.values, keys))
        return loss, {"relative_l2": loss}


def of_cloud(a: Samples, index: np.ndarray) -> Samples:
    """A batch's values at those nodes of its grid, and where they are."""
    values = a.values.reshape(len(a.values), -1, a.values.shape[-1])
    return Samples(nodes(a.points, values.dtype)[index], values[:, index], a.params)


def draw(size: Size) -> tuple[Grid, list[tuple[jax.Array, jax.Array]]]:
    """The grid, and inputs and outputs to train, to choose and to test."""
    pde = find("darcy_jmlr").build({})
    grid = pde.grid(size.resolution)
    keys = jax.random.split(jax.random.key(0), sum(size.samples))
    a = jax.lax.map(jax.jit(lambda k: pde.sample(k, grid)), keys)
    u = jax.lax.map(jax.jit(lambda v: pde.solve(v, grid)), a)
    cuts = list(np.cumsum(size.samples)[:-1])
    return grid, list(zip(jnp.split(a, cuts), jnp.split(u, cuts), strict=True))


def error(model: Any, given: Samples, wanted: Samples) -> float:
    """Mean over samples of the relative error, all points alike."""
    answer = jax.jit(lambda v: model(Samples(given.points, v), wanted.points))
    found = jnp.stack([answer(v) for v in given.values])
    part = lambda v: np.linalg.norm(np.asarray(v).reshape(len(v), -1), axis=1)  # noqa: E731
    return float(np.mean(part(found - wanted.values) / part(wanted.values)))


def run(size: Size) -> dict[str, Any]:
    grid, (train, validation, test) = draw(size)
    half = np.random.default_rng(0).permutation(size.resolution**2)
    cloud, other = np.sort(half[: len(half) // 2]), np.sort(half[len(half) // 2:])
    width, depth, kernel = size.network
    network = GNO(1, 1, 2, 0.2, width, depth, kernel=kernel, nodes=size.points, key=jax.random.key(0))
    model = Scaled(network, *(fit_scaler(np.asarray(v)) for v in train))
    began = time.perf_counter()
    result = fit(model, ArraySource(*train, grid), OnCloud(cloud, size.points),
                 TrainConfig(epochs=size.epochs, batch_size=min(10, size.samples[0]), learning_rate=1e-2, optimiser="muon"),
                 validate=ArraySource(*validation, grid), devices=jax.devices()[:1])
    seconds = time.perf_counter() - began
    a, u = (Samples(grid, v) for v in test)
    on = lambda given, wanted: error(result.model, of_cloud(a, given), of_cloud(u, wanted))  # noqa: E731
    errors = {"the cloud": on(cloud, cloud), "nodes never seen": on(other, other),
              "the cloud, answered on nodes never seen": on(cloud, other), "the grid": error(result.model, a, u)}
    return {"errors": errors, "samples": size.samples[0], "epochs": size.epochs, "seconds": seconds, "environment": environment()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds: is the script whole?")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    tune_allocator()
    result = run(QUICK if options.quick else Size())
    if options.json:
        print(json.dumps(result))
        return
    for where, found in result["errors"].items():
        print(f"{where}: {found:.4f}")


if __name__ == "__main__":
    main()
