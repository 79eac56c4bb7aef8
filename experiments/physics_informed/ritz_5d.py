"""The nonlinear elliptic problem in five dimensions by its energy: Adam on fresh points that fill the cube evenly."""

from _ritz import ritz_row
from _study import Preset, main

from pdesurr.objectives.sampling import Fresh
from pdesurr.train.stages import Adam

ROW = ritz_row(5, {
    "smoke": Preset(100, {"width": 4}, (Adam(20, 1e-2, 20, Fresh("quasi")),), (0,)),
    "cpu": Preset(2000, {"width": 32}, (Adam(5000, 5e-3, 500, Fresh("quasi")),)),
}, must=1e-2)

if __name__ == "__main__":
    main(ROW)
