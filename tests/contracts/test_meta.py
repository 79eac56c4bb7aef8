"""Whatever is exported has a case: forgetting one is named here."""

import inspect
from pathlib import Path

import cases
import direct_cases
import equinox as eqx
import jax

from pdesurr import models, objectives, pdes


def exported(room, wanted):
    return {name for name in room.__all__ if wanted(getattr(room, name))}


def test_every_equation_has_a_case():
    concrete = exported(pdes, lambda x: inspect.isclass(x) and issubclass(x, pdes.AbstractPDE) and not inspect.isabstract(x))
    every = (*cases.EVOLUTIONS.values(), *direct_cases.DIRECT.values())
    assert concrete == {type(c.pde).__name__ for c in every} | set(direct_cases.ALONE)
    assert all((Path(__file__).parent / file).is_file() for file in direct_cases.ALONE.values())


def test_every_model_has_a_case():
    built = {type(eqx.filter_eval_shape(c.make, jax.random.key(0))).__name__ for c in cases.MODELS.values()}
    assert exported(models, inspect.isclass) == built


def test_every_objective_has_a_case():
    tried = {getattr(o, "__name__", type(o).__name__) for o in cases.OBJECTIVES.values()}
    assert exported(objectives, callable) == tried | set(cases.ELSEWHERE)
    for name, file in cases.ELSEWHERE.items():
        assert f"{name}(" in (Path(__file__).parents[1] / file).read_text(), name
