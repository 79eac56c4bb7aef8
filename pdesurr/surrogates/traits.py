"""What the inputs of one law have in common that neither their values nor their norms show: how large a mean is, how far peaks stand out,
how fast they vary."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pdesurr.fields import Grid

MARGIN = 0.1  # of the training's range, on either side

Ranges = dict[str, tuple[float, float]]


def traits(values: Float[Array | np.ndarray, "n *grid c"]) -> dict[str, Float[np.ndarray, " n"]]:
    """For each sample: the mean of each channel in units of its root mean square; its largest deviation from the mean in units of the
    standard deviation (its peak); and the root mean square of the differences from node to node, times the nodes, in units of that of the
    values."""
    v = np.asarray(values, np.float64)
    axes = tuple(range(1, v.ndim - 1))
    size = np.sqrt(np.mean(v**2, axis=axes)) + 1e-30  # (n, c)
    found = {f"mean of channel {i}": np.mean(v[..., i], axis=axes) / size[:, i] for i in range(v.shape[-1])}
    about = v - np.mean(v, axis=axes, keepdims=True)
    spread = np.sqrt(np.mean(about**2, axis=axes)) + 1e-9 * size
    peak = np.max(np.abs(about), axis=axes) / spread
    found |= {f"peak of channel {i}": peak[:, i] for i in range(v.shape[-1])}
    change = sum(np.mean((np.diff(v, axis=a) * v.shape[a]) ** 2, axis=axes) for a in axes)
    return found | {"roughness": np.sqrt(np.max(change / size**2, axis=-1))}


def ranges(values: Float[Array | np.ndarray, "n *grid c"]) -> Ranges:
    """The least and largest of each trait."""
    return {name: (float(found.min()), float(found.max())) for name, found in traits(values).items()}


def strange(values: Float[Array, "n *grid c"], known: Ranges, grid: Grid, trained: Grid) -> list[str]:
    """Sentences about traits outside what training saw; a roughness is known at the training's resolution alone."""
    found, said = traits(jnp.asarray(values)), []
    for name, (low, high) in known.items():
        if name not in found or (name == "roughness" and grid.shape != trained.shape):
            continue
        allowed = 0.0 if name == "roughness" else low  # operators answer smoother inputs as well
        margin = MARGIN * (high - allowed) + 1e-3
        least, most = float(found[name].min()), float(found[name].max())
        if least < allowed - margin or most > high + margin:
            unit = "standard deviations" if name.startswith("peak") else "root mean squares"
            said.append(f"input {name} is in [{least:.3g}, {most:.3g}] {unit}, training saw [{low:.3g}, {high:.3g}]")
    return said
