"""Tables of surrogates in use."""

import statistics
from typing import Any

from cells import NONE, number, said, table  # pyright: ignore[reportMissingImports]
from figures import load  # pyright: ignore[reportMissingImports]

COSTS = ("above the least", "at most", "true solves", "to one per cent", "time")


def costs(found: list[dict[str, Any]]) -> tuple[str, ...]:
    """Of the rows of one method: medians over the data's seeds, and the largest excess."""
    middle = lambda key: statistics.median(x[key] for x in found)  # noqa: E731
    near = [x["solves_to_one_per_cent"] for x in found if x["solves_to_one_per_cent"]]
    every = f"{statistics.median(near):.0f}" if len(near) == len(found) else f"{len(near)} of {len(found)}" if near else ""
    return (f"{100 * middle('excess'):.3g} %", f"{100 * max(x['excess'] for x in found):.3g} %", f"{middle('solves'):.0f}", every,
            f"{middle('seconds'):.3g} s")


def corrected() -> str:
    """Claims, truths and true solves."""
    r = load("optimisation/corrected")
    if r is None:
        return NONE
    rows = [(x["problem"], x["method"], said(x["claimed"], "{:.4e}", ""), f"{x['verified']:.4e}", f"{100 * x['excess']:.3g} %",
             str(x["solves"]), said(x.get("solves_to_one_per_cent"), "{:.0f}", "")) for x in r["rows"]]
    return table(("problem", "method", "J claimed", "J verified", "above the minimum", "true solves", "to one per cent"), rows)


def inverse() -> str:
    """Inverse problems through pretrained surrogates: medians over the data's seeds."""
    r = load("optimisation/inverse")
    if r is None:
        return NONE
    rows = []
    for name, method in dict.fromkeys((x["surrogate"], x["method"]) for x in r["rows"]):
        found = [x for x in r["rows"] if (x["surrogate"], x["method"]) == (name, method)]
        rows.append((name, method, *costs(found), f"{statistics.median(x['error'] for x in found):.2f}"))
    return table(("surrogate", "method", *COSTS, "error of the input"), rows)


def control() -> str:
    """Control through roll-outs, within and without what the surrogate was trained on."""
    r = load("optimisation/control")
    if r is None:
        return NONE
    rows = []
    for name, shift, method in dict.fromkeys((x["surrogate"], x["shift"], x["method"]) for x in r["rows"]):
        found = [x for x in r["rows"] if (x["surrogate"], x["shift"], x["method"]) == (name, shift, method)]
        rows.append((name.removeprefix("burgers-forced-fno").removeprefix(", ") or "as trained", number(shift), method, *costs(found)))
    said_of = f"Refined by {r['lesson_solves']} solves of {r['lessons']} other searches."
    return table(("surrogate", "shift of the mean", "method", *COSTS), rows) + f"\n\n{said_of}"


def permeability() -> str:
    """Darcy's coefficient from 50 readings: medians over the data's seeds."""
    r = load("optimisation/permeability")
    if r is None:
        return NONE
    rows = []
    for method in dict.fromkeys(x["method"] for x in r["rows"]):
        found = [x for x in r["rows"] if x["method"] == method]
        middle = lambda key: statistics.median(x[key] for x in found)  # noqa: E731, B023
        rows.append((method, str(len(found)), f"{100 * middle('excess'):.3g} %", f"{middle('solves'):.0f}", f"{middle('error'):.2f}",
                     said(found[0].get("off"), "{:.2g}", ""), said(found[0].get("spread"), "{:.2g}", ""), f"{middle('seconds'):.3g} s"))
    return table(("method", "draws", "objective above the least", "true solves", "error of log a", "means apart, deviations",
                  "ratio of deviations", "time"), rows)


def trust() -> str:
    """What the pretrained surrogates know of their errors."""
    r = load("optimisation/trust")
    if r is None:
        return NONE
    share = lambda v: f"{100 * v:.0f} %"  # noqa: E731
    rows = [(f"{s['surrogate']}, {s['estimate']}", x["row"], number(x["error"]["mean"]), share(x["coverage"]), number(x.get("width")),
             share(x["bound_kept"]),
             f"{x['spearman']:.2f}", share(x["novel"]), number(s["tolerance"]), share(x["guarded_kept"]), share(x["solved"]),
             f"{1e3 * x['guarded_s']:.3g} ms", f"{1e3 * s['solver_s']:.3g} ms") for s in r["surrogates"] for x in s["rows"]]
    return table(("surrogate, estimate", "inputs", "error, mean", "band covers", "its half-width", "bound holds", "rank correlation",
                  "called novel", "tolerance", "guarded: within it", "solved", "a sample", "solver alone"), rows)
