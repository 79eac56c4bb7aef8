"""Darcy, a -> u, coefficient 12 / 3: what all its rows share. Kovachki et al., JMLR 24(89), Darcy table.

As in the public set, labels are solutions on 421 x 421 nodes (their own error is stored with them); 85, 141 and 211 are every fifth,
third and second node. Training is at 85, the others are not retrained. `small` is a smaller form of it for CPUs.
"""

import functools
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.study import Data, Preset, Row, main
from pdesurr.builders import build
from pdesurr.fields.symmetries import SQUARE
from pdesurr.objectives import SampledL2, relative_h1
from pdesurr.train import TrainConfig

__all__ = ["Preset", "SampledL2", "TrainConfig", "data", "main", "named", "relative_h1", "row", "small", "smoke"]

NODES: tuple[str, ...] = ("85x85", "141x141", "211x211", "421x421")
PUBLISHED = {
    "FNO": (0.0108, 0.0109, 0.0109, 0.0098),
    "GNO": (0.0346, 0.0332, 0.0342, 0.0369),
    "LNO": (0.0520, 0.0461, 0.0445),
    "MGNO, graph": (0.0416, 0.0428, 0.0428, 0.0420),
    "DeepONet": (0.0476, 0.0479, 0.0462, 0.0487),
    "F-FNO": (0.0077,),
    "U-Net": (0.0080,),
    "Transolver": (0.0057,),
}
BEST_KNOWN = {"85x85": 0.0044, "211x211": 0.00176}


def data(stride: int = 5, train: int = 1000, test: int = 100, tests: tuple[int, ...] = (5, 3, 2, 1), validation: int = 100) -> Data:
    return Data("darcy_jmlr", 421, stride, train, validation, test, tests, {"refinement": 1})


def small(train: int = 500, tests: tuple[int, ...] = (2, 1)) -> Data:
    """Fewer samples, trained on 43 of 85 stored nodes an axis: not comparable with what is published."""
    return Data("darcy_jmlr", 85, 2, train, 50, 100, tests)


def named(model: str, **fixed: Any) -> Any:
    """A row's network: the model of that name, what depends on the data found in them."""
    return functools.partial(build, model, **fixed)


def smoke(epochs: int = 2, first: tuple[int, TrainConfig] | None = None, **size: Any) -> Preset:
    """Seconds: is the script whole?"""
    stored = Data("darcy_jmlr", 43, 3, 16, 8, 4, (3,), {"refinement": 1})
    return Preset(stored, TrainConfig(epochs=epochs, batch_size=8), size=size, first=first)


def row(name: str, network: Any, presets: dict[str, Preset], **more: Any) -> Row:
    """A row of the Darcy table. A script whose `cpu` is `small` says reduced=("cpu",)."""
    numbers: dict[str, float] = dict(zip(NODES, PUBLISHED.get(name, ()), strict=False))
    return Row("darcy", name, network, presets, numbers, **{"best_known": BEST_KNOWN, "symmetries": SQUARE, **more})
