"""How things move: time-stepping schemes and step combinators. A scheme is a function `(equation, dt) -> step`."""

from pdesurr.solvers.etdrk import Semilinear, etdrk, phi
from pdesurr.solvers.rollout import repeated, trajectory, with_filter

__all__ = ["Semilinear", "etdrk", "phi", "repeated", "trajectory", "with_filter"]
