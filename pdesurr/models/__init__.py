"""What is learned: one family of models per file."""

from pdesurr.models.deeponet import DeepONet, PODDeepONet, pod_modes
from pdesurr.models.ffno import FFNO
from pdesurr.models.fno import FNO
from pdesurr.models.lno import LNO
from pdesurr.models.mgno import MgNO
from pdesurr.models.mono import MoNO, mono_centres

__all__ = ["DeepONet", "FFNO", "FNO", "LNO", "MgNO", "MoNO", "PODDeepONet", "mono_centres", "pod_modes"]
