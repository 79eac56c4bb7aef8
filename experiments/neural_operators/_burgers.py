"""Burgers, u0 -> u(., 1) at nu = .1 on (0, 2 pi): what all its rows share. Kovachki et al., JMLR 24(89), table 3."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.study import Data, Preset, Row, main
from pdesurr.fields.symmetries import LINE, reflection
from pdesurr.train import TrainConfig

__all__ = ["LINE", "Preset", "TrainConfig", "data", "main", "row", "smoke"]

NODES = (256, 512, 1024, 2048, 4096, 8192)
PUBLISHED = {
    "FNO": (0.0018, 0.0018, 0.0018, 0.0019, 0.0020, 0.0019),
    "GNO": (0.0555, 0.0594, 0.0651, 0.0663, 0.0666, 0.0699),
    "LNO": (0.0212, 0.0221, 0.0217, 0.0219, 0.0200, 0.0189),
    "MGNO": (0.0243, 0.0355, 0.0374, 0.0360, 0.0364, 0.0364),
    "DeepONet": (0.0569, 0.0617, 0.0685, 0.0702, 0.0833, 0.0857),
}


def data(nodes: int, test: int = 200) -> Data:
    """1000 samples to train on at `nodes`, which divide 8192; tested there and at 256 ... 8192."""
    tests = tuple(dict.fromkeys((nodes, *NODES)))
    return Data("burgers_jmlr", 8192, 8192 // nodes, 1000, 96, test, tuple(8192 // n for n in tests))


def smoke(epochs: int = 2, nodes: int = 64, **size: Any) -> Preset:
    """Seconds: is the script whole?"""
    stored = Data("burgers_jmlr", 256, 256 // nodes, 32, 8, 8, (256 // nodes, 128 // nodes), {"nu": 0.5})
    return Preset(stored, TrainConfig(epochs=epochs, batch_size=8), size=size)


def row(name: str, network: Any, presets: dict[str, Preset], **more: Any) -> Row:
    """A row of the Burgers table."""
    numbers = dict(zip(map(str, NODES), PUBLISHED.get(name, ()), strict=False))
    return Row("burgers", name, network, presets, numbers, dict.fromkeys(map(str, NODES), 7e-4),
               **{"symmetries": (reflection,), **more})
