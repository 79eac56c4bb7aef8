"""Bricks that two or more models share."""

from pdesurr.nn.spectral_conv import SpectralConv, cheaper

__all__ = ["SpectralConv", "cheaper"]
