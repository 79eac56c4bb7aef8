"""Published and obtained errors side by side, from the recorded results, nothing typed. Columns as in `experiments/listing.py`, and a
step's seconds, the process's largest memory, and the residual of the objective.

    python experiments/spectral/table.py [--json]
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
    """A row's solver is the fastest that is at least as accurate."""
    lines = []
    for name in scripts(HERE):
        row, result = importlib.import_module(name).ROW, recorded(HERE, name)
        error = result["error"] if result else {"mean": None, "std": None, "each": []}
        status = (
            "not run" if result is None else "measured" if row.must is None else "met" if error["mean"] <= row.must else "short")
        as_good = [s["seconds"] for s in result["solvers"] if s["error"] <= error["mean"]] if result else []
        lines.append(dict.fromkeys(COLUMNS) | {
            "row": row.name, "published": row.published, "best_known": row.aim, "obtained": error["mean"], "std": error["std"],
            "seeds": len(error["each"]), "preset": result["preset"] if result else None, "status": status,
            "solver_equal_error_s": min(as_good, default=None), "surrogate_s": result["surrogate_s"] if result else None,
            "step_seconds": result["step_seconds"] if result else None, "peak_mb": result["peak_mb"] if result else None,
            "residual": sum(result["residual"]) / len(result["residual"]) if result else None,
            "command": result["command"] if result else f"python experiments/spectral/{name}.py --json"})
    return lines


if __name__ == "__main__":
    main("spectral", rows(), __doc__)
