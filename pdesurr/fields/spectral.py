"""The spectral calculus: a field on a grid of spectral bases that holds coefficients or values and converts on demand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from pdesurr.checks import require
from pdesurr.fields._basis import along
from pdesurr.fields._field import AbstractField
from pdesurr.fields.grid import Grid


class SpectralField(AbstractField):
    """A real scalar field `(*grid,)`. Exactly one of `hat` (coefficients, as `Grid.transform` gives them) and `nodal` (values) is held.

    Products are taken in values and stay there until a derivative (or the caller) asks for coefficients. `dealias` is the
    fraction of each axis's modes that survives a conversion: 2/3 makes quadratic products free of aliasing (Orszag 1971), 1
    keeps all. The mask sits in the conversions and nowhere else, so no equation mentions it.

    On a sine or cosine axis every field that is differentiated must satisfy the basis' condition at the walls (a constant on a
    sine axis does not, and is expanded as a step), and odd derivatives raise `UsageError`: equations that need them take a
    Chebyshev axis.
    """

    grid: Grid
    hat: Array | np.ndarray | None = None
    nodal: Array | None = None
    dealias: float = eqx.field(static=True, default=2 / 3)

    def __check_init__(self):
        require((self.hat is None) != (self.nodal is None), "SpectralField", "exactly one of hat and nodal", None)
        require(0 < self.dealias <= 1, "dealias", "a fraction in (0, 1]", self.dealias)

    @property
    def values(self) -> Float[Array, "*grid"]:
        return self.nodal if self.nodal is not None else self.grid.inverse(jnp.asarray(self._masked(self.hat)))

    @property
    def coefficients(self) -> Shaped[Array, "*grid_hat"] | Shaped[np.ndarray, "*grid_hat"]:
        if self.hat is not None:
            return self.hat
        return self._masked(self.grid.transform(self.values))

    def _masked(self, hat):
        if self.dealias == 1:
            return hat
        mask = dealias_mask(self.grid, self.dealias)
        return hat * mask.astype(hat.dtype)

    def combine(self, op, other, linear):
        if not isinstance(other, SpectralField):  # a number
            if linear and self.nodal is None:
                return self._with(hat=op(self.hat, other))
            return self._with(nodal=op(self.values, other))
        in_values = not linear or (self.nodal is not None and other.nodal is not None)
        if in_values:
            return self._with(nodal=op(self.values, other.values))
        return self._with(hat=op(self.coefficients, other.coefficients))

    def derivative(self, name, order):
        return self._with(hat=self.grid.derivative_hat(self.coefficients, name, order))

    def applied(self, function):
        return self._with(nodal=function(self.values))

    def known(self, function, names):
        """Evaluated and transformed once, on the host in float64, so that a solver's steps do not do it again."""
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            coordinates = [jnp.asarray(self.grid.nodes[..., self.grid.axis(name)]) for name in names]
            hat = self.grid.transform_known(jnp.broadcast_to(function(*coordinates), self.grid.shape))
        return self._with(hat=self._masked(hat.astype(self._coefficient_dtype())))

    def _coefficient_dtype(self):
        held = self.nodal if self.nodal is not None else self.hat
        assert held is not None
        return jnp.finfo(held.dtype).dtype if self.grid.half_axis is None else np.result_type(held.dtype, np.complex64)

    def inverse_laplacian(self, *names: str) -> "SpectralField":
        """The mean-free v with Lap v = u less its mean, the Laplacian along the axes called `names`, or all."""
        hat = self.coefficients
        square = sum(-np.real(self.grid.symbol(name, 2)) for name in names or self.grid.names)
        inverse = -np.divide(1.0, square, out=np.zeros_like(square), where=square > 0)
        return self._with(hat=hat * inverse.astype(hat.dtype))

    def _with(self, hat=None, nodal=None) -> "SpectralField":
        return SpectralField(self.grid, hat, nodal, self.dealias)


def dealias_mask(grid: Grid, fraction: float) -> Float[np.ndarray, "*grid_hat"]:
    """1 where |j| < fraction * (the Nyquist index) on every axis, 0 elsewhere."""
    keep = [along(grid.spectral_basis(i).below(fraction, grid.is_half(i)).astype(float), i, grid.ndim) for i in range(grid.ndim)]
    return np.prod(np.broadcast_arrays(*keep), axis=0)
