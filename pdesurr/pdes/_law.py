"""Laws of random functions: what the priors of equations are made of."""

import abc
import dataclasses

import equinox as eqx
from jaxtyping import Array, Float

from pdesurr.fields import Grid
from pdesurr.types import Key


class AbstractLaw(eqx.Module):
    """`law(key, grid) -> (*grid,)`: one draw, the same function of the point at every resolution. A field of an equation."""

    @abc.abstractmethod
    def __call__(self, key: Key, grid: Grid) -> Float[Array, "*grid"]: ...

    @property
    def parameters(self) -> dict[str, float]:
        """The law's numbers by name; which names there are tells the laws apart."""
        return {f.name: float(getattr(self, f.name)) for f in dataclasses.fields(self)}  # pyright: ignore[reportArgumentType]
