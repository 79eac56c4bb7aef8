"""Navier-Stokes vorticity on the unit torus, ten records in, the later ones out: what all its rows share.

Li et al., ICLR 2021 (arXiv 2010.08895), Navier-Stokes table; Kovachki et al., JMLR 24(89). `cpu` is a small form of it, not comparable with
the published numbers: 200 samples instead of 1000, to t = 20, trained on 32 x 32 nodes. The forcing depends on x + y alone, so equation and
prior commute with shifts along its lines: the symmetries of training.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.study import Data, OneStep, Preset, Row, main
from pdesurr.data import Dataset
from pdesurr.data.scaling import ChannelScaler, pooled_scalers
from pdesurr.fields.symmetries import Translation
from pdesurr.objectives import StepwiseL2
from pdesurr.train import TrainConfig

__all__ = ["SHORT", "OneStep", "Preset", "TrainConfig", "main", "paper", "row", "short", "smoke"]

ALONG = tuple(Translation((i / 16, -i / 16)) for i in range(1, 16))
SHORT = TrainConfig(epochs=80, batch_size=5, learning_rate=1e-2, optimiser="muon")


def short(nu: str, train: int = 200, refinement: int = 1, **changes: float) -> Data:
    """To t = 20 on 64 x 64 stored nodes, every second of them in training; tested there and on all."""
    return Data(f"ns_{nu}", 64, 2, train, 40, 40, (2, 1), {"horizon": 20, "intervals": 20, "refinement": refinement} | changes)


def paper(nu: str, train: int = 1000, **changes: float) -> Data:
    """The published set."""
    return Data(f"ns_{nu}", 64, 1, train, 100, 200, (1,), changes)


def smoke(**size: Any) -> Preset:
    """Seconds: is the script whole?"""
    data = Data("ns_1e-3", 16, 1, 8, 4, 4, (1,), {"horizon": 6, "intervals": 6, "history": 2, "refinement": 1})
    return Preset(data, TrainConfig(epochs=2, batch_size=4), size=size)


def scalers(train: Dataset) -> tuple[ChannelScaler, ChannelScaler]:
    """One scale about zero for all records."""
    return pooled_scalers(train.inputs, train.outputs, centre=False)


def row(name: str, network: Any, presets: dict[str, Preset], published: dict[str, float] | None = None, **more: Any) -> Row:
    """A row of the Navier-Stokes tables."""
    return Row("ns", name, network, presets, published or {}, reduced=("cpu",),
               **{"objective": StepwiseL2(), "scalers": scalers, "symmetries": ALONG, **more})
