"""The algebra a PDE's text is written in. Which calculus answers (spectral, autodiff, ...) is the caller's choice."""

import abc
import functools
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx

from pdesurr.checks import expected


class AbstractField(eqx.Module):
    """A scalar function that can be added, multiplied, raised to a whole power and differentiated by name."""

    @abc.abstractmethod
    def combine(self, op: Callable[[Any, Any], Any], other: Any, linear: bool) -> "AbstractField":
        """`op(self, other)` pointwise; `linear` says that `op` may act on coefficients; `other` is a field or a number."""

    @abc.abstractmethod
    def derivative(self, name: str, order: int) -> "AbstractField":
        """The `order`-th derivative along the axis called `name`."""

    @abc.abstractmethod
    def known(self, function: Callable[..., Any], names: tuple[str, ...]) -> "AbstractField":
        """`function(*coordinates of those axes)` as a field beside this one: a forcing or a coefficient."""

    @abc.abstractmethod
    def applied(self, function: Callable[[Any], Any]) -> "AbstractField":
        """`function` of the field's values, point by point: any smooth function of one number (jnp.exp, jax.nn.softplus)."""

    @abc.abstractmethod
    def inverse_laplacian(self, *names: str) -> "AbstractField":
        """The mean-free v whose Laplacian, along the axes called `names` or all, is u less its mean; `UsageError` without a basis."""

    def __add__(self, other):
        return self.combine(operator.add, other, isinstance(other, AbstractField))

    def __sub__(self, other):
        return self.combine(operator.sub, other, isinstance(other, AbstractField))

    def __mul__(self, other):
        return self.combine(operator.mul, other, not isinstance(other, AbstractField))

    def __truediv__(self, other):
        return self.combine(operator.truediv, other, not isinstance(other, AbstractField))

    def __pow__(self, power: int):
        return self.combine(operator.pow, power, False)

    def __neg__(self):
        return self * (-1.0)

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return (-self) + other


def without_a_basis(self: AbstractField, *names: str) -> AbstractField:
    """`inverse_laplacian` of a field that has no coefficients: raises `UsageError`."""
    raise expected("inverse Laplacian", f"a SpectralField, whose basis has one along {names or 'all axes'}", type(self).__name__,
                   "write the equation with the stream function (NavierStokes.residual_of_stream)")


def d(u: AbstractField, name: str, order: int = 1) -> AbstractField:
    """The `order`-th derivative of `u` along the axis called `name`: "x", "y", "z" or "t"."""
    return u.derivative(name, order)


def applied(function: Callable[[Any], Any], u: AbstractField) -> AbstractField:
    """A smooth function of one number, of a field: `applied(jnp.exp, u)`. Derivatives follow the chain rule, or are taken of its values."""
    return u.applied(function)


def known(u: AbstractField, function: Callable[..., Any], *names: str) -> AbstractField:
    """A function that is given, not solved for, as a field of `u`'s kind: `known(u, lambda x, y: jnp.sin(x + y), "x", "y")`."""
    return u.known(function, names)


def laplacian(u: AbstractField, *names: str) -> AbstractField:
    """The sum of second derivatives along the axes called `names`."""
    return functools.reduce(operator.add, (d(u, name, 2) for name in names))
