"""Whatever is exported has a case: forgetting one is named here."""

import inspect

import cases
import jax

from pdesurr import models, objectives, pdes


def exported(room, wanted):
    return {name for name in room.__all__ if wanted(getattr(room, name))}


def test_every_equation_has_a_case():
    concrete = exported(pdes, lambda x: inspect.isclass(x) and issubclass(x, pdes.AbstractPDE) and not inspect.isabstract(x))
    assert concrete == {type(c.pde).__name__ for c in cases.EVOLUTIONS.values()}


def test_every_model_has_a_case():
    built = {type(c.make(jax.random.key(0))).__name__ for c in cases.MODELS.values()}
    assert exported(models, inspect.isclass) == built


def test_every_objective_has_a_case():
    assert exported(objectives, inspect.isfunction) == set(cases.OBJECTIVES)
