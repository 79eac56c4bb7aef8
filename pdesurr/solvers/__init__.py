"""How things move: time-stepping schemes and step combinators. A scheme is a function `(equation, dt) -> step`."""

from pdesurr.solvers.chebyshev import fast_helmholtz
from pdesurr.solvers.diffrax_bridge import ExponentialRungeKutta, adaptive, begin
from pdesurr.solvers.etdrk import Semilinear, Step, etdrk, phi
from pdesurr.solvers.imex import crank_nicolson_euler, imex
from pdesurr.solvers.newton import newton
from pdesurr.solvers.rollout import checkpointed, repeated, trajectory, with_filter
from pdesurr.solvers.splitting import strang
from pdesurr.solvers.stability import stable_step

__all__ = [
    "ExponentialRungeKutta", "Semilinear", "Step", "adaptive", "begin", "checkpointed", "crank_nicolson_euler", "etdrk", "fast_helmholtz",
    "imex", "newton", "phi", "repeated", "stable_step", "strang", "trajectory", "with_filter",
]
