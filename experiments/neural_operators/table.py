"""Published, obtained, best known, and the reference solver's row, side by side: from the recorded results, nothing typed.

    python experiments/neural_operators/table.py [--json]

A row is one script at one resolution. Of a script's recorded presets the most expensive counts (paper, then cpu); without one its status
is "not run" and its command (`--json`) says how to make it; "reduced" says that the preset's data are a smaller form of the published
ones, "measured" that there is no number to hold it against. "one_image": the error before answers are averaged over symmetries, where
they are; "together": that of the mean answer of all seeds.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from experiments.listing import COLUMNS, main, recorded, scripts

HERE = Path(__file__).resolve().parent


def rows() -> list[dict[str, Any]]:
    return [line for name in scripts(HERE) for line in rows_of(name)]


def rows_of(name: str) -> list[dict[str, Any]]:
    """One line per resolution at which a number is known to compare with, which the row is held against (the published one, else the best);
    then one for that of training, where the times are taken, and of a smaller form of the data for each that was measured."""
    row = importlib.import_module(name).ROW
    result = recorded(HERE, name)
    errors = result["errors"] if result else {}
    more = {name: (result or {}).get(f"errors_{key}", {}) for name, key in (("one_image", "of_one_image"), ("together", "together"))}
    reduced, lines = result is not None and result["preset"] in row.reduced, []
    trained_at = (result["trained_at"],) if result else ()
    for shape in dict.fromkeys((*row.published, *row.best_known, *(errors if reduced else trained_at))):
        error, published = errors.get(shape), row.published.get(shape)
        aim = row.best_known.get(shape) if published is None else published
        kind = "reduced" if reduced else "measured" if aim is None else "met" if error and error["mean"] <= aim else "short"
        beside = result if result and shape in trained_at else {}
        lines.append(dict.fromkeys(COLUMNS) | {
            "row": f"{row.table} {row.name} {shape}".strip(), "published": published, "best_known": row.best_known.get(shape),
            "obtained": error["mean"] if error else None, "std": error["std"] if error else None,
            **{name: found[shape]["mean"] if shape in found else None for name, found in more.items()},
            "seeds": len(error["each"]) if error else 0, "preset": result["preset"] if result else None,
            "status": kind if error else "not run",
            "solver_equal_error_s": (beside.get("solver_equal_error") or {}).get("seconds"), "surrogate_s": beside.get("surrogate_s"),
            "command": result["command"] if result else f"python experiments/neural_operators/{name}.py --preset cpu --json"})
    return lines


if __name__ == "__main__":
    main("neural_operators", rows(), __doc__)
