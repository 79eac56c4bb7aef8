"""The nonlinear elliptic problem in 10 dimensions by its energy."""

from _ritz import ritz_row
from _study import Preset, main

