"""What training leaves behind: a model that knows its equation, its range and its own error, and the bundle it is kept in."""

from pdesurr.surrogates.bundle import load_surrogate, save_surrogate
from pdesurr.surrogates.spec import Channel, Spec
from pdesurr.surrogates.surrogate import RangeWarning, Surrogate
from pdesurr.surrogates.zoo import catalogue, load

__all__ = ["Channel", "RangeWarning", "Spec", "Surrogate", "catalogue", "load", "load_surrogate", "save_surrogate"]
