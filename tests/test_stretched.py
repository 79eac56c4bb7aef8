"""Coordinates stretched about layers, and the least-squares steps that what is nearly dependent needs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.fields import d, known
from pdesurr.fields.jets import Jet
from pdesurr.fields.regions import box
from pdesurr.models.features import RandomFourierField
from pdesurr.models.stretched import Stretched
from pdesurr.objectives.physics import Equation, Problem
from pdesurr.train.physics import LeastSquares, fit_problem

KEY = jax.random.key(0)
LINE, WIDTH = box((-1, 1)), 0.005


def fields():
    plain = RandomFourierField((-1.0,), (1.0,), 1, 160, 40.0, key=KEY)
    return plain, Stretched(plain, LINE, 0, (0.25,), (WIDTH,))


def test_a_layer_is_resolved_where_the_plain_field_does_not_see_it(x64):
    plain, stretched = fields()
    layer = lambda x: np.tanh((np.asarray(x)[:, 0] - 0.25) / WIDTH)  # noqa: E731
    points, others = (jnp.concatenate([r.draw(jax.random.key(k), 20) for r in stretched.shares(LINE, 24)]) for k in (1, 2))
    errors = []
    for model in (plain, stretched):
        at = lambda x, model=model: np.asarray(model.features(Jet.coordinates(x)).value)  # noqa: E731
        head = np.linalg.lstsq(at(points), layer(points), rcond=1e-15)[0]
        errors.append(np.max(np.abs(at(others) @ head - layer(others))))
    assert errors[1] < 1e-8 and errors[0] > 1e3 * errors[1]


def test_shares_are_equally_long_where_the_model_lives(x64):
    stretched = fields()[1]
    edges = [r.lower[0] for r in stretched.shares(LINE, 10)] + [1.0]
    np.testing.assert_allclose(np.diff(stretched.along(jnp.asarray(edges))), 0.2, rtol=1e-3)
    same = Stretched(fields()[0], LINE, 0, (), ())
    np.testing.assert_allclose(same.along(jnp.asarray([-1.0, 0.3, 1.0])), [-1.0, 0.3, 1.0], atol=1e-15)


def test_a_nonlinear_equation_reaches_the_features_own_accuracy(x64):
    """u_xx - u^3 = f from far away, by features most of which are nearly dependent."""
    exact = lambda x: 3 * jnp.sin(5 * x)  # noqa: E731
    text = lambda u: d(u, "x", 2) - u * u * u - known(u, lambda x: -75 * jnp.sin(5 * x) - exact(x) ** 3, "x")  # noqa: E731
    walls = tuple(LINE.at(0, end) for end in (-1, 1))
    problem = Problem({"equation": Equation(text, (LINE,), 400),
                       "walls": Equation(lambda u: u - known(u, exact, "x"), walls, 2, 1e4)}, ("x",))
    field = RandomFourierField((-1.0,), (1.0,), 1, 200, 10.0, key=KEY)
    found = fit_problem(field, problem, [LeastSquares(steps=30)], key=KEY)
    x = jnp.linspace(-1, 1, 501)
    assert float(jnp.max(jnp.abs(found.model(None, x[:, None])[:, 0] - exact(x)))) < 1e-10


@pytest.mark.parametrize(("settings", "named"), [({"axis": 1}, "axis"), ({"widths": (0.1, 0.2)}, "centres, widths"),
                                                 ({"widths": (0.0,)}, "centres, widths"), ({"weight": 0.0}, "weight")])
def test_what_cannot_be_is_refused(settings, named):
    given = {"region": LINE, "axis": 0, "centres": (0.0,), "widths": (0.1,)} | settings
    with pytest.raises(UsageError, match=named):
        Stretched(fields()[0], **given)
