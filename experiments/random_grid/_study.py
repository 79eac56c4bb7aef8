"""Both directions of a parametric equation, learned from the equation alone (random grid neural processes, Vadeboncoeur et al., ICML 2023):
errors of u and of the unknown numbers z, and how much of the truth lies within two deviations, as trained and once these fit other draws.

    python experiments/random_grid/poisson.py [--preset smoke|cpu|paper] [--seeds 0 1 2] [--out FOLDER] [--json]

Beside it the same pair trained on one fixed grid (not by smoke), a DeepONet trained for as long on solved samples (solving counts), and
where the case has noisy data the pair trained with them too. z is found from u at points that no step saw, exact, and with noise. Settings
were chosen on other draws than those of the test.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.options import arguments, slug
from pdesurr.allocator import tune_allocator
from pdesurr.data.sources import ArraySource, NumberSource
from pdesurr.fields import Grid
from pdesurr.fields.regions import Region
from pdesurr.models import DeepONet
from pdesurr.models.random_grid import FieldProcess, NumberProcess, RandomGridProcess
from pdesurr.objectives import Mixed, relative_l2
from pdesurr.objectives.evidence import Evidence, Measured
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Objective, Samples
from pdesurr.uq import rescaled
from pdesurr.workflow import environment

NOISE = 0.05  # of the values z is found from, and of data
SENSORS = 3  # nodes an axis on which the DeepONet's input, which is constant, is given


@dataclasses.dataclass(frozen=True)
class Preset:
    """`points`: of each sample in each step. `solved`: samples that the DeepONet is trained on. `size` and `inverse`: arguments of the two
    networks. `rate`: Muon's, of the pair. `noise`: the residual's deviation, None: trained."""

    steps: int
    batch: int
    points: int
    tested: int
    solved: int
    size: dict[str, Any]
    inverse: dict[str, Any]
    seeds: tuple[int, ...] = (0,)
    rate: float = 1e-2
    noise: float | None = 0.01


@dataclasses.dataclass(frozen=True)
class Case:
    """`text(*u, z, w)` vanishes on `region`; `numbers(key)` draws z and w; `constraint` as of `RandomGridProcess`; `solve(z, w)` gives the
    `channels` on the nodes of `grid`; the error is that of the first `judged` of them. `data`: solved samples, seen with noise at `seen`,
    of the case trained with data too."""

    name: str
    names: tuple[str, ...]
    text: Callable[..., Any]
    region: Region
    grid: Grid
    numbers: Callable[[Array], dict[str, Array]]
    constraint: Callable[..., Any]
    solve: Callable[[Array, Array], Array]
    presets: dict[str, Preset]
    channels: int = 1
    judged: int = 1
    data: int = 0
    seen: Array | None = None

    def problem(self, points: int) -> Problem:
        return Problem({"equation": Equation(self.text, (self.region,), points)}, self.names, self.channels)


def pair(case: Case, preset: Preset, key: Array) -> RandomGridProcess:
    first, second = jax.random.split(key)
    p, d = case.numbers(key), len(case.names)
    return RandomGridProcess(
        FieldProcess(d, p["z"].size + p["w"].size, case.channels, key=first, **preset.size),
        NumberProcess(case.region.lower, case.region.upper, p["z"].size, p["w"].size, case.channels, key=second, **preset.inverse),
        case.constraint, jnp.zeros(()) if preset.noise is None else None)


def train(case: Case, preset: Preset, objective: Objective, draw: Callable, seed: int, folder: Path) -> tuple[RandomGridProcess, float]:
    size = min(500, preset.steps) * preset.batch
    config = TrainConfig(preset.steps * preset.batch // size, preset.batch, preset.rate, seed, weight_decay=0.0, clip_norm=1e6,
                         ema_decay=0.999, optimiser="muon", on_bad="skip")
    found = fit(pair(case, preset, jax.random.key(seed)), NumberSource(draw, case.grid.with_shape(*(4,) * case.grid.ndim), size, seed),
                objective, config, folder=folder)
    return found.model, sum(r["seconds"] for r in found.history)


def truths(case: Case, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z, w, u): u on the case's nodes, solved in float64."""
    with jax.enable_x64(True):
        def one(key: Array) -> tuple[Array, ...]:
            p = case.numbers(key)
            return p["z"], p["w"], case.solve(p["z"], p["w"])

        found = jax.lax.map(one, jax.random.split(jax.random.key(seed), count))
    return tuple(np.asarray(v, np.float32) for v in found)  # pyright: ignore


Asked = dict[str, tuple[tuple[Array, ...], Array]]


def asked(case: Case, preset: Preset, data: tuple[np.ndarray, ...], key: Array) -> Asked:
    """What a pair is asked, and the truth: u at the nodes inside the walls from z and w, z from values of u at random points and w."""
    z, w, u = map(jnp.asarray, data)

    def read(u: Array, key: Array) -> tuple[Array, Array, Array]:
        x = case.region.draw(jax.random.fold_in(key, 1), preset.points).astype(u.dtype)
        values = case.grid.evaluate(case.grid.transform(u), x)
        return x, values, values + NOISE * jax.random.normal(key, values.shape, values.dtype)

    x, values, noisy = jax.lax.map(lambda sample: read(*sample), (u, jax.random.split(key, len(u))))
    inside = u[(slice(None), *(slice(1, -1),) * case.grid.ndim)].reshape(len(u), -1)
    return {"u": ((z, w), inside), "z": ((values, x, w), z), "z_noisy": ((noisy, x, w), z)}


def judge(case: Case, test: Asked, other: Asked) -> Callable[[RandomGridProcess], dict[str, float]]:
    """Means over test draws: relative L2 errors, and shares within two deviations, as trained and as fit the `other` draws."""
    grid, within = case.grid, (slice(1, -1),) * case.grid.ndim
    inner = jnp.asarray(grid.nodes[within].reshape(-1, grid.ndim), jnp.float32)
    stated = lambda v: (v.mean, v.marginal)  # noqa: E731
    weights = {"u": (grid.weights[within].reshape(-1, 1) * (np.arange(case.channels) < case.judged)).ravel()}

    def judged(model: RandomGridProcess) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, (given, truth) in test.items():
            fitted = rescaled((lambda z, w: model.field(z, w, inner)) if name == "u" else model.inverse, *other[name])
            mean, deviation = jax.lax.map(lambda one, fitted=fitted: stated(fitted(*one)), given, batch_size=20)
            size = lambda v, name=name: np.sqrt(np.sum(weights.get(name, 1.0) * np.square(v), axis=-1))  # noqa: E731
            gap = np.asarray(mean - truth)
            scores = np.abs(gap) / np.asarray(deviation)
            found |= {name: float(np.mean(size(gap) / size(truth))), f"{name}_within": float(np.mean(scores < 2 / fitted.factor)),
                      f"{name}_fitted": float(np.mean(scores < 2))}
        return found

    return judged


def deeponet(case: Case, preset: Preset, seed: int, seconds: float, test: tuple[np.ndarray, ...]) -> dict[str, float]:
    """The error of u by a DeepONet from z and w, trained on solved samples for the seconds that are left after solving them."""
    began = time.perf_counter()
    z, w, u = truths(case, preset.solved, 10**7 + seed)
    spent = time.perf_counter() - began
    constant = lambda z, w: np.broadcast_to(  # noqa: E731
        np.concatenate([z, w], axis=-1).reshape(len(z), *(1,) * case.grid.ndim, -1), (*u[: len(z)].shape[:-1], z.shape[1] + w.shape[1]))
    source, epochs = ArraySource(constant(z, w), u, case.grid), 2
    model = DeepONet(z.shape[1] + w.shape[1], case.channels, (SENSORS,) * case.grid.ndim, width=128, key=jax.random.key(seed))
    run = lambda n: fit(model, source, relative_l2, TrainConfig(n, preset.batch, 1e-3, seed, weight_decay=0.0))  # noqa: E731
    each = run(epochs).history[-1]["seconds"]
    model = run(max(2, int((seconds - spent) / each))).model
    error = jax.jit(lambda a, v: relative_gap(case.grid, case.judged, model(Samples(case.grid, a)), v))
    z, w, u = test
    return {"u": float(np.mean([error(a, v) for a, v in zip(constant(z, w), u, strict=True)])), "solving_seconds": spent}


def relative_gap(grid: Grid, judged: int, u: Array, truth: Array) -> Array:
    within = (slice(1, -1),) * grid.ndim
    weights = jnp.asarray(grid.weights[within], truth.dtype)[..., None]
    size = lambda v: jnp.sqrt(jnp.sum(weights * v[within][..., :judged] ** 2))  # noqa: E731
    return size(u - truth) / size(truth)


def with_data(case: Case, preset: Preset, seed: int) -> tuple[Objective, Callable]:
    """The evidence of fresh numbers, and the likelihood of a fixed number of solved samples, seen at some points with noise."""
    z, w, u = map(jnp.asarray, truths(case, case.data, 10**7 + seed))
    at = jnp.asarray(case.seen, jnp.float32)
    y = jax.vmap(lambda v: case.grid.evaluate(case.grid.transform(v), at))(u)
    y = y + NOISE * jax.random.normal(jax.random.key(seed), y.shape)

    def draw(key: Array) -> dict[str, Array]:
        which, fresh = jax.random.split(key)
        i = jax.random.randint(which, (), 0, case.data)
        return {**case.numbers(fresh), "seen_z": z[i], "seen_w": w[i], "seen_y": y[i]}

    evidence = Evidence(case.problem(preset.points), preset.noise, reading_noise=NOISE)
    return Mixed(((1.0, evidence), (len(at) / preset.points, Measured(at, NOISE, "seen_")))), draw


def run(case: Case, preset_name: str, seeds: tuple[int, ...], out: Path) -> list[dict[str, Any]]:
    preset, rows = case.presets[preset_name], []
    test, other = (truths(case, preset.tested, seed) for seed in (10**6, 2 * 10**6))
    judged = judge(case, *(asked(case, preset, data, jax.random.key(i)) for i, data in ((1, test), (2, other))))
    problem = case.problem(preset.points)
    for seed in seeds:
        methods: dict[str, tuple[Objective, Callable]] = {
            "random grids": (Evidence(problem, preset.noise), case.numbers),
            "one fixed grid": (Evidence(problem, preset.noise, fresh=False), case.numbers)}
        if preset_name == "smoke":  # a compilation less
            del methods["one fixed grid"]
        if case.data:
            methods["random grids and noisy data"] = with_data(case, preset, seed)
        for name, (objective, draw) in methods.items():
            folder = out / slug("random grid", case.name, preset_name, name, seed)
            model, seconds = train(case, preset, objective, draw, seed, folder)
            rows.append({"method": name, "seed": seed, "seconds": seconds, **judged(model)})
            say(rows[-1])
        seconds = rows[-len(methods)]["seconds"]
        rows.append({"method": "DeepONet", "seed": seed, "seconds": seconds, **deeponet(case, preset, seed, seconds, test)})
        say(rows[-1])
    return rows


def say(row: dict[str, Any]) -> None:
    """One method in words."""
    print(f"{row['method']}, seed {row['seed']}, {row['seconds']:.0f} s")
    for name, words in (("u", "u"), ("z", "z from exact values of u"), ("z_noisy", "z from noisy values of u")):
        if name in row:
            share = [f"{100 * row[f'{name}_{of}']:.0f} %" for of in ("within", "fitted") if f"{name}_{of}" in row]
            print(f"    {words}: relative error {row[name]:.3g}" + (
                f", within two deviations {share[0]}, within two that fit other draws {share[1]}" if share else ""), flush=True)


def main(case: Case) -> None:
    """The command line of a script."""
    options = arguments(__doc__, case.presets, seeds=True, out="checkpoints").parse_args()
    tune_allocator()
    preset = case.presets[options.preset]
    rows = run(case, options.preset, tuple(options.seeds or preset.seeds), options.out)
    if options.json:
        print(json.dumps({"comparison": "random_grid", "case": case.name, "preset": options.preset, "rows": rows,
                          "settings": dataclasses.asdict(preset), "environment": environment()}))


