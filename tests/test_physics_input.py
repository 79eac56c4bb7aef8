# pyright: reportArgumentType=false
"""What a user of physics-informed fields gets wrong, and is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import CheckpointError, DivergedError, UsageError
from pdesurr.fields import d, known
from pdesurr.fields.regions import box, faces
from pdesurr.models.coordinate import CoordinateMLP
from pdesurr.models.features import RandomFourierField
from pdesurr.objectives.physics import Equation, Observations, Problem, WithUnknowns
from pdesurr.train.physics import Adam, LeastSquares, QuasiNewton, fit_problem

KEY, LINE = jax.random.key(0), box((0, 1))
NET = CoordinateMLP((0.0,), (1.0,), 1, 8, 1, key=KEY)


def problem(text=lambda u: d(u, "x", 2), value=0.0):
    walls = tuple(LINE.at(0, end) for end in (0, 1))
    return Problem({"equation": Equation(text, (LINE,), 20), "walls": Equation(lambda u: u - value, walls, 2)}, ("x",))


def test_unknown_numbers_are_numbers_to_train_and_go_to_the_texts_that_read_them(x64):
    x = jnp.linspace(0, 1, 40)[:, None]
    text = lambda u, nu: d(u, "x") - nu * u  # noqa: E731
    asked = Problem({"equation": Equation(text, (LINE,), 40), "start": Equation(lambda u: u - 1.0, (LINE.at(0, 0),), 1),
                     "data": Observations(x, jnp.exp(0.5 * x), 10.0)}, ("x",))
    found = fit_problem(WithUnknowns(NET, {"nu": 1}), asked, [QuasiNewton(150)], key=KEY).model
    np.testing.assert_allclose(found.unknowns["nu"], 0.5, atol=1e-2)
    with pytest.raises(UsageError, match="unknown 'mu'"):
        fit_problem(WithUnknowns(NET, {"nu": 1.0, "mu": 1.0}), asked, [Adam(1)], key=KEY)
    with pytest.raises(UsageError, match="asks for .*nu"):
        fit_problem(NET, asked, [Adam(1)], key=KEY)
    with pytest.raises(UsageError, match="finite"):
        WithUnknowns(NET, {"nu": float("nan")})


def test_a_folder_holds_one_problem_and_one_model(tmp_path):
    fit_problem(NET, problem(), [Adam(2)], key=KEY, folder=tmp_path)
    assert fit_problem(NET, problem(), [Adam(2)], key=KEY, folder=tmp_path).history
    other = CoordinateMLP((0.0,), (1.0,), 1, 8, 1, key=jax.random.key(1))
    for model, asked in ((other, problem()), (NET, problem(value=1.0)), (NET, problem(lambda u: d(u, "x", 2) - u))):
        with pytest.raises(CheckpointError, match="another model or problem"):
            fit_problem(model, asked, [Adam(2)], key=KEY, folder=tmp_path)


def test_few_steps_are_one_round_and_rounds_are_equal():
    assert (Adam(50).per_round, QuasiNewton(1500).per_round) == (50, 500)
    with pytest.raises(UsageError, match="take 200 or 400, or give a per_round"):
        Adam(300)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Problem({"data": Observations([[0.5]], [[0.0, 1.0]])}, ("x",)), "at most channels=1"),
    (lambda: Observations([0.5], [0.0]), "two arrays"),
    (lambda: Problem([Equation(lambda u: u, (LINE,))], ("x",)), "a dict"),
    (lambda: Equation(lambda u: u, LINE), "a tuple of at least one region"),
    (lambda: Equation(lambda u: u, (LINE,), 10, None), "weight"),
    (lambda: faces(LINE, 0), "a tuple of numbers"), (lambda: faces(LINE, (1,)), "from 0 to 0"),
    (lambda: fit_problem(NET, problem(), Adam(1), key=KEY), "a list of at least one stage"),
    (lambda: fit_problem(NET, problem(lambda u: known(u, jnp.sin, "z") - u), [Adam(1)], key=KEY), "axes of a known function"),
    (lambda: fit_problem(NET, problem(lambda u: d(u, "x", -1)), [Adam(1)], key=KEY), "order")])
def test_is_refused_in_words(make, words, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(UsageError, match=words):
        make()


def test_a_term_that_is_not_finite_is_named():
    text = lambda u: d(u, "x", 2) - known(u, lambda x: jnp.log(x - 0.5), "x")  # noqa: E731
    field = RandomFourierField((0.0,), (1.0,), 1, 10, 3.0, key=KEY)
    with pytest.raises(DivergedError, match="term equation is not finite"):
        fit_problem(field, problem(text), [LeastSquares(2)], key=KEY)
