"""Two records of one row and preset, of different seeds, as one: long trainings need not be made again for a seed more."""

import re
from typing import Any

from experiments.study import spread

SAME = ("table", "row", "preset", "trained_at", "parameters", "protocol", "dataset_sha256")
OF_A_SEED = ("seeds", "validation", "training_seconds")


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The first's times and solver, all seeds of both. Raises `ValueError` for records that differ in more than seeds, or share one."""
    differing = [key for key in SAME if old[key] != new[key]]
    if differing or set(old["seeds"]) & set(new["seeds"]):
        raise ValueError(f"records must differ in their seeds alone: {old['seeds']} and {new['seeds']}, {differing or 'else alike'}")
    errors = {name: {shape: spread(e["each"] + new[name][shape]["each"]) for shape, e in old[name].items()}
              for name in ("errors", "errors_of_one_image") if name in old}
    lists = {key: old[key] + new[key] for key in OF_A_SEED}
    command = re.sub(r"( --seeds( \d+)+|$)", f" --seeds {' '.join(map(str, lists['seeds']))}", old["command"], count=1)
    kept = {k: v for k, v in old.items() if k != "errors_together"}  # which needs all weights
    return kept | lists | errors | {"command": command, "joined": [*old.get("joined", []), new["commit"]],
                                    "wall_seconds": old["wall_seconds"] + new["wall_seconds"]}
