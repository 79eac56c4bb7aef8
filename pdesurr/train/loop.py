"""`fit`: epochs of the compiled step, validation, checkpoints, an exact resume."""

import json
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from pdesurr._runtime import Stopped, locked, progress, stop_signals
from pdesurr.checks import CheckpointError, DivergedError, require
from pdesurr.data.sources import AbstractSource
from pdesurr.train import checkpoint
from pdesurr.train.books import Log, check_books, mean_of, plain, unplain
from pdesurr.train.config import TrainConfig
from pdesurr.train.feed import Resident, feed
from pdesurr.train.identity import architecture, difference, fingerprint, identity_of
from pdesurr.train.optimisers import OPTIMISERS
from pdesurr.train.parallel import Layout, MemberLayout, Parallel, check_devices, check_members, check_places
from pdesurr.train.precision import in_precision
from pdesurr.train.processes import any_of, leads, without_waiting
from pdesurr.train.shards import ShardedSaver
from pdesurr.train.slices import SlicedLayout
from pdesurr.train.state import TrainState
from pdesurr.train.step import Engine, keep_best, slow_in_loops, validation
from pdesurr.types import Objective

Kind = Literal["safetensors", "orbax"]
SAVERS = {"safetensors": checkpoint.Saver, "orbax": ShardedSaver}
MAX_ROLLBACKS = 8
LONGEST_SEGMENT = 250  # steps in one compiled call, so that a signal is heard within seconds


@dataclass
class FitResult:
    """`model` has the best validated weights (the last running mean without validation); `state` is where training ended;
    `resumed_at` the epoch an earlier call had reached (0: none); `optimiser` the config's, or "own" where `fit` was given one."""

    model: Any
    state: TrainState
    history: list[dict[str, Any]] = field(default_factory=list)
    resumed_at: int = 0
    optimiser: str = "own"

    @property
    def best_metric(self) -> Array:
        return self.state.best_metric

    def __repr__(self) -> str:
        """One line: the model and the state would be hundreds."""
        return (f"FitResult({type(self.model).__name__}, epochs={len(self.history)}, best_metric={self.best_metric}, "
                f"best_step={self.state.best_step}, optimiser={self.optimiser!r})")


def fit(model: PyTree, source: Any, objective: Objective, config: TrainConfig, *, validate: Any = None,
        validation_objective: Objective | None = None, folder: Path | str | None = None, devices: Sequence[Any] | None = None,
        parallel: Parallel = "shard_map", slices: int = 1, optimiser: optax.GradientTransformation | None = None,
        checkpoints: Kind = "safetensors") -> FitResult:
    """Train `model` on `source` (see `pdesurr.data.sources`) to minimise `objective`.

    `validate` is a source of held-out samples: after every epoch the running mean of the weights is measured on it by
    `validation_objective` (default: `objective`), and the best is what is returned. `folder` makes the run resumable: it
    gets `metrics.jsonl` and `checkpoints/`, and calling again continues bit for bit (same machine, same device count).
    `devices` default to all, of all processes (see `processes.join`); the batch is split over them. With `slices`, each sample and the
    spectral weights are dealt to so many devices, for what is too large for one (`pdesurr.train.slices`). For an ensemble
    (`config.members`) every array of `model` has a leading member axis, and `parallel="members"` deals the members to the devices.
    `optimiser`: any of Optax, with its own learning rate, schedule, decay and clipping; those of `config` then do not count.
    `checkpoints`: "orbax" has every process write its own share of the state while training goes on (the extra `scale`); either kind is
    found again, on any number of devices.

    Raises `UsageError` (settings), `DivergedError` (see `TrainConfig.on_bad`), `CheckpointError` (the folder holds another
    run, or nothing sound), `Stopped` after SIGTERM or Ctrl-C, once the state is saved.
    """
    require(isinstance(config, TrainConfig), "config", "a TrainConfig", config)
    for name, value in (("source", source), ("validate", validate)):
        sound = isinstance(value, AbstractSource) or (value is None and name == "validate")
        require(sound, name, "a source of samples (ArraySource, PDESource, FileSource, ...)", value,
                "of a data file: ArraySource(data.inputs, data.outputs, data.grid)")
    check_places(devices, parallel, slices, folder)
    check_members(model, config.members)
    require(callable(objective), "objective", "a function (model, batch, key) -> (loss, metrics), such as relative_l2", objective)
    require(callable(model) and not isinstance(model, type), "model", "one that can be called: model(a, x)", model)
    require(optimiser is None or isinstance(optimiser, optax.GradientTransformation), "optimiser",
            "None (that of the config) or an optax.GradientTransformation", optimiser)
    run = _Run(model, source, objective, config, validate, validation_objective or objective,
               Path(folder) if folder is not None else None, list(devices or jax.devices()), parallel, slices, optimiser, checkpoints)
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

    def __init__(self, model, source, objective, config, validate, validation_objective, folder, devices, parallel, slices,
                 optimiser, checkpoints):
        check_devices(devices, config.batch_size, config.accumulate, parallel, slices)
        require(isinstance(checkpoints, str) and checkpoints in SAVERS, "checkpoints", f"one of {', '.join(SAVERS)}", checkpoints)
        require(checkpoints == "orbax" or slices == 1 or jax.process_count() == 1, "checkpoints", "'orbax' for slices in several processes",
                checkpoints)
        require(1 <= config.batch_size <= source.size, "batch_size", f"a number from 1 to {source.size}, the samples of an epoch",
                config.batch_size)
        self.config, self.folder, self.source = config, folder, source
        self.optimiser = config.optimiser if optimiser is None else "own"
        self.saver = None if folder is None else SAVERS[checkpoints](folder / "checkpoints")
        self.log, self.history = None if folder is None else Log(folder), []
        self.per_epoch = source.size // config.batch_size
        params, self.static = eqx.partition(model, eqx.is_inexact_array)
        fixed = [leaf for leaf in jax.tree.leaves(self.static) if eqx.is_array(leaf)]
        require(not (fixed and config.members), "model", "one whose every array is trained, for an ensemble",
                f"{len(fixed)} arrays that training leaves alone", "train its members one by one")
        optimiser = optimiser or OPTIMISERS[config.optimiser](config.epochs * self.per_epoch, warmup=config.warmup,
                                                              weight_decay=config.weight_decay, clip_norm=config.clip_norm)
        self.facts = {"objective": identity_of(objective), "data": fingerprint(source), "validation": fingerprint(validate),
                      "validation_objective": identity_of(validation_objective),
                      "architecture": architecture(model)} if folder is not None else {}
        objective, validation_objective = (in_precision(o, config.precision) for o in (objective, validation_objective))
        k = config.members
        if parallel == "members":
            self.layout = MemberLayout(devices, k)
        else:
            self.layout = Layout(devices, parallel) if slices == 1 else SlicedLayout(devices, slices, params, bool(k))
        engine = Engine(self.static, self.layout.objective(objective), optimiser, config.ema_decay, self.layout.mean_of, config.accumulate)
        over_members = jax.vmap if k else lambda f, **_: f
        self.data_keys = self._per_member([jax.random.fold_in(jax.random.key(s), 0) for s in config.seeds])
        keys = self._per_member([jax.random.fold_in(jax.random.key(s), 1) for s in config.seeds])
        rates = self._per_member([jnp.asarray(1.0 if self.optimiser == "own" else r, jnp.float32) for r in config.learning_rates])
        self.create = lambda: over_members(lambda p, key, rate: TrainState.create(p, optimiser, key, rate))(params, keys, rates)
        batch_axis = 2 if k else 1
        self.plan = jax.jit(over_members(lambda key, epoch: source.plan(key, epoch), in_axes=(0, None)))
        self.feed = feed(source, self._numbers, (self.per_epoch, config.batch_size), self.layout, LONGEST_SEGMENT, config.epochs, k)
        self.run_segment = self.layout.compiled(over_members(engine.segment, in_axes=(0, self.feed.member_axis, 0)),
                                                (None, self.feed.axis, batch_axis), (0, 2), (0,))
        self.validate = self._validator(validate, validation_objective) if validate is not None else None

    def _per_member(self, values: list[Any]) -> Any:
        if self.config.members is None:
            return values[0]
        return jnp.stack(values * (self.config.members // len(values)))

    def _validator(self, source: Any, objective: Objective) -> Callable:
        parts = self.layout.parts
        split = source.size % parts == 0  # else every device measures all of them: the figure must not depend on devices
        unit = parts if split else 1
        batch = max(b for b in range(unit, max(self.config.batch_size, unit) + 1, unit) if source.size % b == 0)
        numbers = np.arange(source.size, dtype=np.int32).reshape(-1, batch)
        blocks = feed(source, lambda epoch: numbers, numbers.shape, self.layout, len(numbers), split=split)
        measure = validation(self.static, self.layout.objective(objective), split and self.layout.mean_of is not None)
        if self.config.members:
            measure = jax.vmap(measure, in_axes=(0, None, None))
        compiled = self.layout.compiled(measure, (None, blocks.axis, 1 if split else None), (0,))
        keep = jax.jit(jax.vmap(keep_best) if self.config.members else keep_best)

        def run(state: TrainState) -> TrainState:
            losses = [jax.block_until_ready(compiled(state.ema, arrays, part)) for arrays, part in blocks(0)]
            return keep(state, losses[0] if len(losses) == 1 else np.concatenate([np.asarray(v) for v in losses], -1))

        return run

    # The loop.

    def train(self, asked_to_stop: Callable[[], int | None]) -> FitResult:
        state, books = self._start()
        self._cut(state)
        saved_at = time.monotonic()
        with progress("training", self.config.epochs, books["epoch"]) as advance:
            while books["epoch"] < self.config.epochs:
                began = time.monotonic()
                state, finished = self._epoch(state, books, asked_to_stop)
                if not finished:
                    self._save(state, books)
                    self._written()
                    where = f"continue with the same command ({self.folder})" if self.folder else "nothing was saved (no folder)"
                    raise Stopped(asked_to_stop() or 0, where)
                self._book(state, books, time.monotonic() - began)
                losses = np.asarray(self.history[-1]["loss"], float)
                if not np.isfinite(losses).any():
                    raise DivergedError(f"no update of epoch {books['epoch']} was finite; lower learning_rate")
                advance(books["epoch"], f"loss {np.mean(losses):.2e}")
                due = time.monotonic() - saved_at >= self.config.checkpoint_seconds or books["epoch"] == self.config.epochs
                if any_of(due):  # all processes at the same step, whatever their clocks say
                    self._save(state, books)
                    saved_at = time.monotonic()
        self._written()
        if self.validate and not np.isfinite(state.best_metric).any():
            raise DivergedError("the validation error was not finite after any epoch; lower learning_rate, or look at the validation data")
        weights = state.best if self.validate else state.ema
        found = eqx.combine(self.layout.whole(weights), self.static)
        return FitResult(found, self.layout.whole(state), self.history, books["resumed_at"], self.optimiser)

    def _cut(self, state: TrainState) -> None:
        """Steps one by one where a loop of them would take a CPU far longer."""
        trace = getattr(self.run_segment, "trace", None)
        if trace is not None and isinstance(self.feed, Resident) and self.layout.devices[0].platform == "cpu":
            arrays, numbers = next(self.feed(0))
            if slow_in_loops(trace(state, arrays, numbers).jaxpr):
                self.feed.segment = 1

    def _epoch(self, state: TrainState, books: dict, asked_to_stop: Callable) -> tuple[TrainState, bool]:
        """The rest of one epoch; False if a signal cut it short."""
        before = jax.tree.map(jnp.copy, state) if self.config.on_bad == "rollback" else None
        for arrays, numbers in self.feed(books["epoch"], int(np.max(state.step)) - books["epoch"] * self.per_epoch):
            if asked_to_stop():
                return state, False
            bad = np.sum(state.bad_steps)
            # Waited for on every device: on CPU two programs in flight can starve each other's collectives of threads.
            state, metrics = jax.block_until_ready(self.run_segment(state, arrays, numbers))
            books["partial"].append(jax.tree.map(lambda v: np.asarray(v).tolist(), metrics))
            if np.sum(state.bad_steps) > bad:
                state = self._on_bad(state, before, books)
                if not books["partial"]:  # rolled back
                    return self._epoch(state, books, asked_to_stop)
        if self.validate:
            state = jax.block_until_ready(self.validate(state))
        return state, True

    def _numbers(self, epoch: int) -> Array:
        """The samples of one epoch, `([member,] steps, batch)`."""
        numbers = self.plan(self.data_keys, epoch)[..., : self.per_epoch * self.config.batch_size]
        return numbers.reshape(*numbers.shape[:-1], self.per_epoch, self.config.batch_size)

    def _on_bad(self, state: TrainState, before: TrainState | None, books: dict) -> TrainState:
        count, first = int(np.sum(state.bad_steps)), int(np.max(state.first_bad))
        batch = np.asarray(self._numbers(books["epoch"]))[..., first % self.per_epoch, :].ravel()[:8].tolist()
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
        means = {name: mean_of([p[name] for p in keep]) for name in keep[0]}
        books["epoch"] += 1
        record = {"epoch": books["epoch"], "step": int(np.max(state.step)), **means, "seconds": seconds}
        if self.validate:
            record["best_validation"] = np.asarray(state.best_metric).tolist()
        record = plain(json.loads(json.dumps(record, default=float)))
        self.history.append(record)
        books["partial"].clear()
        if self.log is not None:
            self.log.append(record)

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
        other = difference(self._identity(), found)
        if other:
            raise CheckpointError(f"{self.folder} holds another run: {other}; use another folder, or delete this one")

    @property
    def create_shape(self) -> TrainState:
        return jax.eval_shape(self.create)

    def _start(self) -> tuple[TrainState, dict[str, Any]]:
        books: dict[str, Any] = {"epoch": 0, "partial": [], "rollbacks": 0, "resumed_at": 0}
        if self.folder is None or self.log is None:
            return self.layout.state(self.create()), books
        check = lambda info: self._check_identity(info.get("identity"))  # noqa: E731
        where = self.layout.shardings(self.create_shape)
        found = checkpoint.load_newest(self.folder / "checkpoints", self.create_shape, check, where)
        if found is None:
            self.log.restart([])
            return self.layout.state(self.create()), books
        state, info = found
        check_books(info.get("books"), int(np.max(state.step)), self.config.epochs, self.per_epoch)
        books = unplain(info["books"])
        if "history" in books:  # an earlier version's
            self.log.restart(plain(books.pop("history")))
        self.history = self.log.keep(books["epoch"])
        books["resumed_at"] = books["epoch"]
        return self.layout.state(state), books

    def _save(self, state: TrainState, books: dict[str, Any]) -> None:
        if self.saver is not None and self.log is not None:
            self.log.flush()
            self.saver.save(int(np.max(state.step)), state, {"identity": self._identity(), "books": plain(books)})

    def _written(self) -> None:
        """Until what was saved is on the disk."""
        if self.saver is not None:
            self.saver.wait()
