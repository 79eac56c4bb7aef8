"""Fill the marked blocks of README.md and experiments/README.md from experiments/results/*.json: no number is typed by hand.

    python experiments/render.py [--check]

A block is `<!-- begin NAME -->` ... `<!-- end NAME -->`, NAME one of the functions in BLOCKS. `--check` writes nothing and exits 1
where a file is out of date.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE / "README.md")
NONE = "not run"


def load(name: str) -> dict[str, Any] | None:
    """One result file, or None where it has not been made."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}g}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def runs() -> str:
    """The main job's presets."""
    rows = []
    for preset in ("cpu", "paper"):
        r = load(f"run_{preset}")
        if r is None:
            rows.append((preset, *(NONE,) * 6))
            continue
        errors = list(r["errors"].items())
        cost, equal = r["cost"], r["cost"]["equal_error"]
        rows.append(
            (
                preset,
                ", ".join(f"{e['mean']:.2e} at {k}" for k, e in errors),
                f"{r['config']['training']['epochs']}",
                f"{r['training_seconds']:.0f} s",
                f"{cost['surrogate_seconds'] * 1e3:.3g} ms",
                f"{cost['reference_seconds'] * 1e3:.3g} ms",
                NONE if equal is None else f"{equal['seconds'] * 1e3:.3g} ms ({equal['route']}, {equal['nodes'][0]} nodes)",
            )
        )
    return table(
        (
            "preset",
            "test relative L2 (mean) at nodes",
            "epochs",
            "training",
            "surrogate, a sample",
            "reference solver",
            "solver at equal error",
        ),
        rows,
    )


def benchmark(name: str) -> str:
    """A benchmark's rows, its machine below."""
    r = load(name)
    if r is None:
        return NONE
    rows = [
        (
            x["work"],
            number(x["ours_s"]),
            x["peer"] or "",
            number(x["peer_s"]) if x["peer"] else "",
            number(x["ratio"]) if x["peer"] else "",
            number(x["ours_error"]) if x["ours_error"] is not None else "",
            number(x["peer_error"]) if x["peer_error"] is not None else "",
            number(x["ours_mb"], 4) if x["ours_mb"] else "",
            number(x["peer_mb"], 4) if x["peer_mb"] else "",
        )
        for x in r["rows"]
    ]
    head = ("work", "ours, s", "peer", "peer, s", "ratio", "our error", "peer's error", "our MB", "peer's MB")
    return table(head, rows) + "\n\n" + ", ".join(f"{k} {v}" for k, v in r["machine"].items())


def darcy_import() -> str:
    """Bring your own data: the public Darcy sample, seeds and mean."""
    r = load("darcy_import")
    if r is None:
        return NONE
    rows = [(f"seed {x['seed']}", number(x["error_16"]), number(x["error_32"]), f"{x['seconds']:.0f} s") for x in r["rows"]]
    rows.append(("**mean**", number(r["mean_16"]), number(r["mean_32"]), ""))
    return (
        table(("run", "relative L2 at 16", "at 32, not retrained", "training"), rows)
        + f"\n\n{r['parameters']} real weights, {r['epochs']} epochs."
    )


def head_to_head() -> str:
    """Ours and the peer on the peer's own sample."""
    r = load("head_to_head")
    if r is None:
        return NONE
    rows = [(who, f"{m['parameters']:.0f}", number(m["error_16"]), number(m["error_32"]), f"{m['seconds']:.1f} s")
            for who, m in r["means"].items()]
    return table(("mean of three seeds", "weights", "relative L2 at 16", "at 32, not retrained", "training"), rows)


def neural_operators() -> str:
    """The table of models beside what is published and the solver."""
    sys.path.insert(0, str(HERE / "neural_operators"))
    from table import rows  # pyright: ignore[reportMissingImports]

    head = ("row", "published", "best known", "obtained", "seeds", "preset", "status", "surrogate, a sample", "solver at equal error")
    ms = lambda seconds: "" if seconds is None else f"{seconds * 1e3:.3g} ms"  # noqa: E731
    lines = []
    for r in rows():
        deviation = f" +- {number(r['std'], 2)}" if r["std"] is not None else ""
        lines.append((r["row"], number(r["published"]) if r["published"] else "", number(r["best_known"]) if r["best_known"] else "",
                      number(r["obtained"]) + deviation, str(r["seeds"]), r["preset"] or "", r["status"], ms(r["surrogate_s"]),
                      ms(r["solver_equal_error_s"])))
    return table(head, lines)


BENCHMARKS = ("burgers_generation", "solvers", "fno_step", "ensemble", "spectral_forms", "graph_step")
BLOCKS: dict[str, Callable[[], str]] = {
    "runs": runs,
    "darcy_import": darcy_import, "head_to_head": head_to_head,
    "neural_operators": neural_operators,
    **{name: (lambda name=name: benchmark(name)) for name in BENCHMARKS},
}


def growth() -> None:
    """results/solvers_growth.svg: seconds of a solve against nodes, batch and horizon, from the rows called "growth"."""
    r = load("solvers")
    if r is None:
        return
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "pdesurr", "font.size": 9})
    import matplotlib.pyplot as plt

    pattern = re.compile(r"growth: (Navier-Stokes|Darcy) (\d+) x \d+(?:, batch (\d+), T = (\d+))?")
    found = [(m.groups(), x["ours_s"]) for x in r["rows"] if (m := pattern.match(x["work"]))]
    flow = [(int(n), int(batch), float(t), s) for (kind, n, batch, t), s in found if kind == "Navier-Stokes"]
    darcy = [(int(n), s) for (kind, n, _, _), s in found if kind == "Darcy"]
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
    series = (
        (axes[0], "nodes an axis", [("Navier-Stokes, T = 1", [(n, s) for n, b, t, s in flow if b == 1 and t == 1]), ("Darcy", darcy)]),
        (axes[1], "batch (64 x 64, T = 1)", [("Navier-Stokes", [(b, s) for n, b, t, s in flow if n == 64 and t == 1])]),
        (axes[2], "horizon (64 x 64)", [("Navier-Stokes", [(t, s) for n, b, t, s in flow if n == 64 and b == 1])]),
    )
    for panel, name, lines in series:
        for label, points in lines:
            panel.loglog(*zip(*sorted(points), strict=True), "o-", label=label)
        ticks = sorted({x for _, points in lines for x, _ in points if x not in (85, 141, 211)})
        panel.set_xticks(ticks, [f"{x:g}" for x in ticks])
        panel.set_xticks([], minor=True)
        panel.set_xlabel(name)
    axes[0].set_ylabel("seconds")
    axes[0].legend(loc="lower right", fontsize=7)
    figure.savefig(HERE / "results" / "solvers_growth.svg", metadata={"Date": None})


def render(text: str) -> str:
    """The page with every block filled anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if begin in text:
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}\n{make()}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> int:
    stale = []
    if "--check" not in sys.argv:
        growth()
    for page in PAGES:
        old = page.read_text()
        new = render(old)
        if new != old:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(new)
    if "--check" in sys.argv and stale:
        print(f"out of date: {', '.join(stale)}; run python experiments/render.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
