"""How to train: the settings of `fit`."""

from dataclasses import dataclass
from typing import Literal

from pdesurr.checks import is_number, is_whole, require
from pdesurr.train.optimisers import OPTIMISERS, Optimiser
from pdesurr.train.precision import PRODUCTS, Precision

OnBad = Literal["raise", "skip", "rollback"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train. A tuple of seeds or of learning rates trains that many members at once, on one vmapped axis of the step.

    `on_bad` says what a loss or gradient that is not finite does (its update is dropped in any case): "raise" ends the run
    with `DivergedError`, "skip" goes on until `max_bad` were dropped, "rollback" goes back to the start of the epoch with half
    the learning rate. `accumulate`: gradients of so many equal parts of a batch are taken one after another and averaged, in the
    memory of one part. `precision`: in which a step computes (`pdesurr.train.precision`). `optimiser`: "adamw" or "muon"
    (`pdesurr.train.optimisers`).
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
    precision: Precision = "float32"
    optimiser: Optimiser = "adamw"

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("max_bad", 0)):
            value = getattr(self, name)
            require(is_whole(value) and value >= least, name, f"a whole number >= {least}", value)
        for name in ("weight_decay", "checkpoint_seconds"):
            value = getattr(self, name)
            require(is_number(value) and value >= 0, name, "a number >= 0", value)
        require(is_number(self.clip_norm) and self.clip_norm > 0, "clip_norm", "a number > 0", self.clip_norm)
        require(is_number(self.warmup) and 0 <= self.warmup < 1, "warmup", "a share in [0, 1)", self.warmup)
        require(is_number(self.ema_decay) and 0 <= self.ema_decay < 1, "ema_decay", "a number in [0, 1)", self.ema_decay)
        rates, seeds = self.learning_rates, self.seeds
        good = len(rates) > 0 and all(is_number(r) and r > 0 for r in rates)
        require(good, "learning_rate", "a number > 0, or a tuple of them", self.learning_rate)
        require(len(seeds) > 0 and all(map(is_whole, seeds)), "seed", "a whole number, or a tuple of them", self.seed)
        require(self.on_bad in ("raise", "skip", "rollback"), "on_bad", "'raise', 'skip' or 'rollback'", self.on_bad)
        named = isinstance(self.precision, str) and self.precision in PRODUCTS
        require(named, "precision", f"one of {', '.join(PRODUCTS)}", self.precision)
        named = isinstance(self.optimiser, str) and self.optimiser in OPTIMISERS
        require(named, "optimiser", f"one of {', '.join(OPTIMISERS)}", self.optimiser, "another is an argument of `fit`")
        require(len(set(map(len, (seeds, rates))) - {1}) <= 1, "learning_rate", f"{len(seeds)} of them, as many as seeds", rates)

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
