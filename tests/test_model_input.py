"""What operators are given and cannot use: each is refused by its own name, before anything is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError, require_counts, require_list_of_counts
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.fields.symmetries import Translation
from pdesurr.models import FNO, GNO, LNO, DeepONet, MultipoleGraphOperator, PODDeepONet, Transolver
from pdesurr.models.flax import as_nnx
from pdesurr.nn.points import nodes
from pdesurr.types import Samples, as_samples

KEY = jax.random.key(0)
LINE, WALL = Grid([FourierBasis(16)]), Grid([UniformBasis(16)])
A = jnp.ones((16, 1))
OWN = 2 * np.pi


def lno(period):
    return LNO(1, 1, 1, 4, 1, 1, kernel=(4,), head_width=4, period=period, key=KEY)


def deeponet(period):
    return DeepONet(1, 1, (16,), 4, 1, 4, period=period, key=KEY)


def transolver(period):
    return Transolver(1, 1, 1, 4, 1, heads=2, slices=2, period=period, key=KEY)


@pytest.mark.parametrize("make", [lno, deeponet, transolver])
def test_periods_that_confuse_points_are_refused(make):
    for grid, good, bad in ((LINE, (OWN, None), 1.0), (WALL, (2.0, None), 1.0)):
        for period in good:
            make((period,))(Samples(grid, A))
        with pytest.raises(UsageError, match="period on axis x: expected .*, received 1.0"):
            make((bad,))(Samples(grid, A))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: GNO(1, 1, 2, 0.2, width=-4, key=KEY), "^width: expected a whole number > 0, received -4$"),
    (lambda: GNO(1, 1, 2, float("inf"), key=KEY), "^radius: "),
    (lambda: GNO(1, 1, 2, 0.2, kernel=(), key=KEY), "^kernel: "),
    (lambda: MultipoleGraphOperator(1, 1, 2, nodes=(20, 60), radii=(0.1, 0.2), between=(0.1,), key=KEY), "^nodes: expected fine to coarse"),
    (lambda: DeepONet(1, 1, (16, 0), key=KEY), "^sensors: "),
    (lambda: FNO(1, 1, (4,), 8, channel_mlp=0.0, key=KEY), "^channel_mlp: "),
    (lambda: FNO(1, 1, (4,), 8, lifting_width=-1, key=KEY), "^lifting_width: "),
    (lambda: FNO(1, 1, (4,), 8, coordinates=(True, True), key=KEY), "^coordinates: "),
    (lambda: PODDeepONet(1, 1, (16,), 4, 8, 1, key=KEY)(Samples(LINE, A)), "^modes: expected what pod_modes"),
    (lambda: Translation(()), "^shares: "), (lambda: Translation((float("nan"),)), "^shares: "),
    (lambda: as_nnx(3), "^inner: "), (lambda: as_nnx(FNO), "^inner: "),
    (lambda: nodes(jnp.ones((0, 2))), "^points: "),
    (lambda: as_samples(A), "^a: expected Samples"), (lambda: require_counts(width=4.5), "^width: "),
    (lambda: require_list_of_counts(kernel=8), "^kernel: ")])
def test_refusals_name_what_was_wrong(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_values_at_other_places_than_the_points_are_refused():
    with pytest.raises(UsageError, match="a.values: expected values at each of the 5 points"):
        lno(None)(Samples(jnp.ones((5, 1)), jnp.ones((4, 1))))
