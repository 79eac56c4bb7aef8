"""Two records of one row and preset, of different seeds, as one: long trainings need not be made again for a seed more."""

import re
from typing import Any

from experiments.study import spread

SAME = ("table", "row", "preset", "trained_at", "parameters", "protocol")
ROUNDING = 1e-5
OF_A_SEED = ("seeds", "validation", "training_seconds")


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The first's times and solver, all seeds of both. Raises `ValueError` for records that differ in more than seeds, or share one.

    Data sets generated on two machines may differ in rounding: their files then have other hashes, but the moments of their samples are
    the same to `ROUNDING` of the standard deviation, which those of other draws are not."""
    differing = [key for key in SAME if old[key] != new[key]] + ([] if of_the_same_samples(old, new) else ["dataset_sha256"])
    if differing or set(old["seeds"]) & set(new["seeds"]):
        raise ValueError(f"records must differ in their seeds alone: {old['seeds']} and {new['seeds']}, {differing or 'else alike'}")
    errors = {name: {shape: spread(e["each"] + new[name][shape]["each"]) for shape, e in old[name].items()}
              for name in ("errors", "errors_of_one_image") if name in old}
    lists = {key: old[key] + new[key] for key in OF_A_SEED}
    command = re.sub(r"( --seeds( \d+)+|$)", f" --seeds {' '.join(map(str, lists['seeds']))}", old["command"], count=1)
    kept = {k: v for k, v in old.items() if k != "errors_together"}  # which needs all weights
    return kept | lists | errors | {"command": command, "joined": [*old.get("joined", []), new["commit"]],
                                    "wall_seconds": old["wall_seconds"] + new["wall_seconds"]}


def of_the_same_samples(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if old["dataset_sha256"] == new["dataset_sha256"]:
        return True
    parts = old.get("samples", {}), new.get("samples", {})
    return bool(parts[0]) and parts[0].keys() == parts[1].keys() and all(
        abs(one[f"{field}_{moment}"] - other[f"{field}_{moment}"]) <= ROUNDING * one[f"{field}_std"]
        for one, other in ((parts[0][name], parts[1][name]) for name in parts[0])
        for field in ("input", "output") for moment in ("mean", "std"))
