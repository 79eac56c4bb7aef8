"""The card of a bundle: what a person reads before using it, generated from the spec."""

from typing import Any

from pdesurr.surrogates.spec import Channel, Spec


def card(spec: Spec, model: str, arguments: dict[str, Any], weights: int) -> str:
    """Markdown with the front matter that model hubs read."""
    rows = "\n".join(f"| {k} | {e['mean']:.3e} | {e['median']:.3e} | {e['p95']:.3e} | {e['max']:.3e} | {int(e['samples'])} |"
                     for k, e in spec.errors.items())
    axes = ", ".join(f"{name} in [{b.lower:g}, {b.upper:g}] ({'periodic' if b.periodic else 'walls'}, {b.n} nodes)"
                     for name, b in zip(spec.grid.names, spec.grid.bases, strict=True))
    reference = f"{spec.reference_error:.1e}" if spec.reference_error is not None else "not measured"
    return f"""---
license: {spec.licence.lower()}
library_name: pdesurr
tags: [physics, pde, jax]
---
# {spec.pde} surrogate ({model})

Maps {channels(spec.input)} to {channels(spec.output)} on {axes}.

- Equation: {spec.pde}{values(spec.parameters)}
- Model: {model}{values(arguments)}; {weights} real weights, float32
- Training data: {values(spec.data).strip(' ()')}; relative error of the reference solutions: {reference}
- Training: {values(spec.training).strip(' ()')}

## Error on test data (relative L2)

| resolution | mean | median | 95 % | max | samples |
| --- | --- | --- | --- | --- | --- |
{rows}

## Valid range

{ranges(spec.input)}
L2 norm of an input in training: {spec.norms[0]:.4g} to {spec.norms[1]:.4g}. `predict` warns outside these ranges; the errors above do not
hold there. In an optimisation loop check the optimum with the reference solver: a search drifts to where a surrogate is wrong.

## Use

    import pdesurr
    surrogate = pdesurr.load("path/to/this/folder")  # or its name, where a catalogue has it
    u = surrogate.predict(a)  # (*grid, {len(spec.input)}) or (batch, *grid, {len(spec.input)})
"""


def channels(those: tuple[Channel, ...]) -> str:
    return ", ".join(f"{c.name}{'' if c.time is None else f'(t = {c.time:g})'} [{c.unit}]" for c in those)


def ranges(those: tuple[Channel, ...]) -> str:
    return "".join(f"- {c.name}: values in [{c.lower:.4g}, {c.upper:.4g}]\n" for c in those)


def values(numbers: dict[str, Any]) -> str:
    text = ", ".join(f"{k} = {_value(v)}" for k, v in numbers.items())
    return f" ({text})" if text else ""


def _value(v: Any) -> str:
    if isinstance(v, dict) and set(v) == {"class", "arguments"}:  # a model inside another
        return f"{v['class']}{values(v['arguments'])}"
    return f"{v:g}" if isinstance(v, float) else str(v)
