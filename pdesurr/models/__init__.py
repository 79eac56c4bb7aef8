"""What is learned: one family of models per file."""

from pdesurr.models.fno import FNO

__all__ = ["FNO"]
