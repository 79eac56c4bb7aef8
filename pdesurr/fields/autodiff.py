"""The autodiff calculus: a field that is a function of a point, differentiated exactly by forward mode."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields._field import AbstractField, without_a_basis


class AutodiffField(AbstractField):
    """A scalar function `function(point)`, `point` an array `(d,)` whose entries are the axes `names`, e.g. ("t", "x")."""

    function: Callable[[Float[Array, " d"]], Float[Array, ""]]
    names: tuple[str, ...] = eqx.field(static=True)

    inverse_laplacian = without_a_basis

    def __call__(self, points: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The field's values at points."""
        return jax.vmap(self.function)(points)

    def combine(self, op, other, linear):
        f = self.function
        if isinstance(other, AutodiffField):
            g = other.function
            return AutodiffField(lambda p: op(f(p), g(p)), self.names)
        return AutodiffField(lambda p: op(f(p), other), self.names)

    def derivative(self, name, order):
        require(name in self.names, "axis", f"one of {self.names}", name)
        f = self.function
        for _ in range(order):
            f = _directional(f, self.names.index(name))
        return AutodiffField(f, self.names)

    def applied(self, function):
        f = self.function
        return AutodiffField(lambda p: function(f(p)), self.names)

    def known(self, function, names):
        index = [self.names.index(name) for name in names]
        return AutodiffField(lambda p: function(*(p[i] for i in index)), self.names)


def _directional(f: Callable, axis: int) -> Callable:
    def df(point: Array) -> Array:
        direction = jnp.zeros_like(point).at[axis].set(1)
        return jax.jvp(f, (point,), (direction,))[1]

    return df
