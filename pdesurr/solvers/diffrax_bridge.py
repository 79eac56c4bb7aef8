"""Diffrax's integrators behind this room's face, `scheme(equation, dt) -> step`; and ETDRK as a Diffrax solver.

For equations that are not diagonal (implicit methods) or whose speed changes (steps chosen by an error estimate).
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from pdesurr.checks import require
from pdesurr.solvers.etdrk import Semilinear, etdrk_coefficients, etdrk_step

SAME = 1e-9  # relative: what rounding makes of equal steps

State = tuple[Array, Bool[Array, ""]]


def adaptive(equation: Semilinear | Callable[[Array], Array], dt: float, *, rtol: float = 1e-8, atol: float = 1e-10,
             solver: diffrax.AbstractSolver | None = None, most: int = 4096) -> Callable[[State], State]:
    """A step of length `dt` that takes as many of its own as the tolerances ask for, at most `most`: `(u, right) -> (u, right)`.

    `equation`: u_t as a function of u (real, any shape), or a `Semilinear`, whose complex coefficients travel as real pairs. `right` says
    that this step and all before it reached their end: a failure leaves u as it last was, finite, and `right` False; start with
    `begin(u)`. The pair goes through `repeated` and `trajectory` like any state. `solver`: Tsitouras' 5(4) unless given; stiff equations
    take `diffrax.Kvaerno5()`. Errors per step are kept below atol + rtol |u| in the root mean square. Reverse-mode differentiable (through
    the steps taken, by checkpoints); under vmap every sample takes as many steps as the slowest. The field runs in float64 or float32,
    where tolerances below 1e-6 cannot be met.
    """
    require(dt > 0, "dt", "a time > 0", dt)
    require(rtol > 0 and atol > 0, "rtol, atol", "tolerances > 0", (rtol, atol))
    require(isinstance(most, int) and most >= 1, "most", "a whole number >= 1", most)
    method = diffrax.Tsit5() if solver is None else solver
    require(isinstance(method, diffrax.AbstractAdaptiveSolver), "solver", "a Diffrax solver with an error estimate", method)
    term = diffrax.ODETerm(lambda t, y, args: _rate(equation, y))
    controller = diffrax.PIDController(rtol=rtol, atol=atol)

    def step(state: State) -> State:
        u, right = state
        y = _real(u) if isinstance(equation, Semilinear) else u
        done = diffrax.diffeqsolve(term, method, 0.0, float(dt), None, y, stepsize_controller=controller, max_steps=most, throw=False)
        assert done.ys is not None
        ok = (done.result == diffrax.RESULTS.successful) & jnp.all(jnp.isfinite(done.ys[-1])) & right
        v = _complex(done.ys[-1]) if isinstance(equation, Semilinear) else done.ys[-1]
        return jnp.where(ok, v, u), ok

    return step


def begin(u: Array) -> State:
    """The state that `adaptive` steps start from."""
    return u, jnp.asarray(True)


def _rate(equation: Semilinear | Callable[[Array], Array], y: Array) -> Array:
    if not isinstance(equation, Semilinear):
        return equation(y)
    u = _complex(y)
    return _real(jnp.asarray(equation.symbol).astype(u.dtype) * u + equation.nonlinear(u))


def _real(u: Array) -> Array:
    return jnp.stack([jnp.real(u), jnp.imag(u)])


def _complex(y: Array) -> Array:
    return jax.lax.complex(y[0], y[1])


class ExponentialRungeKutta(diffrax.AbstractSolver):
    """`etdrk` for `diffrax.diffeqsolve`: u_t = `symbol` u + the term's vector field, in coefficients (complex).

    For Diffrax's own loops: saving, events, adjoints. It has no error estimate, so it takes constant steps. Coefficients are computed for
    the first step's length, and again for each step that has another (the last ones, unless `dt0` divides the time; in float32, any that
    rounding changes). At equal steps it takes as long as `repeated(etdrk(...), n)`, to a few per cent. In the state's precision: float64
    (in float32 coefficients lose three digits; `etdrk` computes them on the host).
    """

    symbol: Any
    order_of_scheme: int = eqx.field(static=True, default=4)

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def __check_init__(self):
        require(self.order_of_scheme in (1, 2, 3, 4), "order_of_scheme", "1, 2, 3 or 4", self.order_of_scheme)

    def order(self, terms: Any) -> int:
        return self.order_of_scheme

    def init(self, terms, t0, t1, y0, args):
        return jnp.asarray(t1 - t0), self._coefficients(t1 - t0, y0)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        dt, coefficients = solver_state
        same = jnp.abs(t1 - t0 - dt) <= SAME * dt
        coefficients = jax.lax.cond(same, lambda: coefficients, lambda: self._coefficients(t1 - t0, y0))
        y1 = etdrk_step(lambda u: terms.vf(t0, u, args), coefficients, y0, self.order_of_scheme)
        return y1, None, {"y0": y0, "y1": y1}, solver_state, diffrax.RESULTS.successful

    def _coefficients(self, dt, y0):
        symbol = jnp.asarray(self.symbol).astype(y0.dtype)
        return tuple(c.astype(y0.dtype) for c in etdrk_coefficients(symbol, jnp.asarray(dt).astype(y0.dtype), self.order_of_scheme))

    def func(self, terms, t0, y0, args):
        return jnp.asarray(self.symbol).astype(y0.dtype) * y0 + terms.vf(t0, y0, args)
