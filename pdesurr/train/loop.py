"""`fit`: epochs of the compiled step, validation, checkpoints, an exact resume."""

import hashlib
import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from pdesurr._files import write_text, writing
from pdesurr._runtime import Stopped, locked, progress, stop_signals
from pdesurr.checks import CheckpointError, DivergedError, UsageError, require
from pdesurr.train import checkpoint
from pdesurr.train.books import check_books
from pdesurr.train.optimisers import adamw
from pdesurr.train.parallel import Parallel, check_devices, over_devices, replicate
from pdesurr.train.processes import any_of, leads, own, without_waiting
from pdesurr.train.state import TrainState
from pdesurr.train.step import Engine, keep_best, validation
from pdesurr.types import Objective, describe

OnBad = Literal["raise", "skip", "rollback"]
MAX_ROLLBACKS = 8
ADDRESS = r" at 0x[0-9a-f]+"  # of a function, in a text that must be the same in the next process
LONGEST_SEGMENT = 250  # steps in one compiled call, so that a signal is heard within seconds


@dataclass(frozen=True)
class TrainConfig:
    """How to train. A tuple of seeds or of learning rates trains that many members at once, on one vmapped axis of the step.

    `on_bad` says what a loss or gradient that is not finite does (its update is dropped in any case): "raise" ends the run
    with `DivergedError`, "skip" goes on until `max_bad` were dropped, "rollback" goes back to the start of the epoch with half
    the learning rate. `accumulate`: gradients of so many equal parts of a batch are taken one after another and averaged, in the
    memory of one part.
    """

    epochs: int = 100
    batch_size: int = 20
    learning_rate: float | tuple[float, ...] = 1e-3
    seed: int | tuple[int, ...] = 0
    weight_decay: float = 1e-4
    warmup: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    on_bad: OnBad = "raise"
    max_bad: int = 20
    checkpoint_seconds: float = 30.0
    accumulate: int = 1

    def __post_init__(self):
        require(isinstance(self.epochs, int) and self.epochs >= 1, "epochs", "a whole number >= 1", self.epochs)
        require(all(r > 0 for r in self.learning_rates), "learning_rate", "numbers > 0", self.learning_rate)
        require(self.on_bad in ("raise", "skip", "rollback"), "on_bad", "'raise', 'skip' or 'rollback'", self.on_bad)
        require(isinstance(self.accumulate, int) and self.accumulate >= 1, "accumulate", "a whole number >= 1", self.accumulate)
        require(0 <= self.ema_decay < 1, "ema_decay", "a number in [0, 1)", self.ema_decay)
        require(len(set(map(len, (self.seeds, self.learning_rates))) - {1}) <= 1, "learning_rate",
                f"{len(self.seeds)} of them, as many as seeds", self.learning_rate)

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.seed if isinstance(self.seed, tuple) else (self.seed,)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    @property
    def members(self) -> int | None:
        """How many models train at once, or None for a single one without a member axis."""
        is_ensemble = isinstance(self.seed, tuple) or isinstance(self.learning_rate, tuple)
        return max(len(self.seeds), len(self.learning_rates)) if is_ensemble else None


@dataclass
class FitResult:
    """`model` has the best validated weights (the last running mean without validation); `state` is where training ended;
    `resumed_at` the epoch an earlier call had reached (0: none)."""

    model: Any
    state: TrainState
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed_at: int = 0

    @property
    def best_metric(self) -> Array:
        return self.state.best_metric


def fit(model: PyTree, source: Any, objective: Objective, config: TrainConfig, *, validate: Any = None,
        validation_objective: Objective | None = None, folder: Path | str | None = None, devices: Sequence[Any] | None = None,
        parallel: Parallel = "shard_map", optimiser: optax.GradientTransformation | None = None) -> FitResult:
    """Train `model` on `source` (see `pdesurr.data.sources`) to minimise `objective`.

    `validate` is a source of held-out samples: after every epoch the running mean of the weights is measured on it by
    `validation_objective` (default: `objective`), and the best is what is returned. `folder` makes the run resumable: it
    gets `metrics.jsonl` and `checkpoints/`, and calling again continues bit for bit (same machine, same device count).
    `devices` default to all, of all processes (see `processes.join`); the batch is split over them. For an ensemble (`config.members`)
    every array of `model` has a leading member axis.

    Raises `UsageError` (settings), `DivergedError` (see `TrainConfig.on_bad`), `CheckpointError` (the folder holds another
    run, or nothing sound), `Stopped` after SIGTERM or Ctrl-C, once the state is saved.
    """
    run = _Run(model, source, objective, config, validate, validation_objective or objective,
               Path(folder) if folder is not None else None, list(devices or jax.devices()), parallel, optimiser)
    with without_waiting(), ExitStack() as stack:
        if run.folder is not None and leads():
            stack.enter_context(locked(run.folder))
        asked = stack.enter_context(stop_signals())

        def agreed() -> int | None:
            """The signal that this process had, SIGTERM if only another one had one: all must stop at the same step."""
            signum = asked()
            return (signum or signal.SIGTERM) if any_of(signum is not None) else None

        return run.train(agreed)


class _Run:
    """One call of `fit`: the compiled pieces and the books."""

    def __init__(self, model, source, objective, config, validate, validation_objective, folder, devices, parallel, optimiser):
        check_devices(devices, config.batch_size, config.accumulate, parallel)
        require(1 <= config.batch_size <= source.size, "batch_size", f"a number from 1 to {source.size}, the samples of an epoch",
                config.batch_size)
        self.config, self.folder, self.source = config, folder, source
        self.per_epoch = source.size // config.batch_size
        self.segment = max(s for s in range(1, min(self.per_epoch, LONGEST_SEGMENT) + 1) if self.per_epoch % s == 0)
        params, self.static = eqx.partition(model, eqx.is_inexact_array)
        fixed = [leaf for leaf in jax.tree.leaves(self.static) if eqx.is_array(leaf)]
        require(not (fixed and config.members), "model", "one whose every array is trained, for an ensemble",
                f"{len(fixed)} arrays that training leaves alone", "train its members one by one")
        optimiser = optimiser or adamw(config.epochs * self.per_epoch, warmup=config.warmup, weight_decay=config.weight_decay,
                                       clip_norm=config.clip_norm)
        self.facts = {"objective": _name(objective), "data": fingerprint(source), "validation": fingerprint(validate),
                      "validation_objective": _name(validation_objective),
                      "architecture": architecture(model)} if folder is not None else {}
        engine = Engine(self.static, objective, optimiser, config.ema_decay, parallel == "pmap", config.accumulate)
        k = config.members
        over_members = jax.vmap if k else lambda f, **_: f
        self.data_keys = self._per_member([jax.random.fold_in(jax.random.key(s), 0) for s in config.seeds])
        keys = self._per_member([jax.random.fold_in(jax.random.key(s), 1) for s in config.seeds])
        rates = self._per_member([jnp.asarray(r, jnp.float32) for r in config.learning_rates])
        self.create = lambda: over_members(lambda p, key, rate: TrainState.create(p, optimiser, key, rate))(params, keys, rates)
        batch_axis = 2 if k else 1
        self.plan = jax.jit(over_members(lambda key, epoch: source.plan(key, epoch), in_axes=(0, None)))
        self.run_segment = over_devices(over_members(engine.segment, in_axes=(0, None, 0)), devices, (None, None, batch_axis), parallel,
                                        donate=(0,))
        self.replicate = partial(replicate, devices=devices)
        self.source_arrays = self.replicate(source)
        self.validate = self._validator(validate, validation_objective, devices, parallel) if validate is not None else None

    def _per_member(self, values: list[Any]) -> Any:
        if self.config.members is None:
            return values[0]
        return jnp.stack(values * (self.config.members // len(values)))

    def _validator(self, source: Any, objective: Objective, devices: Sequence[Any], parallel: Parallel) -> Callable:
        split = source.size % len(devices) == 0  # else every device measures all of them: the figure must not depend on devices
        unit = len(devices) if split else 1
        batch = max(b for b in range(unit, max(self.config.batch_size, unit) + 1, unit) if source.size % b == 0)
        numbers = jnp.arange(source.size).reshape(-1, batch)
        measure = validation(self.static, objective, split)
        if self.config.members:
            measure = jax.vmap(measure, in_axes=(0, None, None))
        compiled, arrays = over_devices(measure, devices, (None, None, 1 if split else None), parallel), self.replicate(source)
        keep = jax.jit(jax.vmap(keep_best) if self.config.members else keep_best)
        return lambda state: keep(state, jax.block_until_ready(compiled(state.ema, arrays, numbers)))

    # The loop.

    def train(self, asked_to_stop: Callable[[], int | None]) -> FitResult:
        state, books = self._start()
        saved_at = time.monotonic()
        with progress("training", self.config.epochs, books["epoch"]) as advance:
            while books["epoch"] < self.config.epochs:
                began = time.monotonic()
                state, finished = self._epoch(state, books, asked_to_stop)
                if not finished:
                    self._save(state, books)
                    where = f"continue with the same command ({self.folder})" if self.folder else "nothing was saved (no folder)"
                    raise Stopped(asked_to_stop() or 0, where)
                self._book(state, books, time.monotonic() - began)
                losses = np.asarray(books["history"][-1]["loss"], float)
                if not np.isfinite(losses).any():
                    raise DivergedError(f"no update of epoch {books['epoch']} was finite; lower learning_rate")
                advance(books["epoch"], f"loss {np.mean(losses):.2e}")
                if time.monotonic() - saved_at >= self.config.checkpoint_seconds or books["epoch"] == self.config.epochs:
                    self._save(state, books)
                    saved_at = time.monotonic()
        if self.validate and not np.isfinite(state.best_metric).any():
            raise DivergedError("the validation error was not finite after any epoch; lower learning_rate, or look at the validation data")
        weights = state.best if self.validate else state.ema
        return FitResult(eqx.combine(own(weights), self.static), own(state), books["history"], books["resumed_at"])

    def _epoch(self, state: TrainState, books: dict, asked_to_stop: Callable) -> tuple[TrainState, bool]:
        """The rest of one epoch; False if a signal cut it short."""
        numbers = self.plan(self.data_keys, books["epoch"])
        numbers = numbers[..., : self.per_epoch * self.config.batch_size]
        numbers = numbers.reshape(*numbers.shape[:-1], self.per_epoch, self.config.batch_size)
        before = jax.tree.map(jnp.copy, state) if self.config.on_bad == "rollback" else None
        for start in range(len(books["partial"]) * self.segment, self.per_epoch, self.segment):
            if asked_to_stop():
                return state, False
            bad = np.sum(state.bad_steps)
            # Waited for on every device: on CPU two programs in flight can starve each other's collectives of threads.
            state, metrics = jax.block_until_ready(
                self.run_segment(state, self.source_arrays, numbers[..., start : start + self.segment, :]))
            books["partial"].append(_plain(jax.tree.map(lambda v: np.asarray(v).tolist(), metrics)))
            if np.sum(state.bad_steps) > bad:
                state = self._on_bad(state, before, books, numbers)
                if not books["partial"]:  # rolled back
                    return self._epoch(state, books, asked_to_stop)
        if self.validate:
            state = jax.block_until_ready(self.validate(state))
        return state, True

    def _on_bad(self, state: TrainState, before: TrainState | None, books: dict, numbers: Array) -> TrainState:
        count, first = int(np.sum(state.bad_steps)), int(np.max(state.first_bad))
        batch = np.asarray(numbers)[..., first % self.per_epoch, :].ravel()[:8].tolist()
        what = f"the loss or its gradient was not finite at step {first} (samples {batch}, ...)"
        if self.config.on_bad == "skip":
            if count > self.config.max_bad:
                raise DivergedError(f"{what}; {count} updates were dropped, max_bad is {self.config.max_bad}: lower learning_rate")
            return state
        if self.config.on_bad == "rollback" and books["rollbacks"] < MAX_ROLLBACKS:
            assert before is not None
            books["rollbacks"] += 1
            books["partial"].clear()
            return eqx.tree_at(lambda s: s.learning_rate, before, before.learning_rate / 2)
        raise DivergedError(f"{what}; lower learning_rate, or set on_bad to 'skip' or 'rollback'")

    def _book(self, state: TrainState, books: dict, seconds: float) -> None:
        keep = [p for p in books["partial"]]
        means = {name: _mean([p[name] for p in keep]) for name in keep[0]}
        books["epoch"] += 1
        record = {"epoch": books["epoch"], "step": int(np.max(state.step)), **means, "seconds": seconds}
        if self.validate:
            record["best_validation"] = np.asarray(state.best_metric).tolist()
        record = _plain(record)
        books["history"].append(record)
        books["partial"].clear()
        if self.folder and leads():
            log = self.folder / "metrics.jsonl"
            with writing(log, CheckpointError, ", the newest checkpoint is intact"), open(log, "a") as file:
                file.write(json.dumps(record) + "\n")

    # The books on disk.

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a resume to be the same run."""
        config = {k: v for k, v in asdict(self.config).items() if k != "checkpoint_seconds"}
        leaves = {n: f"{v.dtype}{list(v.shape)}" for n, v in
                  zip(checkpoint.names(self.create_shape.params), jax.tree.leaves(self.create_shape.params), strict=True)}
        facts = {**config, **self.facts, "model": leaves, "samples": self.source.size, "grid": list(self.source.grid.shape)}
        return json.loads(json.dumps(facts))

    def _check_identity(self, found: Any) -> None:
        """Raise `CheckpointError` unless a checkpoint is of this very run."""
        if not isinstance(found, dict):
            raise CheckpointError(f"{self.folder} holds a checkpoint that does not say of what run it is; delete it")
        for name, value in self._identity().items():
            old = found.get(name, value)  # an earlier version's checkpoint says less
            if isinstance(value, dict) and isinstance(old, dict):  # name the weight that differs
                part = next((k for k in (*value, *old) if value.get(k) != old.get(k)), None)
                name, old, value = f"{name}{part}", old.get(part), value.get(part)
            if old != value:
                raise CheckpointError(f"{self.folder} holds a run with another {name} ({_short(old)}, not {_short(value)}); use another "
                                      "folder, or delete this one")

    @property
    def create_shape(self) -> TrainState:
        return jax.eval_shape(self.create)

    def _start(self) -> tuple[TrainState, dict[str, Any]]:
        books: dict[str, Any] = {"epoch": 0, "partial": [], "rollbacks": 0, "history": [], "resumed_at": 0}
        found = None
        if self.folder:
            check = lambda info: self._check_identity(info.get("identity"))  # noqa: E731
            found = checkpoint.load_newest(self.folder / "checkpoints", self.create_shape, check)
        if found is None:
            if self.folder and leads():
                write_text(self.folder / "metrics.jsonl", "")
            return self.replicate(self.create()), books
        state, info = found
        check_books(info.get("books"), int(np.max(state.step)), self.config.epochs, self.per_epoch, self.segment)
        books.update(info["books"])
        books["resumed_at"] = books["epoch"]
        if leads():
            write_text(self.folder / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in books["history"]))  # pyright: ignore
        return self.replicate(state), books

    def _save(self, state: TrainState, books: dict[str, Any]) -> None:
        if self.folder and leads():
            books = {**books, "partial": [{k: v for k, v in p.items()} for p in books["partial"]]}
            checkpoint.save(self.folder / "checkpoints", int(np.max(state.step)), state, {"identity": self._identity(), "books": books})


def _plain(value: Any) -> Any:
    """As JSON, where what is not finite is null."""
    return json.loads(re.sub(r"NaN|-?Infinity", "null", json.dumps(value, default=float)))


def _mean(values: list[Any]) -> Any:
    """Of those that are finite, member by member; NaN where none is."""
    numbers = np.asarray(values, float)
    good = np.isfinite(numbers)
    return (np.where(good, numbers, 0).sum(0) / np.where(good.any(0), good.sum(0), np.nan)).tolist()


def fingerprint(source: Any) -> str:
    """sha256 of a source: of its arrays and of everything static about it."""
    leaves, structure = jax.tree.flatten(source)
    digest = hashlib.sha256(re.sub(ADDRESS, "", str(structure)).encode())
    for leaf in leaves:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def architecture(model: Any) -> dict[str, Any]:
    """Class and arguments of a model between its normalisers: most are not to be seen in the weights. Empty where it cannot tell."""
    try:
        described = describe(getattr(model, "model", model))
    except UsageError:
        return {}
    return {": class": described["class"], **{f": {name}": value for name, value in described["arguments"].items()}}


def _name(objective: Objective) -> str:
    """A function's name, or everything that an object was made with."""
    return getattr(objective, "__qualname__", None) or re.sub(ADDRESS, "", repr(objective))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
