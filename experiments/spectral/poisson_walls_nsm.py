"""Poisson, zero on the walls, neural spectral method on sine modes, which vanish there: neither a factor nor a penalty holds the walls.
The published network is on Chebyshev modes.

The source is not zero on the walls, so the modes of u fall like k^-3, and what the kept ones leave out is part of the error.
"""

from _poisson import PAPER, Preset, main, row, sines, smoke

from pdesurr.models import NSM
from pdesurr.nn.activation import Activation
from pdesurr.objectives import SpectralResidual
from pdesurr.pdes import Poisson


def network(key, modes=24, width=32, depth=3, activation: Activation = "gelu", scale=1e-2):
    return NSM(1, 1, (modes, modes), width, depth, activation=activation, scale=scale, periodic=(False, False), key=key)


ROW = row("Poisson with walls, NSM", network, lambda preset: SpectralResidual(Poisson(walls=True), padding=1.0), {
    "smoke": smoke(),
    "cpu": Preset(24, 4000, 3e-3, seeds=(0, 1, 2)),
    "paper": Preset(31, 100_000, size=PAPER),
}, walls=True, grid=sines, tested=63, published=None, must=None)

if __name__ == "__main__":
    main(ROW)
