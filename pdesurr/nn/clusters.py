"""Trees of centres: where a set of points is split again and again into its clusters."""

import numpy as np
from jaxtyping import Float, Int

from pdesurr.checks import require

Rows = Float[np.ndarray, "n f"]


def k_means(rows: Rows, k: int, rng: np.random.Generator, *, rounds: int = 50) -> tuple[Float[np.ndarray, "k f"], Int[np.ndarray, " n"]]:
    """`k` centres and each row's nearest: Lloyd's rounds from a start drawn far apart. Raises `UsageError` for fewer than `k`
    different rows. Source: Lloyd, IEEE Trans. Inf. Theory 28 (1982); the start: Arthur and Vassilvitskii, SODA 2007."""
    different = len(np.unique(rows, axis=0))
    require(different >= k, "inputs", f"{k} different ones in every cluster that is split", different, "fewer levels or branches")
    centres = rows[rng.integers(len(rows))][None]
    while len(centres) < k:
        far = _squares(rows, centres).min(1)
        centres = np.concatenate([centres, rows[rng.choice(len(rows), p=far / far.sum())][None]])
    for _ in range(rounds):
        nearest = _squares(rows, centres).argmin(1)
        moved = np.stack([rows[nearest == i].mean(0) if (nearest == i).any() else c for i, c in enumerate(centres)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres, _squares(rows, centres).argmin(1)


def tree(rows: Rows, branching: int, levels: int, seed: int) -> list[Float[np.ndarray, "nodes b f"]]:
    """Recursive k-means: per level l an array `(branching^l, branching, f)`, the centres of each node's children. Child j of
    node i is node `branching i + j` of the next level."""
    rng, found, parts = np.random.default_rng(seed), [], [rows]
    for _ in range(levels):
        split = [k_means(part, branching, rng) for part in parts]
        found.append(np.stack([centres for centres, _ in split]))
        parts = [part[nearest == j] for part, (_, nearest) in zip(parts, split, strict=True) for j in range(branching)]
    return found


def _squares(rows: Rows, centres: Float[np.ndarray, "k f"]) -> Float[np.ndarray, "n k"]:
    return ((rows[:, None] - centres[None]) ** 2).sum(-1)
