"""The nonlinear elliptic problem in the unit square by its energy, whose integral is a Gauss-Legendre sum, and natural gradients."""

from _ritz import ritz_row
from _study import Preset, main

from pdesurr.objectives.sampling import Fresh
from pdesurr.train.natural_gradient import NaturalGradient

ROW = ritz_row(2, {
    "smoke": Preset(49, {"width": 4}, (NaturalGradient(2, sampler=Fresh("gauss")),), (0,)),
    "cpu": Preset(900, {"width": 20}, (NaturalGradient(80, sampler=Fresh("gauss")),)),
}, must=1e-3, aim=1e-5)

if __name__ == "__main__":
    main(ROW)
