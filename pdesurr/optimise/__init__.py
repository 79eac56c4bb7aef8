"""Surrogates inside optimisation loops, with the true solver to keep them honest."""

from pdesurr.optimise.bayesian import BayesianSearch
from pdesurr.optimise.doors import scipy_functions
from pdesurr.optimise.kalman import EnsembleKalman, invert
from pdesurr.optimise.minimise import minimise
from pdesurr.optimise.optimum import Optimum
from pdesurr.optimise.posterior import Posterior, posterior
from pdesurr.optimise.refine import refine
from pdesurr.optimise.taylor import taylor_test
from pdesurr.optimise.torch_door import torch_function
from pdesurr.optimise.trust_region import trust_region

__all__ = ["BayesianSearch", "EnsembleKalman", "Optimum", "Posterior", "invert", "minimise", "posterior", "refine", "scipy_functions",
           "taylor_test", "torch_function", "trust_region"]
