"""What is solved: one equation per file."""

from pdesurr.pdes._base import AbstractEvolution, AbstractPDE, Setting
from pdesurr.pdes._periodic import AbstractPeriodicEvolution
from pdesurr.pdes.burgers import Burgers
from pdesurr.pdes.navier_stokes import NavierStokes

__all__ = ["AbstractEvolution", "AbstractPDE", "AbstractPeriodicEvolution", "Burgers", "NavierStokes", "Setting"]
