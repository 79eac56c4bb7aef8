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


AMPLITUDES = [("burgers_jmlr", 1.044), ("burgers_released", 0.274), ("ns_1e-3", 0.262), ("ns_1e-5_2022", 0.185),
              ("ns_nsm_re4", 0.7115)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "std"), AMPLITUDES)
def test_published_amplitudes(name, std):
    n, count = (32, 4000) if name.startswith("ns") else (256, 4000)
    assert abs(np.std(draws(name, n, count)) / std - 1) < 0.02


@pytest.mark.parametrize(("name", "values"), [("darcy_jmlr", {3.0, 12.0}), ("darcy_released", {4.0, 12.0}), ("darcy_rough", {2.0, 12.0})])
def test_darcy_coefficients_are_half_of_each(name, values):
    a = draws(name, 33, 100)
    assert set(np.unique(a)) == values and abs(np.mean(a == 12.0) - 0.5) < 0.05


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ns_nsm_re2", "ns_nsm_re3", "ns_nsm_re4", "ns_nsm_forced"])
def test_neural_spectral_methods_starts_have_the_kernels_covariance_and_no_mean(name):
    """E w(x) w(y) = k(x) k(y) - m^2, where k = exp(-sin^2(pi x) / (2 * 0.8^2)) has the mean m."""
    w = draws(name, 8, 4000)[..., 0]
    k = np.exp(-(np.sin(np.pi * np.arange(8) / 8) ** 2) / (2 * 0.8**2))
    expected = np.outer(k, k) - np.mean(k) ** 2
    assert np.max(np.abs(np.mean(w[:, :1, :1] * w, axis=0) - expected)) < 0.04
    assert np.max(np.abs(np.mean(w, axis=(1, 2)))) < 1e-14


def test_a_start_may_have_another_law_and_keeps_the_numbers_of_its_own():
    gaussian, smooth = recipes.make_pde("Heat", {"tau": 5.0}), recipes.make_pde("Heat", {"scale": 0.5})
    assert (gaussian.parameters["sigma"], gaussian.parameters["tau"]) == (49.0, 5.0)
    assert (smooth.parameters["scale"], smooth.parameters["modes"]) == (0.5, 64.0) and "sigma" not in smooth.parameters


WRONG = [("NavierStokes", "intervals", 2.5), ("NavierStokes", "intervals", float("nan")), ("NavierStokes", "refinement", float("inf")),
         ("NavierStokes", "wavenumber", -1.0), ("NavierStokes", "wavenumber", 0.0), ("Poisson", "walls", float("nan")),
         ("Poisson", "walls", 2.0), *[(name, number, bad) for name, number in (("NavierStokes", "forcing"), ("Advection", "velocity"),
         ("Burgers", "tau"), ("Darcy", "tau"), ("Lorenz96", "h"), ("Wave", "gamma")) for bad in (float("nan"), float("inf"))]]


@pytest.mark.parametrize(("name", "number", "value"), WRONG)
def test_numbers_are_finite_and_whole_where_they_count(name, number, value):
    with pytest.raises(UsageError, match=f"^{number}: expected"):
        recipes.make_pde(name, {number: value})
