"""What an optimisation found: what the surrogate claims of it, and what the true solver says."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Optimum:
    """`x`, of the start's structure; `claimed`: the objective there by the surrogate; `verified`: by the true solver (None: not asked).
    `calls` and `solves`: how often each was evaluated, with or without its gradient. `history`: what each step did. `message`: why it
    ended, a sentence; `converged`: whether because nothing more was to be gained. `found`: what came beside the number of each true solve,
    where that was asked for (`has_aux`)."""

    x: Any
    claimed: float
    verified: float | None
    calls: int
    solves: int
    history: list[dict[str, float]] = dataclasses.field(repr=False)
    message: str
    converged: bool
    found: list[Any] = dataclasses.field(default_factory=list, repr=False)

    @property
    def gap(self) -> float | None:
        """verified - claimed: a search drifts to where the surrogate errs in its favour, so it tends to be > 0."""
        return None if self.verified is None else self.verified - self.claimed
