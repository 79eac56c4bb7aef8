"""What is solved: one equation per file."""

from pdesurr.pdes._base import AbstractEvolution, AbstractPDE, Setting
from pdesurr.pdes._coefficients import LogNormal, PiecewiseConstant, Trigonometric
from pdesurr.pdes._periodic import AbstractPeriodicEvolution
from pdesurr.pdes._prior import GaussianStart, KernelStart
from pdesurr.pdes.advection import Advection
from pdesurr.pdes.allen_cahn import AllenCahn
from pdesurr.pdes.burgers import Burgers
from pdesurr.pdes.burgers_2d import Burgers2D
from pdesurr.pdes.cavity import Cavity
from pdesurr.pdes.darcy import Darcy
from pdesurr.pdes.flow_mixing import FlowMixing
from pdesurr.pdes.forced_burgers import ForcedBurgers
from pdesurr.pdes.gray_scott import GrayScott
from pdesurr.pdes.heat import Heat
from pdesurr.pdes.helmholtz import Helmholtz
from pdesurr.pdes.klein_gordon import KleinGordon
from pdesurr.pdes.korteweg_de_vries import KortewegDeVries
from pdesurr.pdes.kuramoto_sivashinsky import KuramotoSivashinsky
from pdesurr.pdes.lorenz_96 import Lorenz96
from pdesurr.pdes.navier_stokes import NavierStokes
from pdesurr.pdes.nonlinear_diffusion import NonlinearDiffusion
from pdesurr.pdes.nonlinear_poisson import NonlinearPoisson
from pdesurr.pdes.poisson import Poisson
from pdesurr.pdes.quasilinear_poisson import QuasilinearPoisson
from pdesurr.pdes.reaction_diffusion import ReactionDiffusion
from pdesurr.pdes.unsteady_cavity import UnsteadyCavity
from pdesurr.pdes.wave import Wave

__all__ = [
    "AbstractEvolution", "AbstractPDE", "AbstractPeriodicEvolution", "Advection", "AllenCahn", "Burgers", "Burgers2D", "Cavity",
    "Darcy", "FlowMixing", "ForcedBurgers", "GaussianStart", "GrayScott", "Heat", "Helmholtz", "KernelStart", "KleinGordon",
    "KortewegDeVries", "KuramotoSivashinsky", "LogNormal", "Lorenz96", "NavierStokes", "NonlinearDiffusion", "NonlinearPoisson",
    "PiecewiseConstant", "Poisson", "QuasilinearPoisson", "ReactionDiffusion", "Setting", "Trigonometric", "UnsteadyCavity",
    "Wave",
]
