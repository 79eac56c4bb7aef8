"""The nonlinear elliptic problem in 2 dimensions by its energy."""

from _ritz import ritz_row
from _study import Preset, main

