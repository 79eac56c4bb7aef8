"""What is learned: one family of models per file. Flax users: `pdesurr.models.flax` makes their modules models, and models modules."""

from pdesurr.models.comoving import CoMoving
from pdesurr.models.conditions import InitialValue, ZeroMean, ZeroWalls
from pdesurr.models.deeponet import DeepONet, PODDeepONet, pod_modes
from pdesurr.models.ensemble import Ensemble
from pdesurr.models.ffno import FFNO
from pdesurr.models.fno import FNO
from pdesurr.models.gno import GNO
from pdesurr.models.lno import LNO
from pdesurr.models.mgno import MgNO
from pdesurr.models.mono import MoNO, mono_centres
from pdesurr.models.multipole import MultipoleGraphOperator, OrthogonalMultipole
from pdesurr.models.nsm import NSM
from pdesurr.models.over_time import OverTime, Records
from pdesurr.models.resampled import Resampled
from pdesurr.models.rollout import RollOut
from pdesurr.models.smoothed import Smoothed
from pdesurr.models.sno import SNO
from pdesurr.models.spacetime import SpaceTime
from pdesurr.models.symmetrised import Symmetrised
from pdesurr.models.transolver import Transolver
from pdesurr.models.unet import UNet

__all__ = [
    "CoMoving", "DeepONet", "Ensemble", "FFNO", "FNO", "GNO", "InitialValue", "LNO", "MgNO", "MoNO", "MultipoleGraphOperator", "NSM",
    "OrthogonalMultipole", "OverTime", "PODDeepONet", "Records", "Resampled", "RollOut", "SNO", "Smoothed", "SpaceTime", "Symmetrised",
    "Transolver", "UNet", "ZeroMean", "ZeroWalls", "mono_centres", "pod_modes",
]
