"""Models by name: each can be built from a data set alone, and bad settings are named."""

import inspect
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_files import small_info

from pdesurr.builders import BUILDERS, build
from pdesurr.checks import UsageError
from pdesurr.commands import Train
from pdesurr.data import Dataset
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.surrogates.bundle import MODELS, NESTED
from pdesurr.types import Samples

KEY = jax.random.key(0)
LINE = Grid([FourierBasis(32, 0.0, 2.0)])
SQUARE = Grid([UniformBasis(12, 0.0, 1.0, "left"), UniformBasis(10, 0.0, 1.0, "closed")])


def data(grid: Grid, channels=(1, 1), n: int = 16) -> Dataset:
    rng = np.random.default_rng(0)
    inputs, outputs = (rng.standard_normal((n, *grid.shape, c)).astype(np.float32) for c in channels)
    return Dataset(inputs, outputs, grid, small_info())


def answered(name: str, dataset: Dataset, **arguments):
    """Model and output of the first sample, shapes alone."""
    def both(key):
        model = build(name, dataset, key, **arguments)
        return model, model(Samples(dataset.grid, jnp.asarray(dataset.inputs[0])), None)
    return eqx.filter_eval_shape(both, KEY)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_name_and_data_are_enough(name):
    for grid, channels in ((LINE, (1, 1)), (SQUARE, (2, 1))):
        if name == "OrthogonalMultipole" and grid is SQUARE:
            with pytest.raises(UsageError, match="a Grid of one Fourier axis"):
                answered(name, data(grid))
            continue
        if name in ("NSM", "SNO") and grid is SQUARE:
            with pytest.raises(UsageError, match="spectral grid"):
                answered(name, data(grid))
            continue
        model, answer = answered(name, data(grid, channels))
        assert type(model).__name__ == name and answer.shape == (*grid.shape, channels[1])


def test_every_model_of_a_bundle_has_its_name():
    """But for those that wrap another model; the command's help names them all."""
    wrappers = {name for name, model in MODELS.items() if NESTED in model.__init__.__annotations__}
    assert set(BUILDERS) == set(MODELS) - wrappers
    assert all(re.search(rf"\b{name}\b", inspect.getsource(Train)) for name in BUILDERS)


def test_settings_reach_the_model():
    model, _ = answered("GNO", data(LINE), radius=0.25, kernel=[8, 4], width=6)
    assert (model.radius, model.arguments["kernel"], model.arguments["width"]) == (0.25, [8, 4], 6)
    model, _ = answered("MoNO", data(LINE), branching=3, modes=3, head_width=8)
    assert len(model.centres) == 1 and model.centres[0].bits.shape[1] == 3 and model.arguments["head_width"] == 8
    assert answered("PODDeepONet", data(LINE), rank=3)[0].arguments["rank"] == 3


@pytest.mark.parametrize("name, arguments, words", [
    ("Nope", {}, "model: expected one of FNO"),
    ("GNO", {"modes": 3}, "argument of GNO: expected one of radius"),
    ("GNO", {"in_channels": 3}, "argument of GNO"),
    ("GNO", {"width": "wide"}, "width: expected a whole number, numbers finite"),
    ("GNO", {"width": True}, "width"),
    ("GNO", {"width": -1}, "not below 0, received -1"),
    ("GNO", {"radius": float("nan")}, "radius"),
    ("GNO", {"kernel": [8, "a"]}, "a list, each a whole number"),
    ("GNO", {"kernel": []}, "kernel"),
    ("LNO", {"activation": "sine"}, "one of gelu, relu"),
    ("FNO", {"modes": 99}, "modes: expected at most 16"),
    ("PODDeepONet", {"rank": 99}, "rank: expected a number from 1"),
])
def test_bad_settings_are_named(name, arguments, words):
    with pytest.raises(UsageError, match=words):
        build(name, data(LINE), KEY, **arguments)
