"""Where functions live: bases, product grids, the calculi that read a PDE's text, and random fields."""

from pdesurr.fields._basis import AbstractBasis, AbstractSpectralBasis, AbstractTrigonometricBasis
from pdesurr.fields._field import AbstractField, applied, d, known, laplacian
from pdesurr.fields.autodiff import AutodiffField
from pdesurr.fields.chebyshev import ChebyshevBasis
from pdesurr.fields.fourier import FourierBasis
from pdesurr.fields.grid import Grid
from pdesurr.fields.manufactured import manufactured
from pdesurr.fields.random import GaussianRandomField, lognormal, threshold
from pdesurr.fields.spectral import SpectralField, dealias_mask
from pdesurr.fields.split import SplitGrid
from pdesurr.fields.stencil import StencilField, finite_difference_weights
from pdesurr.fields.trigonometric import CosineBasis, SineBasis
from pdesurr.fields.uniform import UniformBasis

__all__ = [
    "AbstractBasis", "AbstractField", "AbstractSpectralBasis", "AbstractTrigonometricBasis",
    "AutodiffField", "ChebyshevBasis", "CosineBasis", "FourierBasis", "GaussianRandomField", "Grid",
    "SineBasis", "SpectralField", "SplitGrid", "StencilField", "UniformBasis", "applied", "d", "dealias_mask", "finite_difference_weights",
    "known", "laplacian", "lognormal", "manufactured", "threshold",
]
