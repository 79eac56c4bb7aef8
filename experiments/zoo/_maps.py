"""Maps that no table has, for optimisation: from a start or a coefficient to what is read of it later. One `Row` each."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "neural_operators"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from _navier_stokes import scalers as one_scale  # pyright: ignore[reportMissingImports]

from experiments.study import Data, Preset, Row
from pdesurr.data import Dataset
from pdesurr.data.scaling import ChannelScaler, pooled_scalers
from pdesurr.fields.symmetries import SQUARE
from pdesurr.models import FNO, RollOut
from pdesurr.train import TrainConfig

TRAINING = {"batch_size": 20, "learning_rate": 5e-3, "ema_decay": 0.99}
SMOKE = TrainConfig(epochs=2, batch_size=4)


def network(train: Any, key: Any, modes: int = 8, width: int = 16, head_width: int = 32, coordinates: bool = False) -> FNO:
    """`coordinates`: among the input's channels, where the answer depends on the place."""
    inputs, outputs, axes = train.inputs.shape[-1], train.outputs.shape[-1], train.grid.ndim
    return FNO(inputs, outputs, (modes,) * axes, width, coordinates=(coordinates,) * axes, head_width=head_width, key=key)


def row(name: str, data: Data, small: Data, epochs: int, size: dict[str, Any], made: Any = network,
        **more: Any) -> Row:
    presets = {"cpu": Preset(data, TrainConfig(epochs=epochs, **TRAINING), size=size),
               "smoke": Preset(small, SMOKE, size=size | {"modes": 4, "width": 4, "head_width": 8})}
    return Row("zoo", name, made, presets, **more)


def start(recipe: str, resolution: int, stride: int, train: int, count: int, tests: tuple[int, ...], **changes: float) -> Data:
    return Data(recipe, resolution, stride, train, count, count, tests, changes)


HEAT = row("heat", start("Heat", 64, 1, 1000, 100, (1,), horizon=0.25), start("Heat", 32, 1, 8, 4, (1,), horizon=0.25), 100, {"modes": 12})
LOGNORMAL = row("darcy, lognormal", start("darcy_lognormal", 61, 2, 2000, 100, (2, 1)), start("darcy_lognormal", 31, 2, 8, 4, (2,)), 100,
                {"modes": 8, "width": 20, "head_width": 64, "coordinates": True}, symmetries=SQUARE)


def scalers_of_both(train: Dataset) -> tuple[ChannelScaler, ChannelScaler]:
    """A scale for u and one for w, at the start and at the end."""
    return pooled_scalers(train.inputs, train.outputs, components=2)


def slot(train: Any, key: Any, **size: Any) -> RollOut:
    return RollOut(network(train, key, **size), 1, components=2, residual=True)


FORCED = row("burgers, forced", start("ForcedBurgers", 128, 1, 4000, 100, (1,)), start("ForcedBurgers", 64, 1, 8, 4, (1,)), 100,
             {"modes": 24, "width": 20}, made=slot, scalers=scalers_of_both)
LATER = {"horizon": 4.0, "intervals": 1, "history": 1}
VORTICITY = row("navier-stokes", start("ns_1e-3", 64, 2, 1000, 100, (2, 1), **LATER), start("ns_1e-3", 32, 2, 8, 4, (2,), **LATER), 150,
                {"modes": 8, "width": 20, "head_width": 64, "coordinates": True}, scalers=one_scale)
