"""Bricks that two or more models share."""

from pdesurr.nn.spectral_conv import SpectralConv, cheaper
from pdesurr.nn.tucker import Tucker

__all__ = ["SpectralConv", "Tucker", "cheaper"]
