"""Search over settings: successive halving and Hyperband, each trial a `fit`.

Trials that differ only in learning rate train together, on one vmapped axis of the same step, dealt to the devices.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from pdesurr.checks import DivergedError, expected, is_number, is_whole, require
from pdesurr.train.config import TrainConfig
from pdesurr.train.loop import fit
from pdesurr.train.parallel import check_places
from pdesurr.types import Objective

FIELDS = {f.name for f in dataclasses.fields(TrainConfig)}


@dataclass(frozen=True)
class Between:
    """A setting drawn from (low, high): evenly, or evenly in its logarithm (`log`, the default)."""

    low: float
    high: float
    log: bool = True

    def __post_init__(self):
        require(isinstance(self.log, bool), "log", "True or False", self.log)
        require(is_number(self.low) and is_number(self.high), "Between", "two finite numbers", (self.low, self.high))
        require(self.low < self.high and (self.low > 0 or not self.log), "Between", "low < high, above 0 where `log`", self)

    def draw(self, rng: np.random.Generator) -> float:
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))) if self.log else rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Trial:
    """`metric`: the best validated error after a training of `epochs`, infinite where it diverged."""

    number: int
    settings: dict[str, Any]
    epochs: int
    metric: float


@dataclass(frozen=True)
class Found:
    """`best` of the trials that had the most epochs, and its `model`; `trials`: all trainings, in the order in which they were run."""

    best: Trial
    model: Any
    trials: tuple[Trial, ...]

    @property
    def cost(self) -> int:
        """Epochs of one model that the search took."""
        return sum(t.epochs for t in self.trials)


def halving(most: int, least: int, eta: int) -> list[tuple[int, int]]:
    """The brackets of Hyperband, (trials, epochs of the first rung), the one with most trials first: successive halving is this one alone.
    Source: Li et al., JMLR 18(185), 2018, algorithm 1."""
    require(is_whole(least) and 1 <= least <= most, "least", f"from 1 to {most}, the epochs of a whole training", least)
    require(is_whole(eta) and eta >= 2, "eta", "a whole number >= 2", eta)
    deepest = int(math.log(most / least, eta) + 1e-9)
    return [(math.ceil((deepest + 1) / (s + 1) * eta**s), max(1, round(most / eta**s))) for s in range(deepest, -1, -1)]


def search(make: Callable[..., PyTree], source: Any, objective: Objective, config: TrainConfig,
           space: Mapping[str, Between | Sequence[Any]], *, validate: Any, least: int = 1, eta: int = 3, hyperband: bool = False,
           trials: int | None = None, folder: Path | str | None = None, devices: Sequence[Any] | None = None) -> Found:
    """The settings of `space` with the least validated error after `config.epochs` epochs.

    Many trials are trained for `least` epochs or some more; the best 1 / `eta` of them anew for `eta` times as many, with a schedule of
    that length, and so on. `hyperband` also tries fewer trials that begin with more epochs, for where short trainings mislead. `trials`:
    how many begin, if not eta^k for the k rungs there are. A name in `space` is a field of `TrainConfig`, or an argument of
    `make(key, **settings) -> model`; a law is a `Between` or the values to choose from. `config.seed` seeds the draws and the trials.

    With `folder`, a search that was stopped goes on where it was. Ensembles of trials are dealt to `devices`. Raises `UsageError` for a
    name that neither knows, and what `fit` raises; a trial that diverges comes last (`DivergedError` if the last do all).
    """
    require(isinstance(config, TrainConfig), "config", "a TrainConfig", config)
    require(config.members is None, "config", "one seed and one learning rate", (config.seed, config.learning_rate))
    require(callable(make) and not hasattr(make, "arguments"), "make", "a function make(key, **settings) -> model", make)
    require(isinstance(space, Mapping) and len(space) > 0, "space", "a table of at least one setting", space)
    require(trials is None or (is_whole(trials) and trials >= 1), "trials", "a whole number >= 1 or None", trials)
    require(validate is not None, "validate", "a source of held-out samples, by which trials are compared", validate)
    arguments = inspect.signature(make).parameters.values()
    taken = FIELDS | ({p.name for p in arguments} if not any(p.kind == p.VAR_KEYWORD for p in arguments) else set(space))
    unknown = next((name for name in space if name not in taken), None)
    require(unknown is None, "space", "fields of TrainConfig and arguments of `make`", unknown)
    check_places(devices, "members", 1, folder)
    for name, law in space.items():
        require(name not in ("seed", "epochs"), "space", "settings other than seed and epochs, which the search chooses", name)
        if not isinstance(law, Between) and (isinstance(law, str) or not isinstance(law, Sequence) or len(law) == 0):
            raise expected(f"space[{name!r}]", "a Between or a list of values", law)
        for value in ((law.low, law.high) if isinstance(law, Between) else law) if name in FIELDS else ():
            dataclasses.replace(config, **{name: value})  # says what is wrong with it, before anything is trained
    brackets = halving(config.epochs, least, eta)
    brackets = brackets if hyperband else brackets[:1]
    brackets = brackets if trials is None else [(trials, epochs) for _, epochs in brackets]
    run = _Search(make, source, objective, config, validate, Path(folder) if folder is not None else None, list(devices or jax.devices()))
    rng, done, number = np.random.default_rng(config.seeds[0]), [], 0
    for bracket, (count, epochs) in enumerate(brackets):
        alive = [Trial(number + i, {k: _draw(law, rng) for k, law in space.items()}, 0, math.inf) for i in range(count)]
        number += count
        while alive:
            results = run.rung(alive, min(epochs, config.epochs), f"bracket-{bracket}-epochs-{epochs}")
            done += results
            if epochs >= config.epochs:
                break
            alive = sorted((t for t, _ in results), key=lambda t: t.metric)[: max(1, len(alive) // eta)]
            epochs = min(epochs * eta, config.epochs)
    best, model = min((r for r in done if r[0].epochs == config.epochs), key=lambda r: r[0].metric)
    if not math.isfinite(best.metric):
        raise DivergedError("every trial of the last rung diverged; take a space of smaller learning rates")
    return Found(best, model(), tuple(t for t, _ in done))


def _draw(law: Between | Sequence[Any], rng: np.random.Generator) -> Any:
    return law.draw(rng) if isinstance(law, Between) else law[int(rng.integers(len(law)))]


@dataclass
class _Search:
    """What all trials share."""

    make: Callable[..., PyTree]
    source: Any
    objective: Objective
    config: TrainConfig
    validate: Any
    folder: Path | None
    devices: list[Any]

    def rung(self, alive: list[Trial], epochs: int, name: str) -> list[tuple[Trial, Callable[[], Any]]]:
        """Each trial trained for so many epochs, and how to get its model."""
        groups: dict[str, list[Trial]] = {}
        for trial in alive:
            others = {k: v for k, v in trial.settings.items() if k != "learning_rate"}
            groups.setdefault(repr(sorted(others.items())), []).append(trial)
        return [r for i, group in enumerate(groups.values()) for r in self._together(group, epochs, f"{name}-group-{i}")]

    def _together(self, group: list[Trial], epochs: int, name: str) -> list[tuple[Trial, Callable[[], Any]]]:
        settings = group[0].settings
        ours = {k: v for k, v in settings.items() if k in FIELDS and k != "learning_rate"}
        theirs = {k: v for k, v in settings.items() if k not in FIELDS}
        rates = tuple(t.settings.get("learning_rate", self.config.learning_rate) for t in group)
        seeds = tuple(self.config.seeds[0] + t.number for t in group)
        config = dataclasses.replace(self.config, **ours, epochs=epochs, learning_rate=rates, seed=seeds, on_bad="skip",
                                     max_bad=epochs * self.source.size)
        keys = jax.numpy.stack([jax.random.key(s) for s in seeds])
        models = eqx.filter_vmap(lambda key: self.make(key, **theirs))(keys)
        devices = self.devices[: math.gcd(len(group), len(self.devices))]
        try:
            result = fit(models, self.source, self.objective, config, validate=self.validate, devices=devices, parallel="members",
                         folder=None if self.folder is None else self.folder / name)
        except DivergedError:  # all of them did
            return [(Trial(t.number, t.settings, epochs, math.inf), lambda: None) for t in group]
        metrics = np.asarray(result.best_metric, float)
        member = lambda i: lambda: jax.tree.map(lambda v: v[i] if eqx.is_inexact_array(v) else v, result.model)  # noqa: E731
        return [(Trial(t.number, t.settings, epochs, float(m) if np.isfinite(m) else math.inf), member(i))
                for i, (t, m) in enumerate(zip(group, metrics, strict=True))]
