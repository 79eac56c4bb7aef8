"""What is learned: one family of models per file."""

from pdesurr.models.fno import FNO
from pdesurr.models.lno import LNO
from pdesurr.models.mgno import MgNO

__all__ = ["FNO", "LNO", "MgNO"]
