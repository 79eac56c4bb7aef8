"""Coordinates as a network sees them: the box on (-1, 1), periodic axes by harmonics, then random Fourier features if wanted."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet, concatenate
from pdesurr.fields.regions import Numbers, check_box
from pdesurr.nn.smooth import sin
from pdesurr.types import Key


class Embedding(eqx.Module):
    """Each axis i of the box (lower_i, upper_i) as s_i in (-1, 1), or, where `harmonics[i]` > 0, as cos and sin(k pi s_i) for k = 1 ...
    harmonics[i], which makes what follows periodic. With `frequencies` > 0 then cos and sin of that many random directions, normal with
    standard deviation `scale`, trained (Tancik et al., NeurIPS 2020). Raises `UsageError` for an empty box."""

    directions: Float[Array, "e f"] | None
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)
    harmonics: tuple[int, ...] = eqx.field(static=True)
    frequencies: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, harmonics: tuple[int, ...] | None = None, frequencies: int = 0,
                 scale: float = 1.0, *, key: Key):
        check_box(lower, upper)
        harmonics = (0,) * len(lower) if harmonics is None else tuple(harmonics)
        require(len(harmonics) == len(lower) and min(harmonics) >= 0, "harmonics", f"{len(lower)} whole numbers >= 0", harmonics)
        require(frequencies >= 0, "frequencies", "a whole number >= 0", frequencies)
        require(math.isfinite(scale) and scale > 0, "scale", "a number > 0", scale)
        self.lower, self.upper, self.harmonics = tuple(lower), tuple(upper), harmonics
        self.frequencies, self.scale = frequencies, scale
        width = sum(2 * k if k else 1 for k in harmonics)
        self.directions = scale * jax.random.normal(key, (width, frequencies)) if frequencies else None

    @property
    def width(self) -> int:
        return 2 * self.frequencies or sum(2 * k if k else 1 for k in self.harmonics)

    @property
    def arguments(self) -> dict:
        return {"lower": list(self.lower), "upper": list(self.upper), "harmonics": list(self.harmonics), "frequencies": self.frequencies,
                "scale": self.scale}

    def __call__(self, x: Jet) -> Jet:
        s = to_unit(x, self.lower, self.upper)
        columns = []
        for axis, k in enumerate(self.harmonics):
            own = s.linear(lambda parts, axis=axis: parts[..., axis : axis + 1])
            columns.append(waves(own @ (math.pi * jnp.arange(1, k + 1, dtype=s.dtype)[None])) if k else own)
        features = concatenate(columns)
        return features if self.directions is None else waves(features @ self.directions.astype(s.dtype))


def waves(z: Jet) -> Jet:
    """Cosines and sines."""
    return concatenate([z.shift(math.pi / 2).map(sin), z.map(sin)])


def to_unit(x: Jet, lower: Numbers, upper: Numbers) -> Jet:
    """The box to (-1, 1) along each axis. Raises `UsageError` for points of another dimension."""
    require(x.channels == len(lower), "points", f"shape (n, {len(lower)}), as the box has axes", x.value.shape)
    dtype = x.dtype
    half = (jnp.asarray(upper, dtype) - jnp.asarray(lower, dtype)) / 2
    return x.shift(-(jnp.asarray(lower, dtype) + half)[None]).scale((1 / half)[None])
