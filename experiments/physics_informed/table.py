"""Published and obtained errors side by side, from the recorded results, nothing typed.

    python experiments/physics_informed/table.py [--json]
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
    """`surrogate_s` is None and so is the solver's time: these rows solve one problem, they do not answer queries."""
    lines = []
    for name in scripts(HERE):
        row, result = importlib.import_module(name).ROW, recorded(HERE, name)
        error = result["error"] if result else {"mean": None, "std": None, "each": []}
        status = "not run" if result is None else "met" if error["mean"] <= row.must else "short"
        lines.append(dict.fromkeys(COLUMNS) | {
            "row": row.name, "published": row.published, "best_known": row.aim, "obtained": error["mean"], "std": error["std"],
            "seeds": len(error["each"]), "preset": result["preset"] if result else None, "status": status,
            "reference_error": None if result is None else result.get("reference_error") if row.rougher else "exact",
            "seconds": sum(result["seconds"]) / len(result["seconds"]) if result else None,
            "command": result["command"] if result else f"python experiments/physics_informed/{name}.py --json"})
    return lines


if __name__ == "__main__":
    main("physics_informed", rows(), __doc__)
