"""Where functions live: bases, product grids, the calculi that read a PDE's text, and random fields."""

from pdesurr.fields._field import AbstractField, d, known, laplacian
from pdesurr.fields.autodiff import AutodiffField
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.grid import Grid
from pdesurr.fields.random import GaussianRandomField
from pdesurr.fields.spectral import SpectralField, dealias_mask
from pdesurr.fields.uniform import UniformBasis

__all__ = [
    "AbstractField", "AutodiffField", "FourierBasis", "GaussianRandomField", "Grid", "SpectralField", "UniformBasis", "d",
    "dealias_mask", "known", "laplacian",
]
