"""The figures of experiments/README.md, drawn from experiments/results/*.json; `render.py` calls `draw` and links what there is."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments import listing

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
TABLES = {"burgers": "Burgers", "darcy": "Darcy", "ns": "Navier-Stokes"}


def load(name: str) -> dict[str, Any] | None:
    """One result file, or None where it has not been made."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def draw() -> None:
    """All figures whose results there are."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "pdesurr", "font.size": 9})
    growth()
    for table in TABLES:
        resolution(table)
    mixtures()
    inference()


def growth() -> None:
    """results/solvers_growth.svg: seconds of a solve against nodes, batch and horizon, from the rows called "growth"."""
    r = load("solvers")
    if r is None:
        return
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
        ticked(panel, sorted({x for _, points in lines for x, _ in points if x not in (85, 141, 211)}))
        panel.set_xlabel(name)
    axes[0].set_ylabel("seconds")
    axes[0].legend(loc="lower right", fontsize=7)
    save(figure, "solvers_growth")


def resolution(table: str) -> None:
    """results/resolution_TABLE.svg: each row's error against the nodes it is asked on. A row made for one resolution is a point; a ring
    is where it was trained; broken lines are of reduced data, which is an easier or a harder problem than the others'."""
    rows = recorded(table)
    if not rows:
        return
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 3.2), layout="constrained")
    ticks = set()
    for i, (label, reduced, errors, trained) in enumerate(rows):
        points = sorted((int(shape.split("x")[0]), e["mean"]) for shape, e in errors.items())
        ticks |= {n for n, _ in points}
        style = {"color": f"C{i % 10}", "marker": "os^Dv"[i % 5], "markersize": 4}
        panel.loglog(*zip(*points, strict=True), linestyle="--" if reduced else "-", label=label, **style)
        panel.plot(int(trained.split("x")[0]), errors[trained]["mean"], "o", markersize=9, fillstyle="none", color=style["color"])
    ticked(panel, sorted(ticks))
    panel.set_xlabel("nodes an axis (ring: trained there)")
    panel.set_ylabel("relative L2")
    panel.set_title(TABLES[table], fontsize=9)
    panel.grid(which="both", axis="y", linewidth=0.3)
    panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7)
    save(figure, f"resolution_{table}")


def recorded(table: str) -> list[tuple[str, bool, dict[str, Any], str]]:
    """Label, whether reduced, errors and the resolution of training of every row of a table that has been run."""
    sys.path.insert(0, str(HERE / "neural_operators"))
    found = []
    for name in listing.scripts(HERE / "neural_operators"):
        result = listing.recorded(HERE / "neural_operators", name)
        if result and result["table"] == table:
            row = importlib.import_module(name).ROW
            found.append((f"{row.name} ({result['preset']})", result["preset"] in row.reduced, result["errors"], result["trained_at"]))
    return found


def inference() -> None:
    """results/nsm_inference.svg: seconds of an answer against its resolution, of a spectral and of a grid model."""
    r = load("nsm_step")
    if r is None:
        return
    import matplotlib.pyplot as plt

    pattern = re.compile(r"inference, (\d+) x \d+ nodes, batch (\d+)")
    found = [(int(m[1]), int(m[2]), x) for x in r["rows"] if (m := pattern.match(x["work"]))]
    figure, panel = plt.subplots(figsize=(4.5, 2.8), layout="constrained")
    for label, key in (("neural spectral method", "ours_s"), ("FNO", "peer_s")):
        panel.loglog([n for n, _, _ in found], [x[key] for _, _, x in found], "o-", markersize=4, label=label)
    ticked(panel, [n for n, _, _ in found])
    panel.set_xlabel("nodes an axis of the answer")
    panel.set_ylabel(f"seconds, batch of {found[0][1]}")
    panel.grid(which="both", linewidth=0.3)
    panel.legend(fontsize=7)
    save(figure, "nsm_inference")


def mixtures() -> None:
    """results/mono_curves.svg: error of mixtures against the weights that one input uses, and against all."""
    r = load("mono_curves")
    if r is None:
        return
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained", sharey=True)
    for panel, what, name in ((axes[0], "active", "weights an input uses"), (axes[1], "stored", "all weights")):
        for experts in sorted({x["experts"] for x in r["rows"]}):
            points = sorted((x[what], x["error"]) for x in r["rows"] if x["experts"] == experts)
            panel.loglog(*zip(*points, strict=True), "o-", markersize=4, label=f"{experts} expert{'s' * (experts > 1)}")
        panel.set_xlabel(name)
        panel.grid(which="both", linewidth=0.3)
    ticked(axes[0], sorted({x["active"] for x in r["rows"]}))
    axes[0].set_ylabel("relative L2")
    axes[0].legend(fontsize=7)
    save(figure, "mono_curves")


def ticked(panel: Any, ticks: list[float]) -> None:
    """A logarithmic axis that names these places and no other."""
    panel.set_xticks(ticks, [f"{x:g}" for x in ticks])
    panel.set_xticks([], minor=True)


def save(figure: Any, name: str) -> None:
    """The same bytes for the same numbers."""
    import matplotlib.pyplot as plt

    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
