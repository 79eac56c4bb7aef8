"""log(x + 2) cos(2 x + x^3) on (-1, 1) by networks on top of one another: what the rows share."""

import jax.numpy as jnp

from pdesurr.fields.regions import box
from pdesurr.models.features import RandomFourierField
from pdesurr.train.multistage import fit_multistage

BOX = box((-1, 1))


def exact(x):
    return jnp.log(x + 2) * jnp.cos(2 * x + x**3)


def stacked(problem):
    """The `fit` of a row: the preset's stages for each of its networks, the later ones as fine as what is left."""

    def fit(preset, key):
        size = dict(preset.size)
        networks = size.pop("networks")
        return fit_multistage(lambda wavenumber, own: network(own, wavenumber, **size), problem(preset.points), "equation",
                              [preset.stages] * networks, key=key)

    return fit


def network(key, wavenumber, features=150):
    return RandomFourierField(BOX.lower, BOX.upper, 1, features, max(10.0, wavenumber), key=key)
