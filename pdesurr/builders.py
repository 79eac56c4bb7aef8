"""Models by name: what a constructor must know of its data is taken from the data, so that a name and a data set are enough."""

import dataclasses
import inspect
import math
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

import jax

from pdesurr import models
from pdesurr.checks import require
from pdesurr.data import Dataset
from pdesurr.nn.graph import degree_for
from pdesurr.types import Key, Model

OF_THE_DATA = {"self", "in_channels", "out_channels", "dimension", "shape", "sensors", "centres", "periodic", "key"}
Settings = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Builder:
    """`builder(data, key, **arguments)`: a model for training data as the model will see them (scaled).

    `arguments` are the constructor's own, beside those that follow from the data; lists are tuples, and one number of `modes` is meant for
    every axis. Those not given are what `fitted(data, arguments)` says, else the constructor's defaults. Raises `UsageError` for an
    argument that the model has not, or one of a wrong kind.
    """

    model: Callable[..., Model]
    fitted: Callable[[Dataset, Settings], Settings]

    def __call__(self, data: Dataset, key: Key, **arguments: Any) -> Model:
        given = {name: self._checked(name, _tuples(value), data.grid.ndim) for name, value in arguments.items()}
        with jax.ensure_compile_time_eval():  # what is read off the data is a number, also where shapes alone are asked for
            settings = {**self.fitted(data, given), **given}
        return self.model(data.inputs.shape[-1], data.outputs.shape[-1], key=key, **settings)

    @property
    def arguments(self) -> dict[str, Any]:
        """What may be set, with the kind of its value. The experts of a mixture are FNOs."""
        found = dict(inspect.signature(self.model).parameters)
        if "expert" in found:
            found = {**inspect.signature(models.FNO).parameters, **found}
        taken = OF_THE_DATA | ({"modes"} if self.model is models.PODDeepONet else set())
        return {n: p.annotation for n, p in found.items() if n not in taken and p.kind is not p.VAR_KEYWORD}

    def _checked(self, name: str, value: Any, axes: int) -> Any:
        known = self.arguments
        require(name in known, f"argument of {self.model.__name__}", f"one of {', '.join(known)}", name)
        value = (value,) * axes if name == "modes" and isinstance(value, int) else value
        require(_fits(value, known[name]) and _sane(value), name, f"{_said(known[name])}, numbers finite and not below 0", value)
        return value


def build(name: str, data: Dataset, key: Key, **arguments: Any) -> Model:
    """The model of that name for these (scaled) training data, see `Builder`. Raises `UsageError` for an unknown name."""
    require(name in BUILDERS, "model", f"one of {', '.join(BUILDERS)}", name)
    return BUILDERS[name](data, key, **arguments)


def fourier(wanted: int, width: int) -> Callable[[Dataset, Settings], Settings]:
    """At most `wanted` waves an axis, as many as the coarsest axis holds; coordinates between walls."""
    def fitted(data: Dataset, given: Settings) -> Settings:
        most = (min(data.grid.shape) + 1) // 2
        require(max(given.get("modes", (0,))) <= most, "modes", f"at most {most} on a grid of {data.grid.shape} nodes", given.get("modes"))
        walls = tuple(not b.periodic for b in data.grid.bases)
        return {"modes": (min(wanted, most),) * data.grid.ndim, "width": width, "coordinates": walls}
    return fitted


def coefficients(data: Dataset, given: Settings) -> Settings:
    """At most 32 modes an axis, in the bases of the data's own grid, which must have transforms."""
    require(data.grid.spectral, "model", "one that does not need a spectral grid: FNO, GNO ...", "NSM or SNO for data on uniform nodes",
            "import them with --axes periodic, chebyshev, sine or cosine, if that is where the nodes are")
    return {"modes": tuple(min(32, n) for n in data.grid.shape), "periodic": tuple(b.periodic for b in data.grid.bases), "width": 32}


def mixture(data: Dataset, given: Settings) -> Settings:
    """Small experts, and the tree that the training inputs fall into."""
    tree = {"branching": 4, "levels": 1, "codes": 4} | {k: v for k, v in given.items() if k in ("branching", "levels", "codes")}
    return {**fourier(12, 24)(data, given), **tree, "centres": models.mono_centres(data.inputs, data.grid, **tree, seed=0)}


def points(data: Dataset, walls: float | None = None) -> Settings:
    """Dimension and periods; between walls `walls` lengths stand for a period, or there is none."""
    period = tuple(b.length if b.periodic else walls and walls * b.length for b in data.grid.bases)
    return {"dimension": data.grid.ndim, "period": period}


def side(data: Dataset) -> float:
    """Of the cube that is as large as the box."""
    return math.prod(b.length for b in data.grid.bases) ** (1 / data.grid.ndim)


def low_rank(data: Dataset, given: Settings) -> Settings:
    return {**points(data), "width": 16, "rank": 4, "kernel": (32, 64)}


def graph(data: Dataset, given: Settings) -> Settings:
    """Graphs of 128 nodes in one dimension and 300 in more."""
    share, nodes = (0.25, 128) if data.grid.ndim == 1 else (0.15, 300)
    radius, nodes = given.get("radius", share * side(data)), given.get("nodes", nodes)
    degree = degree_for(nodes, radius / side(data), data.grid.ndim)
    return {**points(data), "radius": radius, "nodes": nodes, "max_degree": degree, "width": 32, "depth": 4, "kernel": (64, 32)}


def multipole(data: Dataset, given: Settings) -> Settings:
    """The published radii are of a box of side 1."""
    scaled = {name: tuple(side(data) * r for r in values) for name, values in (("radii", (0.25, 0.5, 1.0)), ("between", (0.125, 0.25)))}
    return {**points(data), **scaled, "width": 32, "kernel_width": 32}


def sensed(data: Dataset, given: Settings) -> Settings:
    period = points(data, walls=2.0)["period"]
    return {"sensors": data.grid.shape, "period": period}


def components(data: Dataset, given: Settings) -> Settings:
    """The principal components of the training outputs: a quarter as many as samples, 64 at most."""
    rank = given.get("rank", max(1, min(64, len(data) // 4)))
    return {"sensors": data.grid.shape, "rank": rank, "modes": models.pod_modes(data.outputs, data.grid, rank)}


BUILDERS = {
    "FNO": Builder(models.FNO, fourier(16, 64)),
    "FFNO": Builder(models.FFNO, fourier(16, 64)),
    "MoNO": Builder(models.MoNO, mixture),
    "GNO": Builder(models.GNO, graph),
    "MultipoleGraphOperator": Builder(models.MultipoleGraphOperator, multipole),
    "OrthogonalMultipole": Builder(models.OrthogonalMultipole, lambda data, given: {
        "width": 32, "levels": max(1, int(math.log2(min(data.grid.shape))) - 2)}),
    "LNO": Builder(models.LNO, low_rank),
    "MgNO": Builder(models.MgNO, lambda data, given: {"shape": data.grid.shape}),
    "UNet": Builder(models.UNet, lambda data, given: {
        "dimension": data.grid.ndim, "levels": min(4, (min(data.grid.shape) - 1).bit_length())}),
    "Transolver": Builder(models.Transolver, lambda data, given: {**points(data), "width": 64, "depth": 4}),
    "NSM": Builder(models.NSM, coefficients),
    "SNO": Builder(models.SNO, coefficients),
    "DeepONet": Builder(models.DeepONet, sensed),
    "PODDeepONet": Builder(models.PODDeepONet, components),
}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _sane(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_sane, value))
    return not isinstance(value, int | float) or (math.isfinite(value) and value >= 0)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a constructor's annotation."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, h) for h in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(v, inner[0]) for v in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else hint)


def _said(hint: Any) -> str:
    """An annotation as a reader of the command line would say it."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "null"}
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, inner))
    if get_origin(hint) is tuple:
        return f"a list, each {_said(inner[0])}"
    return names.get(hint) or " or ".join(map(_said, inner))
