"""What "good" means: plain functions `(model, batch, key) -> (loss, metrics)`."""

from pdesurr.objectives.mixed import AtRecords, Mixed
from pdesurr.objectives.rollout import RolledOut, StepwiseL2
from pdesurr.objectives.sampled import SampledL2
from pdesurr.objectives.spectral import SpectralResidual, StencilResidual
from pdesurr.objectives.supervised import relative_h1, relative_l2

__all__ = [
    "AtRecords", "Mixed", "RolledOut", "SampledL2", "SpectralResidual", "StencilResidual", "StepwiseL2", "relative_h1", "relative_l2",
]
