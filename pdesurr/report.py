"""The report of a run: `report.md` and its figures, generated from the run's own numbers."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import metrics
from pdesurr._files import write_text
from pdesurr.data import Dataset
from pdesurr.surrogates import Surrogate
from pdesurr.surrogates.card import channels, ranges, values
from pdesurr.surrogates.spec import Spec

TRUTH, MODEL = "#222222", "#d1495b"
BANDS = 16
SERIES = ("#00798c", "#edae49", "#66a182", "#2e4057")


def write_report(
    folder: Path,
    results: dict[str, Any],
    surrogate: Surrogate,
    test: Dataset,
    strides: list[int],
    errors: dict[str, np.ndarray],
    history: list[dict[str, Any]],
) -> Path:
    """Figures into `folder/figures`, then `folder/report.md`."""
    plt = pyplot()
    (folder / "figures").mkdir(exist_ok=True)
    drawings = {"training": lambda: _training(plt, history), "distribution": lambda: _distribution(plt, errors)}
    if test.grid.ndim == 1:
        drawings["predictions"] = lambda: _predictions(plt, surrogate, test, strides[0], next(iter(errors.values())))
        drawings["spectrum"] = lambda: _spectrum(plt, surrogate, test, strides)
    if "recovery" in results:
        drawings["recovery"] = lambda: _recovery(plt, results["recovery"], surrogate.spec)
    for name, draw in drawings.items():
        figure = draw()
        figure.savefig(folder / "figures" / f"{name}.png", bbox_inches="tight")
        plt.close(figure)
    path = folder / "report.md"
    write_text(path, _text(results, list(drawings), surrogate.spec))
    return path


def _predictions(plt: Any, surrogate: Surrogate, test: Dataset, stride: int, errors: np.ndarray) -> Any:
    order = np.argsort(errors)
    grid = test.grid.with_shape(test.grid.shape[0] // stride)
    x = grid.bases[0].nodes
    chosen = order[[0, len(order) // 2, -1]]
    predictions = np.asarray(jax.jit(surrogate)(jnp.asarray(test.inputs[chosen, ::stride])))
    figure, axes = plt.subplots(3, 3, figsize=(10, 6), sharex=True, sharey="row", height_ratios=(1.4, 3, 1.4))
    for column, label, i, prediction in zip(axes.T, ("best", "median", "worst"), chosen, predictions, strict=True):
        a, u = test.inputs[i, ::stride], test.outputs[i, ::stride]
        column[0].plot(x, a[:, 0], color="#777777", lw=0.8)
        column[0].set_title(f"{label}: relative L2 error {errors[i]:.2e}")
        column[1].plot(x, u[:, 0], color=TRUTH, lw=2, label="truth")
        column[1].plot(x, prediction[:, 0], color=MODEL, lw=1.2, ls="--", label="surrogate")
        column[2].plot(x, prediction[:, 0] - u[:, 0], color=MODEL, lw=0.8)
        column[2].set_xlabel(test.grid.names[0])
    axes[1, 0].legend()
    a, u = (c.name if c.time is None else f"{c.name}(t = {c.time:g})" for c in (surrogate.spec.input[0], surrogate.spec.output[0]))
    for row, label in zip(axes, (a, u, f"error of {u}"), strict=True):
        row[0].set_ylabel(label)
    return figure


def _distribution(plt: Any, errors: dict[str, np.ndarray]) -> Any:
    figure, axis = plt.subplots(figsize=(5, 3))
    for colour, (name, found) in zip(SERIES, errors.items(), strict=False):
        share = np.arange(1, len(found) + 1) / len(found)
        axis.step(np.sort(found), share, where="post", lw=1.5, color=colour, label=f"{name} nodes, mean {found.mean():.2e}")
    axis.set(xscale="log", xlabel="relative L2 error", ylabel="share of test samples below it", ylim=(0, 1.02))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _spectrum(plt: Any, surrogate: Surrogate, test: Dataset, strides: list[int], samples: int = 50) -> Any:
    figure, axis = plt.subplots(figsize=(5, 3.2))
    for colour, marker, stride in zip(SERIES, "osv^", strides, strict=False):
        grid = test.grid.with_shape(test.grid.shape[0] // stride)
        a, u = (jnp.asarray(v[:samples, ::stride]) for v in (test.inputs, test.outputs))
        one = partial(metrics.error_spectrum, grid=grid, bands=BANDS)
        measure = jax.jit(lambda a, u, one=one: jax.vmap(one)(surrogate(a), u))
        error, truth = (np.sqrt(np.mean(np.square(rms), axis=0)) for rms in measure(a, u))
        edges = metrics.spectrum_edges(grid, BANDS)
        middle = np.sqrt(np.maximum(edges[:-1], edges[1] / 2) * edges[1:])
        seen = truth > 0
        if stride == strides[0]:
            axis.loglog(middle[seen], truth[seen], color=TRUTH, lw=2, label="truth")
        axis.loglog(middle[error > 0], error[error > 0], f"{marker}-", ms=4, color=colour, lw=1.2, label=f"error at {grid.shape[0]} nodes")
    axis.set(xlabel="wavenumber (middle of its band; the first holds the mean)", ylabel="RMS in band")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _recovery(plt: Any, found: dict[str, Any], spec: Spec) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharex=True)
    styles = {"truth": (TRUTH, "-", "truth"), "alone": (MODEL, "--", "found by the surrogate alone"),
              "corrected": (SERIES[0], "--", "corrected by the solver")}
    names = [c.name if c.time is None else f"{c.name}(t = {c.time:g})" for c in (spec.input[0], spec.output[0])]
    for axis, part, name in zip(axes, ("starts", "ends"), names, strict=True):
        for key, (colour, line, label) in styles.items():
            axis.plot(found["x"], found[part][key], line, color=colour, lw=2 if key == "truth" else 1.2, label=label)
        axis.set(xlabel=spec.grid.names[0], ylabel=name)
    axes[1].plot(found["at"], found["values"], "o", ms=3.5, color="#777777", label="readings")
    axes[1].set_title("by the true solver", fontsize=9)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def recovery_line(found: dict[str, Any]) -> str:
    """What the inverse problem came to, in a sentence."""
    return (f"from {found['readings']} noisy readings the surrogate alone finds a start with objective {found['verified']:.4g} (it claims "
            f"{found['claimed']:.4g}); corrected by {found['solves']} true solves: {found['corrected']:.4g}")


def _inverse(found: dict[str, Any] | None) -> str:
    """The section on the inverse problem."""
    if found is None:
        return ""
    return f"""## An inverse problem

The start from {found["readings"]} readings of the end with {100 * found["noise"]:g} % noise, as the most probable combination of
{found["directions"]} principal components of the prior, with the surrogate loaded from `bundle/` (`pdesurr.optimise.minimise`), and
with the true solver correcting it (`trust_region`). The objective is half the squared misfit in units of the noise plus half the squared
coefficients: lower is better, and the solver has the last word.

| | objective, as the surrogate claims | by the true solver | true solves | relative L2 error of the start |
| --- | --- | --- | --- | --- |
| surrogate alone | {found["claimed"]:.4g} | {found["verified"]:.4g} | 1 | {found["error"]:.2g} |
| corrected | | {found["corrected"]:.4g} | {found["solves"]} | {found["corrected_error"]:.2g} |

Diffusion hides much of a start from its end: that error cannot be small, whatever the method.

![The start found, and its end](figures/recovery.png)
"""


def _training(plt: Any, history: list[dict[str, Any]]) -> Any:
    figure, axis = plt.subplots(figsize=(5, 3))
    epochs = [r["epoch"] for r in history]
    axis.semilogy(epochs, [r["loss"] for r in history], color=SERIES[0], label="training loss")
    axis.semilogy(epochs, [r["best_validation"] for r in history], color=MODEL, label="best validation error so far")
    axis.set(xlabel="epoch", ylabel="relative L2")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend()
    return figure


def draw_front(found: dict[str, Any], path: Path) -> None:
    """Error against time of a surrogate and of the solver's settings (what `workflow.compare` gives), as a picture."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(5, 3.4))
    shown = [f for f in found["solver"] if f["error"] > 0]
    axis.loglog(*([f[k] for f in shown] for k in ("seconds", "error")), "o-", color=TRUTH, ms=4, lw=1.2, label="solver")
    axis.loglog(found["surrogate"]["seconds"], found["surrogate"]["error"], "*", color=MODEL, ms=12, label="surrogate")
    axis.set(xlabel=f"seconds a sample, batch of {found['samples']}", ylabel="relative L2 error")
    axis.legend()
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def pyplot() -> Any:
    """Matplotlib without a screen, in this report's style."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "legend.frameon": False})
    return plt


def seconds(value: float) -> str:
    """A time with a fitting unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def cost_lines(results: dict[str, Any]) -> list[str]:
    """Sentences on time per sample, the honest comparison last."""
    cost = results["cost"]
    lines = [
        f"surrogate: {seconds(cost['surrogate_seconds'])} a sample (batch of {cost['batch']}, {cost['nodes'][0]} nodes)",
        f"reference solver ({cost['reference']}): {seconds(cost['reference_seconds'])} a sample, batched alike",
    ]
    equal = cost["equal_error"]
    if equal is None:
        return [*lines, "no cheaper setting of the solver reaches the surrogate's error"]
    steps = f", {equal['steps']} steps" if equal["steps"] else ""
    return [
        *lines,
        f"cheapest solver setting at the surrogate's error: {equal['route']} on {equal['nodes'][0]} nodes{steps}: "
        f"{seconds(equal['seconds'])} a sample (error {equal['error']:.2e})",
    ]


def _verdict(cost: dict[str, Any]) -> str:
    """Whether the surrogate is faster than a solver at its own error."""
    faster = cost["equal_error"]
    if faster is None:
        return ""
    ratio = faster["seconds"] / cost["surrogate_seconds"]
    advice = ": for plain forward evaluation of this equation, use the solver. " if ratio < 1 else ". "
    return (f"At equal error the solver takes {ratio:.2g} times the surrogate's time{advice}"
            "What the surrogate adds is the same call, with gradients, for equations whose solver is not this cheap.")


def _pictures(figures: list[str]) -> str:
    """The figures there are, under their headings."""
    pictures = {
        "predictions": "Predictions against truth: best, median and worst test sample",
        "distribution": "Errors of the test samples",
        "spectrum": "Error by wavenumber",
        "training": "Training",
    }
    return "\n\n".join(
        f"## {pictures[f]}\n\n![{pictures[f]}](figures/{f}.png)"
        for f in ("predictions", "distribution", "spectrum", "training")
        if f in figures
    )


def _text(results: dict[str, Any], figures: list[str], spec: Spec) -> str:
    rows = "\n".join(
        f"| {k} | {e['mean']:.3e} | {e['median']:.3e} | {e['p95']:.3e} | {e['max']:.3e} |" for k, e in results["errors"].items()
    )
    reference = results["reference_error"]
    versions = ", ".join(f"{k} {results['environment'][k]}" for k in ("pdesurr", "python", "jax", "equinox", "optax"))
    config, device = results["config"], results["environment"]["device"]
    untrained = "" if next(iter(results["errors"].values()))["mean"] < 0.3 else (
        "**Of little use: predicting zero has error 1.** This run was made to see that everything works; train for longer.\n")
    return f"""# Surrogate of {spec.pde}{values(spec.parameters)}: run report, preset {config["preset"]}

Maps {channels(spec.input)} to {channels(spec.output)}. Valid for:

{ranges(spec.input)}- L2 norm of an input: {spec.norms[0]:.4g} to {spec.norms[1]:.4g}

The whole card: `bundle/README.md`.

## Relative L2 error on test data
{untrained}
| nodes | mean | median | 95 % | max |
| --- | --- | --- | --- | --- |
{rows}

On {config["test"]} test samples. The reference solutions' own error: {reference["figure"]:.1e}
({reference["method"]}).
The weights were chosen on {config["validation"]} validation samples (best: {results["best_validation"]:.3e}); test samples were used once.

## Time

{chr(10).join("- " + line for line in cost_lines(results))}

{_verdict(results["cost"])}

Training took {seconds(results["training_seconds"])} on {device}; {results["parameters"]} real weights, seed {results["seed"]}.

{_inverse(results.get("recovery"))}
{_pictures(figures)}

## To repeat this

    {results["command"]}

Settings: `config.json`. Numbers: `results.json`. Curve: `metrics.jsonl`. Surrogate: `bundle/`. Versions: {versions}.
"""
