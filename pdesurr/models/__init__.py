"""What is learned: one family of models per file."""

from pdesurr.models.ffno import FFNO
from pdesurr.models.fno import FNO

__all__ = ["FFNO", "FNO"]
