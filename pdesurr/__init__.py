"""pdesurr: surrogates for partial differential equations in JAX.

The front door. Names are imported when they are first used, so that `import pdesurr` costs nothing. What it does do is
set one XLA option on the version of jax that computes wrong results without it (see `pdesurr._xla`): import it before
jax computes anything.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pdesurr._version import __version__ as __version__
from pdesurr._xla import ensure_correct

ensure_correct()
del ensure_correct

_HOME = {
    "Batch": "pdesurr.types",
    "Burgers": "pdesurr.pdes",
    "Energy": "pdesurr.objectives.physics",
    "Equation": "pdesurr.objectives.physics",
    "FNO": "pdesurr.models",
    "FourierBasis": "pdesurr.fields",
    "GaussianRandomField": "pdesurr.fields",
    "Grid": "pdesurr.fields",
    "Observations": "pdesurr.objectives.physics",
    "PDESource": "pdesurr.data.sources",
    "Problem": "pdesurr.objectives.physics",
    "Samples": "pdesurr.types",
    "Surrogate": "pdesurr.surrogates",
    "TrainConfig": "pdesurr.train",
    "fit": "pdesurr.train",
    "fit_problem": "pdesurr.train.physics",
    "generate": "pdesurr.data",
    "load": "pdesurr.surrogates",
    "load_surrogate": "pdesurr.surrogates",
    "open_dataset": "pdesurr.data",
    "relative_h1": "pdesurr.objectives",
    "relative_l2": "pdesurr.objectives",
}

__all__ = [  # noqa: F822  (the names come from __getattr__)
    "Batch",
    "Burgers",
    "Energy",
    "Equation",
    "FNO",
    "FourierBasis",
    "GaussianRandomField",
    "Grid",
    "Observations",
    "PDESource",
    "Problem",
    "Samples",
    "Surrogate",
    "TrainConfig",
    "fit",
    "fit_problem",
    "generate",
    "load",
    "load_surrogate",
    "open_dataset",
    "relative_h1",
    "relative_l2",
]

if TYPE_CHECKING:
    from pdesurr.data import generate, open_dataset
    from pdesurr.data.sources import PDESource
    from pdesurr.fields import FourierBasis, GaussianRandomField, Grid
    from pdesurr.models import FNO
    from pdesurr.objectives import relative_h1, relative_l2
    from pdesurr.objectives.physics import Energy, Equation, Observations, Problem
    from pdesurr.pdes import Burgers
    from pdesurr.surrogates import Surrogate, load, load_surrogate
    from pdesurr.train import TrainConfig, fit
    from pdesurr.train.physics import fit_problem
    from pdesurr.types import Batch, Samples


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdesurr' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What the package offers, imported or not."""
    return sorted({*globals(), *__all__})
