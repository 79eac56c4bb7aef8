"""Fill the marked blocks of README.md and experiments/README.md from experiments/results/*.json: no number is typed by hand.

    python experiments/render.py [--check]

A block is `<!-- begin NAME -->` ... `<!-- end NAME -->`, NAME one of the functions in BLOCKS. `--check` writes nothing and exits 1
where a file is out of date.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import in_use  # pyright: ignore[reportMissingImports]
from cells import NONE, number, said, table  # pyright: ignore[reportMissingImports]
from figures import TABLES, draw, load  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).resolve().parent
PAGES = (HERE.parent / "README.md", HERE / "README.md")


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
    rows = [(who, f"{m['parameters']:.0f}", str(r["epochs"][who]), number(m["error_16"]), number(m["error_32"]), f"{m['seconds']:.1f} s")
            for who, m in r["means"].items()]
    return table(("mean of three seeds", "weights", "epochs", "relative L2 at 16", "at 32, not retrained", "training"), rows)


def resolution() -> str:
    """A figure for each table of which something was run."""
    return "\n".join(f"![{name}: error against resolution](results/resolution_{table}.svg)" for table, name in TABLES.items()
                     if (HERE / "results" / f"resolution_{table}.svg").is_file())


def scattered() -> str:
    """One graph operator asked on clouds and on the grid."""
    r = load("scattered")
    if r is None:
        return NONE
    rows = [(where, number(error)) for where, error in r["errors"].items()]
    return table(("input and answer on", "relative L2"), rows) + f"\n\n{r['samples']} samples, {r['epochs']} epochs, {r['seconds']:.0f} s."


def mono_curves() -> str:
    """Weights used and stored, beside the error."""
    r = load("mono_curves")
    if r is None:
        return NONE
    rows = [(f"{x['experts']}", f"{x['width']}", f"{x['active']}", f"{x['stored']}", number(x["error"])) for x in r["rows"]]
    return table(("experts", "width", "weights used", "weights stored", "relative L2"), rows) + (
        "\n\n![Error against the weights used and stored](results/mono_curves.svg)")


def neural_operators() -> str:
    """The table of models beside what is published."""
    sys.path.insert(0, str(HERE / "neural_operators"))
    from table import rows  # pyright: ignore[reportMissingImports]

    head = ("row", "published", "best known", "obtained", "of one image", "seeds together", "seeds", "preset", "status")
    lines = []
    for r in rows():
        deviation = f" +- {number(r['std'], 2)}" if r["std"] is not None else ""
        known, averaged = ([number(r[name]) if r[name] else "" for name in pair]
                           for pair in (("published", "best_known"), ("one_image", "together")))
        lines.append((r["row"], *known, number(r["obtained"]) + deviation, *averaged, str(r["seeds"]), r["preset"] or "", r["status"]))
    return table(head, lines)


def operators_cost() -> str:
    """Of the same rows, where they were trained: the solver at equal error and in equal time, and after how many answers training pays."""
    lines = []
    for file in sorted((HERE / "results" / "neural_operators").glob("*.json")):
        r = json.loads(file.read_text())
        equal, within, pays = r["solver_equal_error"], r["solver_equal_time"], r["break_even_queries"]
        spent = r["data_seconds"] + sum(r["training_seconds"]) / len(r["seeds"])
        lines.append((f"{r['table']} {r['row']} {r['trained_at']}", number(r["errors"][r["trained_at"]]["mean"]), ms(r["surrogate_s"]),
                      ms(equal["seconds"]) if equal else "", number(within["error"]) if within else "",
                      f"{spent:.0f} s", f"{pays:.2g} answers" if pays else "never" if equal else ""))
    return table(("row", "error", "surrogate, a sample", "solver at equal error", "solver's error in equal time", "data and training",
                  "pays after"), lines)


def ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.3g} ms"


BENCHMARKS = ("burgers_generation", "solvers", "fno_step", "ensemble", "convolutions", "spectral_forms", "graph_step", "derivatives",
              "nsm_step", "streaming", "precision")


def scaling() -> str:
    """A step's cost as measured, its messages as counted, and what the model says of larger machines."""
    r = load("scaling")
    if r is None:
        return NONE
    measured = [(x["work"], number(x["ours_s"]), number(x["peer_s"]), number(x["ratio"])) for x in r["rows"]]
    counted = [(x["work"], f"{x['count']} {x['kind']}", number(x["bytes"] / 1e6), number(x["formula_bytes"] / 1e6)) for x in r["counted"]]
    parts = ("flops", "memory", "reduce", "exchange", "step")
    large = [(x["work"], f"{x['gpus']} on {x['hosts']}", *(number(1e3 * x[f"{k}_s"]) for k in parts), number(x["gb_a_device"]))
             for x in r["predicted"]]
    rates = (("flops", r["model"]["flops_a_second"]), ("bytes", r["model"]["bytes_a_second"]))
    fitted = ", ".join(f"{name} {number(v) if v else 'without a bound of its own'}" for name, v in rates)
    assumed = ", ".join(f"{name} {number(r['gpu'][name])} x {r['attained'][name]}" for name in r["gpu"])
    return "\n\n".join((
        table(("step", "measured, s", "model, s", "model / measured"), measured),
        table(("compiled for 4 devices", "messages", "MB a device", "by the formula"), counted),
        table(("predicted step", "GPUs, hosts", "products, ms", "memory, ms", "reduce, ms", "exchange, ms", "all, ms", "GiB a GPU"), large),
        f"Fitted, a second: {fitted}. Of one GPU, a second, times the attained share: {assumed}."))


def listed(topic: str) -> list[dict]:
    """The lines of a topic's `table.py`; in a process of its own, as another module called `table` may be loaded here."""
    script = HERE / topic / "table.py"
    found = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True, check=True).stdout
    return json.loads(found)["rows"]


def physics_informed() -> str:
    """One line for each script of the physics-informed table."""
    own = lambda e: e if e == "exact" else said(e, "{:.0e}", "")  # noqa: E731
    rows = [(r["row"], said(r["published"], "{:.2e}", ""), said(r["obtained"], "{:.2e}"), str(r["seeds"]), r["status"],
             said(r["seconds"], "{:.0f} s"), own(r["reference_error"])) for r in listed("physics_informed")]
    return table(("row", "lowest published", "obtained, mean", "seeds", "what it must reach", "training, a seed", "reference's own error"),
                 rows)


def spectral() -> str:
    """One line for each script of the spectral table."""
    rows = [(r["row"], said(r["published"], "{:.2e}", ""), said(r["obtained"], "{:.2e}"), str(r["seeds"]), r["preset"] or "", r["status"],
             said(r["residual"], "{:.2e}", ""), ms(r["step_seconds"]), said(r["peak_mb"], "{:.0f} MB", ""), ms(r["surrogate_s"]),
             ms(r["solver_equal_error_s"])) for r in listed("spectral")]
    return table(("row", "published", "obtained, mean", "seeds", "preset", "status", "residual", "a step", "memory", "surrogate, a sample",
                  "solver at equal error"), rows)


def few_data() -> str:
    """Burgers with and without the residual."""
    r = load("burgers/few_data_cpu")
    if r is None:
        return NONE
    found = {(x["samples"], x["residual"]): x["error"] for x in r["rows"]}
    rows = [(str(n), number(found.get((n, False))) if n else "", number(found.get((n, True)))) for n in sorted({n for n, _ in found})]
    return table(("solved samples", "data alone", "data and residual"), rows)


def optimisers() -> str:
    """Muon beside AdamW."""
    r = load("burgers/optimisers_cpu")
    if r is None:
        return NONE
    rows = [(x["optimiser"], str(x["epochs"]), number(x["rate"]), number(x["error"]), str(len(x["each"])), f"{x['seconds']:.0f} s")
            for x in r["rows"]]
    return table(("optimiser", "epochs", "rate", "test relative L2, mean", "seeds", "training"), rows)


def random_grid() -> str:
    """Both directions of the equations, and what was trained beside them."""
    share = lambda x, name: ", ".join(f"{100 * x[k]:.0f} %" for k in (f"{name}_within", f"{name}_fitted") if k in x)  # noqa: E731
    rows = []
    for case in ("poisson", "burgers", "cavity"):
        r = load(f"random_grid/{case}_cpu")
        name = r["case"] if r else ""
        rows += [(name, x["method"], *(cell for v in ("u", "z", "z_noisy") for cell in (said(x.get(v), "{:.3g}", ""), share(x, v))),
                  f"{x['seconds']:.0f} s") for x in (r["rows"] if r else [])]
    return table(("problem", "method", "error of u", "within, as trained and fitted", "of z", "within", "of z, noisy values", "within",
                  "training"), rows) if rows else NONE


def losses() -> str:
    """What the norm and the padding of a spectral loss are worth."""
    r = load("spectral/losses_cpu")
    rows = r["rows"] if r else []
    return table(("loss", "error, mean", "each seed"), [(x["loss"], number(x["error"]), ", ".join(map(number, x["each"]))) for x in rows])


def sampling() -> str:
    """Where a peak's points come from."""
    r = load("sampling")
    if r is None:
        return NONE
    rows = [(x["problem"], x["sampler"], number(x["error"]["mean"]), said(x["error"]["std"], "{:.2g}", ""), str(len(x["error"]["each"])),
             f"{sorted(x['seconds'])[len(x['seconds']) // 2]:.0f} s") for x in r["rows"]]
    return table(("problem", "points", "error, mean", "standard deviation", "seeds", "training"), rows)


def endurance() -> str:
    """Faults, what is expected of each, what was seen."""
    r = load("endurance")
    if r is None:
        return NONE
    rows = [(x["case"], x["expected"], x["observed"], "yes" if x["ok"] else "**no**") for x in r["rows"]]
    return table(("case", "expected", "observed", "as expected"), rows)


def mutants() -> str:
    """Damaged files, and what their readers made of them."""
    r = load("mutants")
    if r is None:
        return NONE
    rows = [(x["kind"], *(str(x[key]) for key in ("mutants", "refused", "same", "valid", "wrong"))) for x in r["rows"]]
    head = ("kind", "mutants", "refused", "read as the original", "valid, with hashes that fit", "wrongly read, crashes, hangs")
    return table(head, rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "runs": runs,
    "darcy_import": darcy_import, "head_to_head": head_to_head,
    "neural_operators": neural_operators, "operators_cost": operators_cost, "physics_informed": physics_informed, "spectral": spectral,
    "few_data": few_data,
    "optimisers": optimisers, "random_grid": random_grid,
    "losses": losses, "sampling": sampling, "corrected": in_use.corrected, "inverse": in_use.inverse,
    "control": in_use.control, "permeability": in_use.permeability, "trust": in_use.trust,
    "scaling": scaling, "endurance": endurance, "mutants": mutants,
    "resolution": resolution, "scattered": scattered, "mono_curves": mono_curves,
    **{name: (lambda name=name: benchmark(name)) for name in BENCHMARKS},
}


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
        draw()
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
