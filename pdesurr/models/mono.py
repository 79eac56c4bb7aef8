"""A mixture of neural operators: a tree sends each input to one of many small experts."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pdesurr.checks import expected, require
from pdesurr.fields import Grid
from pdesurr.models.fno import FNO
from pdesurr.nn.clusters import tree
from pdesurr.nn.fixed import Fixed
from pdesurr.types import Key, Samples, parameter_count


class MoNO(eqx.Module):
    """u = E_i(a), i = route(a): one of branching^levels experts, each an `FNO` of the given size. An input's low Fourier numbers
    (`encode`) are compared with the centres of a tree: at each node on the way down it goes to the child whose centre is nearest.

    Only the routed expert is evaluated, in a batch too: a call gathers its parameters out of the stacked ones, so a batch holds
    one copy of an expert's parameters per sample. Training reaches the experts that the batch was routed to.
    `active`, `stored`: parameters that one input uses, and all. The output jumps where the route changes.

    Shapes, errors and the arguments of `expert` as in `FNO`, the size of one expert. `codes`: wavenumbers per axis that the
    route looks at. `centres`: what `mono_centres` found for the training inputs, as the model will see them (scaled); without it the
    tree is drawn at random. Training leaves it alone; a bundle keeps it.
    Good values: branching 2-4, levels 1-3, codes 3-8, with some hundred training samples per expert.
    Source: Kratsios, Furuya, Lara, Lassas and de Hoop, arXiv 2404.09101 (mixtures by a tree; clustering and FNO experts are ours).
    """

    experts: FNO
    centres: tuple[Fixed, ...]
    branching: int = eqx.field(static=True)
    codes: int = eqx.field(static=True)

    def __init__(self, in_channels: int, out_channels: int, modes: tuple[int, ...], width: int, depth: int = 2, *, branching: int = 2,
                 levels: int = 2, codes: int = 4, centres: list[np.ndarray] | None = None, key: Key, **expert: Any):
        require(branching >= 2 and levels >= 1 and codes >= 1, "branching, levels, codes", "numbers >= 2, 1, 1", (branching, levels, codes))
        require(levels <= 16 and branching**levels <= 4096, "branching, levels", "at most 4096 experts", (branching, levels))
        key, drawn = jax.random.split(key)
        size = in_channels * (2 * codes - 1) ** len(modes)
        shapes = [(branching**level, branching, size) for level in range(levels)]
        found = centres or [jax.random.normal(jax.random.fold_in(drawn, i), s) for i, s in enumerate(shapes)]
        require([c.shape for c in found] == shapes, "centres", f"shapes {shapes}", [c.shape for c in found],
                "take them from mono_centres(inputs, grid, ...) with the same branching, levels and codes")
        self.centres = tuple(Fixed(c) for c in found)
        keys = jax.random.split(key, branching**levels)
        self.experts = eqx.filter_vmap(lambda k: FNO(in_channels, out_channels, modes, width, depth, key=k, **expert))(keys)
        self.branching, self.codes = branching, codes

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, but for the key and the centres: a bundle keeps it beside the weights."""
        return {**self.experts.arguments, "branching": self.branching, "levels": len(self.centres), "codes": self.codes}

    @property
    def stored(self) -> int:
        """Parameters of all experts."""
        return parameter_count(self.experts)

    @property
    def active(self) -> int:
        """Parameters that one input's evaluation uses."""
        return self.stored // self.branching ** len(self.centres)

    def route(self, a: Samples) -> Int[Array, ""]:
        """The number of the expert that answers `a`."""
        code, node = encode(a, self.codes), jnp.zeros((), jnp.int32)
        for level in self.centres:
            square = jnp.sum((level.value[node].astype(code.dtype) - code[None]) ** 2, axis=1)
            node = node * self.branching + jnp.argmin(square).astype(jnp.int32)
        return node

    def __call__(self, a: Samples, x: Grid | None = None, *, key: Key | None = None) -> Float[Array, "*grid out"]:
        """One sample."""
        i = self.route(a)
        return jax.tree.map(lambda p: p[i], self.experts)(a, x, key=key)


def encode(a: Samples, codes: int) -> Float[Array, " f"]:
    """The means over the domain of a(x) times products of 1, cos and sin of the first `codes` wavenumbers per axis, by the
    grid's quadrature: the same at every resolution that resolves them. On an axis between walls the waves have twice its length."""
    grid = a.points
    if not isinstance(grid, Grid):
        raise expected("a.points", "a Grid (the route and the experts need one)", grid, "interpolate the samples to a Grid first")
    grid.check(a.values, "a.values")
    u = a.values
    for basis in grid.bases:
        length = basis.length if basis.periodic else 2 * basis.length
        angle = np.arange(1, codes)[:, None] * (2 * np.pi / length * (basis.nodes - basis.lower))[None]
        table = np.concatenate([np.ones((1, basis.n)), np.cos(angle), np.sin(angle)]) * (basis.weights / basis.weights.sum())
        u = jnp.tensordot(u, jnp.asarray(table, u.dtype), axes=((0,), (1,)))
    return u.reshape(-1)


def mono_centres(inputs: Float[Array | np.ndarray, "samples *grid in"], grid: Grid, *, branching: int = 2, levels: int = 2,
                 codes: int = 4, seed: int) -> list[np.ndarray]:
    """The tree of centres for `MoNO(..., centres=...)`, by recursive k-means of the training inputs' codes (see `encode`).
    Raises `UsageError` if some cluster has fewer different inputs than branches."""
    codes_of = jax.vmap(lambda v: encode(Samples(grid, v), codes))(jnp.asarray(inputs, jnp.float32))
    return tree(np.asarray(codes_of, np.float64), branching, levels, seed)
