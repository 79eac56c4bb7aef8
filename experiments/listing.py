"""A table's command line: its rows as text, or with `--json` as one object of the fixed form.

Errors are relative (L2 where a row's script says nothing else) and means over seeds, `std` their deviation. `best_known` is the lowest that
we know of. `status`: the row's own bound, else the published error, is "met" or missed, "short"; "measured" where there is neither.
`solver_equal_error_s`: seconds a sample of the cheapest solver that is as accurate; `surrogate_s`: of the surrogate.
"""

import argparse
import json
from pathlib import Path
from typing import Any

COLUMNS = ("row", "published", "best_known", "obtained", "std", "one_image", "together", "seeds", "preset", "status",
           "solver_equal_error_s", "surrogate_s", "command")


def scripts(folder: Path) -> list[str]:
    """A topic's rows' scripts, by name."""
    return sorted(p.stem for p in folder.glob("*_*.py") if not p.stem.startswith("_"))


def recorded(folder: Path, name: str) -> dict[str, Any] | None:
    """What was recorded of a topic's script: of its most expensive preset, None where none was run."""
    files = [folder.parent / "results" / folder.name / f"{name}_{preset}.json" for preset in ("paper", "cpu")]
    return next((json.loads(f.read_text()) for f in files if f.is_file()), None)


def main(name: str, rows: list[dict[str, Any]], description: str | None) -> None:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    if parser.parse_args().json:
        print(json.dumps({"table": name, "rows": rows}))
        return
    columns = [c for c in rows[0] if c != "command" and any(line[c] is not None for line in rows)]
    cells = [columns, *([cell(line[c]) for c in columns] for line in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
