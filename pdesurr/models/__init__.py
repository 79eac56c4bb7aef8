"""What is learned: one family of models per file."""

from pdesurr.models.fno import FNO
from pdesurr.models.gno import GNO
from pdesurr.models.multipole import MultipoleGraphOperator, OrthogonalMultipole

__all__ = ["FNO", "GNO", "MultipoleGraphOperator", "OrthogonalMultipole"]
