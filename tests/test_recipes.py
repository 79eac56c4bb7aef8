"""Named data sets: every recipe builds, has a card, and draws the inputs that its source states."""

import jax
import numpy as np
import pytest

from pdesurr import recipes
from pdesurr.checks import UsageError

ALL = pytest.mark.parametrize("name", recipes.names())


@ALL
def test_recipe_builds_has_a_card_and_comes_back_from_its_numbers(name):
    recipe = recipes.load_recipe(name)
    pde = recipe.build()
    again = recipes.make_pde(recipe.pde, pde.parameters)
    assert again.parameters == pde.parameters and type(again) is type(pde)
    for key, value in recipe.parameters.items():
        assert pde.parameters[key] == value
    card = (recipes.folder() / name / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {name}\n") and f"generate {name}" in card


def draws(name, n, count, x64=True):
    with jax.enable_x64(x64):
        pde = recipes.load_recipe(name).build()
        grid = pde.grid(n)
        return np.asarray(jax.jit(jax.vmap(lambda k: pde.sample(k, grid)))(jax.random.split(jax.random.key(0), count)))


AMPLITUDES = [("burgers_jmlr", 1.044), ("burgers_released", 0.274), ("ns_1e-3", 0.262), ("ns_1e-5_2022", 0.185)]


@pytest.mark.parametrize(("name", "std"), AMPLITUDES)
def test_published_amplitudes(name, std):
    n, count = (32, 4000) if name.startswith("ns") else (256, 4000)
    assert abs(np.std(draws(name, n, count)) / std - 1) < 0.02


@pytest.mark.parametrize(("name", "values"), [("darcy_jmlr", {3.0, 12.0}), ("darcy_released", {4.0, 12.0}), ("darcy_rough", {2.0, 12.0})])
def test_darcy_coefficients_are_half_of_each(name, values):
    a = draws(name, 33, 100)
    assert set(np.unique(a)) == values and abs(np.mean(a == 12.0) - 0.5) < 0.05


def test_darcy_solutions_have_the_published_size():
    """Mean of u .0051 to .0068, standard deviation .0034 to .0046 (coefficient 12 / 3)."""
    with jax.enable_x64(True):
        pde = recipes.load_recipe("darcy_jmlr").build({"refinement": 1.0})
        grid = pde.grid(65)
        u = np.asarray(jax.jit(jax.vmap(lambda k: pde.record(k, grid, "multigrid")[0]["u"]))(jax.random.split(jax.random.key(1), 16)))
    assert 0.0051 < np.mean(u) < 0.0068 and 0.0034 < np.std(u) < 0.0046


@pytest.mark.parametrize(("call", "words"), [
    (lambda: recipes.load_recipe("darcy_421"), "data set: expected one of advection"),
    (lambda: recipes.find("Stokes"), "or an equation: Advection"),
    (lambda: recipes.make_pde("NavierStokes", {"viscosity": 1.0}), "parameters of NavierStokes: expected some of nu, drag"),
    (lambda: recipes.make_pde("os.system", {}), "pde: expected one of"),
    (lambda: recipes.load_recipe("darcy_jmlr").build({"low": -1.0}), "coefficient > 0"),
])
def test_bad_names_and_numbers_are_named(call, words):
    with pytest.raises(UsageError, match=words):
        call()
