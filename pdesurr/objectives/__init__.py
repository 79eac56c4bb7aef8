"""What "good" means: plain functions `(model, batch, key) -> (loss, metrics)`."""

from pdesurr.objectives.sampled import SampledL2
from pdesurr.objectives.supervised import relative_h1, relative_l2

__all__ = ["SampledL2", "relative_h1", "relative_l2"]
