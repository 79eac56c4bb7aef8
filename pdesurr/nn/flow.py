"""A density on a box that is known exactly and sampled exactly: a normalising flow whose first state is the uniform one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import Numbers, check_box
from pdesurr.nn.dense import Dense
from pdesurr.nn.smooth import smooth
from pdesurr.types import Key

LIMIT = 1.0  # of the logarithm of one coupling's scale


class Coupling(eqx.Module):
    """z = (a, b) -> (a, b exp(s(a)) + t(a)), |s| <= 1 by a tanh, s = t = 0 at first; all axes in reverse order after it.

    `a` is the first half of the axes, rounded down: with one axis there is none, and s and t are numbers."""

    hidden: Dense
    out: Dense
    held: int = eqx.field(static=True)

    def __init__(self, dim: int, width: int, *, key: Key):
        self.held = dim // 2
        self.hidden = Dense(max(1, self.held), width, key=key)
        out = Dense(width, 2 * (dim - self.held), key=key)
        self.out = eqx.tree_at(lambda layer: layer.weight, out, jnp.zeros_like(out.weight))

    def scale_and_shift(self, a: Float[Array, "n a"]) -> tuple[Float[Array, "n b"], Float[Array, "n b"]]:
        a = a if self.held else jnp.zeros((len(a), 1), a.dtype)
        s, t = jnp.split(self.out(self.hidden(Jet((a,), ((0,),))).map(smooth("tanh"))).value, 2, axis=1)
        return LIMIT * jnp.tanh(s / LIMIT), t

    def forward(self, z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The image, and the logarithm of the Jacobian's determinant (its size; the reversal changes only the sign)."""
        a, b = z[:, : self.held], z[:, self.held :]
        s, t = self.scale_and_shift(a)
        return jnp.concatenate([a, b * jnp.exp(s) + t], axis=1)[:, ::-1], jnp.sum(s, axis=1)

    def backward(self, z: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The inverse, and the logarithm of `forward`'s determinant at what it finds."""
        z = z[:, ::-1]
        a, b = z[:, : self.held], z[:, self.held :]
        s, t = self.scale_and_shift(a)
        return jnp.concatenate([a, (b - t) * jnp.exp(-s)], axis=1), jnp.sum(s, axis=1)


class BoxFlow(eqx.Module):
    """A density on the box (lower, upper), of any dimension: x = lower + (upper - lower) sigmoid(T(z)), T a chain of affine couplings, z of
    independent standard logistic numbers. T is the identity at first, and then x is uniform, exactly.

    In the box's own unit u in (0, 1)^d: log p(x) = sum_i log l(z_i) - log |det T'(z)| - sum_i log l(logit u_i) - log volume, with l(z) =
    sigmoid(z) sigmoid(-z) the logistic density and z = T^-1(logit u). A coupling narrows by a factor of e at most, so a peak of a share h
    of the box wants about 2 log(1 / h) couplings. Points closer to a wall than rounding count as that close.
    Raises `UsageError` for an empty box or numbers < 1. Source: Dinh, Sohl-Dickstein and Bengio, ICLR 2017 (affine couplings).
    """

    couplings: tuple[Coupling, ...]
    lower: Numbers = eqx.field(static=True)
    upper: Numbers = eqx.field(static=True)

    def __init__(self, lower: Numbers, upper: Numbers, couplings: int = 8, width: int = 32, *, key: Key):
        check_box(lower, upper)
        require(min(couplings, width) > 0, "couplings, width", "numbers > 0", (couplings, width))
        self.lower, self.upper = tuple(lower), tuple(upper)
        self.couplings = tuple(Coupling(len(lower), width, key=k) for k in jax.random.split(key, couplings))

    def sample(self, key: Key, n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """n points and the logarithms of the density there."""
        z = jax.random.logistic(key, (n, len(self.lower)), jnp.result_type(float))
        y, log_det = z, jnp.zeros((n,), z.dtype)
        for coupling in self.couplings:
            y, change = coupling.forward(y)
            log_det = log_det + change
        low, high = self._ends(z.dtype)
        return low + (high - low) * jax.nn.sigmoid(y), _log_logistic(z) - log_det - _log_logistic(y) - jnp.sum(jnp.log(high - low))

    def log_prob(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """The logarithm of the density at points of the box."""
        low, high = self._ends(x.dtype)
        least = jnp.finfo(x.dtype).eps
        u = jnp.clip((x - low) / (high - low), least, 1 - least)
        y = jnp.log(u) - jnp.log1p(-u)
        z, log_det = y, jnp.zeros((len(x),), x.dtype)
        for coupling in reversed(self.couplings):
            z, change = coupling.backward(z)
            log_det = log_det + change
        return _log_logistic(z) - log_det - _log_logistic(y) - jnp.sum(jnp.log(high - low))

    def _ends(self, dtype: jnp.dtype) -> tuple[Float[Array, "1 d"], Float[Array, "1 d"]]:
        return jnp.asarray(self.lower, dtype)[None], jnp.asarray(self.upper, dtype)[None]


def _log_logistic(z: Float[Array, "n d"]) -> Float[Array, " n"]:
    """sum_i log(sigmoid(z_i) sigmoid(-z_i))."""
    return jnp.sum(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z), axis=1)
