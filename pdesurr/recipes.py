"""Named data sets: which equation, which numbers, which size. A recipe is a TOML file with a card beside it in `datasets/<name>/`.

A recipe names a class of the closed table of equations and holds numbers; nothing in it is run.
"""

import dataclasses
import difflib
import inspect
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pdesurr.checks import UsageError, require

if TYPE_CHECKING:
    from pdesurr.pdes import AbstractPDE

KEYS = {"pde", "resolution", "samples", "parameters", "about"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One named set: `pde` is a class of `pdesurr.pdes`, `parameters` its numbers (what is absent is the class's own), `resolution`
    nodes an axis, `samples` how many unless told otherwise, `about` one line."""

    name: str
    pde: str
    resolution: int
    samples: int
    parameters: dict[str, float]
    about: str

    def build(self, changes: dict[str, float] | None = None) -> "AbstractPDE":
        """The equation, with some of its numbers changed."""
        return make_pde(self.pde, {**self.parameters, **(changes or {})})


def folder() -> Path:
    """Where recipes are: beside the package in a clone, inside it in an installed copy."""
    here = Path(__file__).resolve().parent
    return next((p for p in (here / "datasets", here.parent / "datasets") if p.is_dir()), here / "datasets")


def names() -> list[str]:
    """All named sets."""
    return sorted(p.parent.name for p in folder().glob("*/recipe.toml"))


def load_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises `UsageError` for an unknown one or a file that is not a recipe."""
    require(name in names(), "data set", f"one of {', '.join(names())}", name)
    file = folder() / name / "recipe.toml"
    try:
        parts = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not TOML ({error})") from None
    require(set(parts) == KEYS, f"{file}: keys", f"{sorted(KEYS)}", sorted(parts))
    return Recipe(name, **parts)


def find(name: str) -> Recipe:
    """The recipe of that name, or a plain one for an equation's own name, with its default numbers."""
    if name in names():
        return load_recipe(name)
    classes = pde_classes()
    near = difflib.get_close_matches(name, [*names(), *classes], 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    if name not in classes:
        raise UsageError(f"data set: there is no {name!r}{hint}; one of {', '.join(names())}, or an equation: {', '.join(classes)}")
    return Recipe(name, name, 128, 1000, {}, f"{name} with its default numbers")


def pde_classes() -> dict[str, type]:
    """Every equation that can be named: the concrete classes of `pdesurr.pdes`."""
    from pdesurr import pdes

    found = {name: getattr(pdes, name) for name in pdes.__all__}
    return {name: c for name, c in found.items() if inspect.isclass(c) and issubclass(c, pdes.AbstractPDE) and not inspect.isabstract(c)}


def make_pde(name: str, parameters: dict[str, float]) -> "AbstractPDE":
    """An equation from its class's name and its numbers; those of a part (a coefficient's law) stand among them, and their names
    tell which law it is. Raises `UsageError` for an unknown class or number."""
    classes = pde_classes()
    require(name in classes, "pde", f"one of {', '.join(classes)}", name)
    return _build(classes[name], dict(parameters))


def _build(cls: type, numbers: dict[str, float], like: Any = None) -> Any:
    """An instance from its numbers; what is absent is that of `like`, an instance, or else the class's own."""
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        default = field.default if like is None else getattr(like, field.name)
        if dataclasses.is_dataclass(default):
            part = _part(get_type_hints(cls)[field.name], type(default), set(numbers) - {f.name for f in dataclasses.fields(cls)})
            own = {f.name: numbers.pop(f.name) for f in dataclasses.fields(part) if f.name in numbers}
            arguments[field.name] = _build(part, own, default if part is type(default) else None)
        elif isinstance(default, tuple):  # a word for each axis, by its place among those allowed
            words = get_args(get_args(get_type_hints(cls)[field.name])[0])
            given = [numbers.pop(f"{field.name}_{axis}") for axis in "xyz" if f"{field.name}_{axis}" in numbers]
            if given:
                require(all(v in range(len(words)) for v in given), field.name, f"places in {words}", given)
                arguments[field.name] = tuple(words[int(v)] for v in given)
        elif field.name in numbers:
            arguments[field.name] = _number(field.name, numbers.pop(field.name), type(default))
        elif like is not None:
            arguments[field.name] = default
    require(not numbers, f"parameters of {cls.__name__}", f"some of {', '.join(_names(cls))}", ", ".join(numbers))
    return cls(**arguments)


def _number(name: str, value: float, kind: type) -> Any:
    """The value as the field's kind: finite, whole where that is `int`, 0 or 1 where it is `bool`."""
    good = math.isfinite(value) and (kind is float or value == int(value)) and (kind is not bool or value in (0, 1))
    require(good, name, {int: "a whole number", bool: "0 or 1"}.get(kind, "a finite number"), value)
    return value if kind is float else kind(value)


def _part(base: type, default: type, wanted: set[str]) -> type:
    """The concrete class under `base` that has all the numbers wanted, the default if it will do."""
    candidates = [default, *(c for c in _descendants(base) if not inspect.isabstract(c))]
    return next((c for c in candidates if wanted <= {f.name for f in dataclasses.fields(c)}), default)


def _descendants(base: type) -> list[type]:
    return [d for c in base.__subclasses__() for d in (c, *_descendants(c))]


def _names(cls: type) -> list[str]:
    names = []
    for field in dataclasses.fields(cls):
        if isinstance(field.default, tuple):
            names += [f"{field.name}_x", f"{field.name}_y", f"{field.name}_z"]
        else:
            names += _names(type(field.default)) if dataclasses.is_dataclass(field.default) else [field.name]
    return names
