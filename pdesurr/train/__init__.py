"""How models learn. This room knows only types: a model, an objective, a source of batches."""

from pdesurr.train.config import TrainConfig
from pdesurr.train.loop import FitResult, fit
from pdesurr.train.optimisers import adamw, muon
from pdesurr.train.search import Between, search
from pdesurr.train.state import TrainState

__all__ = ["Between", "FitResult", "TrainConfig", "TrainState", "adamw", "fit", "muon", "search"]
