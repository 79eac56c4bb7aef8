"""A density on a box that is known exactly and sampled exactly: a normalising flow whose first state is the uniform one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Numbers, check_box
from pdesurr.nn.dense import Dense
from pdesurr.nn.smooth import smooth
from pdesurr.types import Key

LIMIT = 1.5  # of the logarithm of one coupling's scale


class Coupling(eqx.Module):
    """z = (a, b) -> (a, asinh(exp(s(a)) sinh(b)) + t(a)), |s| < 1.5 by a tanh, s = t = 0 at first; all axes in reverse order after it.

    Affine in the middle, where sinh(b) = b, and a shift in the tails, so that the density keeps finite slopes at the walls of the box;
    there too s and t are smooth, as they read tanh(a / 2), the place in the box. `a` is the first half of the axes, rounded down: with
    one axis there is none, and s and t are numbers."""

    hidden: Dense
    out: Dense
    held: int = eqx.field(static=True)

    def __init__(self, dim: int, width: int, *, key: Key):
        self.held = dim // 2
        self.hidden = Dense(max(1, self.held), width, key=key)
        out = Dense(width, 2 * (dim - self.held), key=key)
        self.out = eqx.tree_at(lambda layer: layer.weight, out, jnp.zeros_like(out.weight))

    def scale_and_shift(self, a: Float[Array, "n a"]) -> tuple[Float[Array, "n b"], Float[Array, "n b"]]:
        a = jnp.tanh(a / 2) if self.held else jnp.zeros((len(a), 1), a.dtype)
        s, t = jnp.split(self.out(self.hidden(Jet((a,), ((0,),))).map(smooth("tanh"))).value, 2, axis=1)
        return LIMIT * jnp.tanh(s / LIMIT), t

    def forward(self, z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The image, and the logarithm of the Jacobian's determinant (its size; the reversal changes only the sign)."""
        a, b = z[:, : self.held], z[:, self.held :]
        s, t = self.scale_and_shift(a)
        return jnp.concatenate([a, narrow(b, s) + t], axis=1)[:, ::-1], log_slope(b, s)

    def backward(self, z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The inverse, and the logarithm of `forward`'s determinant at what it finds."""
        z = z[:, ::-1]
        a, b = z[:, : self.held], z[:, self.held :]
        s, t = self.scale_and_shift(a)
        b = narrow(b - t, -s)
        return jnp.concatenate([a, b], axis=1), log_slope(b, s)


class BoxFlow(eqx.Module):
    """A density on the box (lower, upper), of any dimension: x = lower + (upper - lower) sigmoid(T(z)), T a chain of affine couplings, z of
    independent standard logistic numbers. T is the identity at first, and then x is uniform, exactly.

    In the box's own unit u in (0, 1)^d: log p(x) = sum_i log l(z_i) - log |det T'(z)| - sum_i log l(logit u_i) - log volume, with l(z) =
    sigmoid(z) sigmoid(-z) the logistic density and z = T^-1(logit u). p is positive, bounded and smooth up to the walls. A coupling
    narrows by a factor of 4.5 at most, and every second one an axis. Points closer to a wall than rounding count as that close.
    Raises `UsageError` for an empty box or numbers < 1. Source: Dinh, Sohl-Dickstein and Bengio, ICLR 2017 (affine couplings; there of b,
    whose scale puts poles or zeros at the walls of a box).
    """

    couplings: Coupling  # all of them, one above the other
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, couplings: int = 8, width: int = 32, *, key: Key):
        check_box(lower, upper)
        require(min(couplings, width) > 0, "couplings, width", "numbers > 0", (couplings, width))
        self.lower, self.upper = tuple(lower), tuple(upper)
        self.couplings = jax.vmap(lambda key: Coupling(len(lower), width, key=key))(jax.random.split(key, couplings))

    def sample(self, key: Key, n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """n points and the logarithms of the density there."""
        z = jax.random.logistic(key, (n, len(self.lower)), jnp.result_type(float))
        y, log_det = self.chain(Coupling.forward, z)
        low, high = self._ends(z.dtype)
        return low + (high - low) * jax.nn.sigmoid(y), _log_logistic(z) - log_det - _log_logistic(y) - jnp.sum(jnp.log(high - low))

    def log_prob(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The logarithm of the density at points of the box."""
        low, high = self._ends(x.dtype)
        least = jnp.finfo(x.dtype).eps
        u = jnp.clip((x - low) / (high - low), least, 1 - least)
        y = jnp.log(u) - jnp.log1p(-u)
        z, log_det = self.chain(Coupling.backward, y)
        return _log_logistic(z) - log_det - _log_logistic(y) - jnp.sum(jnp.log(high - low))

    def chain(self, direction: Callable[..., Any], z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """T or, `direction` backward, its inverse, with log |det T'|."""

        def step(carry: tuple[Array, Array], coupling: Coupling) -> tuple[tuple[Array, Array], None]:
            z, change = direction(coupling, carry[0])
            return (z, carry[1] + change), None

        return lax.scan(step, (z, jnp.zeros((len(z),), z.dtype)), self.couplings, reverse=direction is Coupling.backward)[0]

    def _ends(self, dtype: jnp.dtype) -> tuple[Float[Array, "1 d"], Float[Array, "1 d"]]:
        return jnp.asarray(self.lower, dtype)[None], jnp.asarray(self.upper, dtype)[None]


def narrow(b: Float[Array, "n b"], s: Float[Array, "n b"]) -> Float[Array, "n b"]:
    """asinh(exp(s) sinh(b)); s with the other sign undoes it."""
    return jnp.asinh(jnp.exp(s) * jnp.sinh(b))


def log_slope(b: Float[Array, "n b"], s: Float[Array, "n b"]) -> Float[Array, " n"]:
    """The logarithm of the derivative in b, summed: of exp(s) cosh(b) / sqrt(1 + (exp(s) sinh(b))^2)."""
    return jnp.sum(s + jnp.log(jnp.cosh(b)) - 0.5 * jnp.log1p((jnp.exp(s) * jnp.sinh(b)) ** 2), axis=1)


def _log_logistic(z: Float[Array, "n d"]) -> Float[Array, " n"]:
    """sum_i log(sigmoid(z_i) sigmoid(-z_i))."""
    return jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z), axis=1)
