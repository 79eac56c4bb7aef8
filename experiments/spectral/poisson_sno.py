"""Poisson, periodic, spectral neural operator trained on the same spectral loss: what activations at collocation nodes are worth."""

from _poisson import Preset, coefficients, main, row, smoke

from pdesurr.models import SNO, ZeroMean
from pdesurr.nn.activation import Activation


def network(key, modes=17, width=32, depth=4, activation: Activation = "gelu", scale=1e-2):
    return ZeroMean(SNO(1, 1, (modes, modes), width, depth, activation=activation, scale=scale, key=key))


ROW = row("Poisson periodic, SNO", network, coefficients, {
    "smoke": smoke(),
    "cpu": Preset(24, 8000, 3e-3, seeds=(0, 1, 2)),
}, published=None, must=None)

if __name__ == "__main__":
    main(ROW)
