"""What is solved: one equation per file."""

from pdesurr.pdes._base import AbstractEvolution, AbstractPDE, Setting
from pdesurr.pdes.burgers import Burgers

__all__ = ["AbstractEvolution", "AbstractPDE", "Burgers", "Setting"]
