"""How far to trust a surrogate: bands that cover, estimates of an error without its truth, inputs unlike those of training."""

from pdesurr.uq.conformal import Band, conformal_band, conformal_quantile
from pdesurr.uq.estimates import AbstractEstimate, Calibrated, Corrected, Novelty, Propagated, Residual, calibrated
from pdesurr.uq.gaussian import Rescaled, rescaled
from pdesurr.uq.guarded import Guarded, Routed, guarded
from pdesurr.uq.spread import Disagreement, LastLayer

__all__ = ["AbstractEstimate", "Band", "Calibrated", "Corrected", "Disagreement", "Guarded", "LastLayer", "Novelty", "Propagated",
           "Rescaled", "Residual", "Routed", "calibrated", "conformal_band", "conformal_quantile", "guarded", "rescaled"]
