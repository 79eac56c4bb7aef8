"""A boundary or initial value problem as what a coordinate network must satisfy: named residuals, each on its own points."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from pdesurr.checks import require
from pdesurr.fields.jets import Index, Jet
from pdesurr.fields.pointwise import PointwiseField, needed
from pdesurr.fields.regions import Order, Region
from pdesurr.models.coordinate import derivatives
from pdesurr.types import Key

Text = Callable[..., Any]


class Drawn(eqx.Module):
    """Points of one term, what was measured there (no columns if nothing was), and a weight for each."""

    points: Float[Array, "n d"]
    values: Float[Array, "n k"]
    weights: Float[Array, " n"]


class AbstractText(eqx.Module):
    """A term that reads `text(*fields, **unknowns)` on regions.

    `text` is a function of fields, as a PDE's `residual` is, to a field or a tuple of them; `known(u, f, "x", "y")` puts a given function
    into it. `points` are drawn from the regions together, in equal parts. `weight` is the term's in the loss.
    """

    text: eqx.AbstractVar[Text]
    regions: eqx.AbstractVar[tuple[Region, ...]]
    points: eqx.AbstractVar[int]
    weight: eqx.AbstractVar[float]

    def __check_init__(self):
        sound = isinstance(self.regions, tuple) and len(self.regions) > 0 and all(isinstance(r, Region) for r in self.regions)
        require(sound, "regions", "a tuple of at least one region", self.regions)
        require(self.points >= len(self.regions), "points", f"at least one for each of {len(self.regions)} regions", self.points)
        check_weight(self.weight)

    def draw(self, key: Key, order: Order = "uniform") -> Drawn:
        """Fresh points."""
        share = [self.points // len(self.regions) + (i < self.points % len(self.regions)) for i in range(len(self.regions))]
        keys = jax.random.split(key, len(self.regions))
        if order == "gauss":
            pairs = [r.quadrature(n) for r, n in zip(self.regions, share, strict=True)]
            return at_points(*(jnp.concatenate(v) for v in zip(*pairs, strict=True)))
        return at_points(jnp.concatenate([r.draw(k, n, order) for r, k, n in zip(self.regions, keys, share, strict=True)]))

    def residual(self, fields: tuple[PointwiseField, ...], drawn: Drawn | None, unknowns: Mapping[str, Any]) -> Any:
        del drawn
        return self.text(*fields, **{name: unknowns[name] for name in self.reads(unknowns, len(fields))})

    def reads(self, unknowns: Mapping[str, Any], fields: int | None = None) -> tuple[str, ...]:
        """Which of the unknown numbers the text takes. Raises `UsageError` if beside its `fields` it asks for others."""
        try:
            parameters = list(inspect.signature(self.text).parameters.values())
        except (TypeError, ValueError):  # no Python function: it gets all of them
            return tuple(unknowns)
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return tuple(unknowns)
        beyond = [p for p in parameters[fields:] if p.kind is not p.VAR_POSITIONAL] if fields is not None else []
        missing = tuple(p.name for p in beyond if p.default is p.empty and p.name not in unknowns)
        require(not missing, "text", f"arguments: {fields} fields, and of the unknown numbers {tuple(unknowns)}",
                f"one that asks for {missing}", "give the problem as many channels, and the model (`WithUnknowns`) or the input these "
                "numbers")
        return tuple(p.name for p in parameters if p.name in unknowns)


class Equation(AbstractText):
    """`text` vanishes on the `regions`: an equation, or a condition on a wall or at a time. In the loss: weight mean (text^2)."""

    text: Text = eqx.field(static=True)
    regions: tuple[Region, ...] = eqx.field(static=True)
    points: int = eqx.field(static=True, default=1000)
    weight: float = eqx.field(static=True, default=1.0)


class Observations(eqx.Module):
    """Values `(n, k)` that were measured at points `(n, d)`: the first k channels must have them. All are used at every step."""

    at: Float[Array, "n d"]
    values: Float[Array, "n k"]
    weight: float = eqx.field(static=True, default=1.0)

    def __init__(self, at: Float[ArrayLike, "n d"], values: Float[ArrayLike, "n k"], weight: float | int = 1.0):
        self.at, self.values, self.weight = jnp.asarray(at), jnp.asarray(values), weight
        require(self.at.ndim == self.values.ndim == 2, "at, values", "two arrays (n, d) and (n, k), a row a point",
                (self.at.shape, self.values.shape))
        require(len(self.at) == len(self.values) > 0, "values", f"{len(self.at)} rows, as many as points", self.values.shape)
        require(bool(jnp.all(jnp.isfinite(self.values)) & jnp.all(jnp.isfinite(self.at))), "values", "finite numbers", "NaN or infinity")
        check_weight(self.weight)

    @property
    def points(self) -> int:
        return len(self.at)

    @property
    def regions(self) -> tuple[Region, ...]:
        return ()

    def draw(self, key: Key, order: Order = "uniform") -> Drawn:
        del key, order
        return Drawn(self.at, self.values, jnp.ones(len(self.at), self.at.dtype))

    def residual(self, fields: tuple[PointwiseField, ...], drawn: Drawn | None, unknowns: Mapping[str, Any]) -> Any:
        del unknowns
        return tuple(u - (drawn.values[:, i] if drawn is not None else 0.0) for i, u in enumerate(fields[: self.values.shape[1]]))


class Energy(AbstractText):
    """The integral of the density `text` over the one region, to be made least: the Ritz method (E and Yu, Commun. Math. Stat. 6, 2018). In
    the loss: weight volume mean (text).

    Unlike a residual's, the density's mean over points drawn has noise at the solution too: errors of quadrature are errors of
    the answer. `order` "gauss" of a stage, for a smooth density on few axes, has none to speak of.
    """

    text: Text = eqx.field(static=True)
    regions: tuple[Region, ...] = eqx.field(static=True)
    points: int = eqx.field(static=True, default=1000)
    weight: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        require(len(self.regions) == 1, "regions", "one region, over which the density is integrated", self.regions)


Term = Equation | Observations | Energy


class Problem(eqx.Module):
    """What a coordinate network must satisfy: `terms` by name, on axes called `names` ("t", "x", ...), with `channels` unknown functions.

    Its loss is sum_terms weight mean_points (residual^2), squared residuals of a term's several equations added: the strong form of Raissi,
    Perdikaris and Karniadakis (J. Comput. Phys. 378, 2019); an `Energy` adds its integral. A model with numbers to be found
    as well (`WithUnknowns`) passes them to the texts by name. Raises `UsageError` where a text does not fit the axes or the regions.
    """

    terms: dict[str, Term]
    names: tuple[str, ...] = eqx.field(static=True)
    channels: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        require(isinstance(self.terms, dict) and len(self.terms) > 0, "terms", "a dict of at least one term by name", self.terms)
        for name, term in self.terms.items():
            measured = term.values.shape[1] if isinstance(term, Observations) else 0
            require(measured <= self.channels, f"term {name!r}", f"values of at most channels={self.channels} functions", measured)
            dims = {r.ndim for r in term.regions} | ({term.at.shape[1]} if isinstance(term, Observations) else set())
            require(dims == {len(self.names)}, f"term {name!r}", f"points of {len(self.names)} coordinates, {self.names}", sorted(dims))

    def indices(self, name: str, unknowns: Mapping[str, Any]) -> tuple[Index, ...]:
        """The derivatives that a term reads, of one channel or another."""
        term = self.terms[name]
        text = lambda *fields: term.residual(fields, None, unknowns)  # noqa: E731
        return tuple(sorted({index for channel in needed(text, self.channels, self.names) for index in channel}))

    def draw(self, key: Key, order: Order = "uniform") -> dict[str, Drawn]:
        """Points for every term."""
        keys = jax.random.split(key, len(self.terms))
        return {name: term.draw(k, order) for (name, term), k in zip(self.terms.items(), keys, strict=True)}

    def term_residual(self, name: str, model: Any, drawn: Drawn) -> Float[Array, "n e"]:
        """A term's residuals at points, `(n, equations)`, without weights."""
        q = unknowns_of(model)
        jet = derivatives(model, drawn.points, self.indices(name, q))
        require(jet.channels == self.channels, "model", f"one with {self.channels} outputs", jet.channels)
        return self.evaluate(name, jet, drawn, q)

    def evaluate(self, name: str, jet: Jet, drawn: Drawn, unknowns: Mapping[str, Any]) -> Float[Array, "n e"]:
        """The text of a term on known derivatives."""
        fields = tuple(PointwiseField(lambda i, c=c: jet.part(i)[:, c], drawn.points, self.names) for c in range(self.channels))
        answers = self.terms[name].residual(fields, drawn, unknowns)
        answers = answers if isinstance(answers, tuple) else (answers,)
        return jnp.stack([jnp.broadcast_to(a.value, drawn.points.shape[:1]) for a in answers], axis=-1)

    def residuals(self, model: Any, drawn: Mapping[str, Drawn]) -> dict[str, Float[Array, "n e"]]:
        """Every term's residuals with the weights in: the loss is the sum of their squares."""
        return {name: self.term_residual(name, model, d) * self.root(name, d) for name, d in drawn.items()}

    def root(self, name: str, drawn: Drawn) -> Float[Array, "n 1"]:
        """What a term's residuals are multiplied by: the root of weight / n at each point. Raises `UsageError` for an energy."""
        require(not isinstance(self.terms[name], Energy), f"term {name!r}", "an equation or observations, whose squares are summed",
                "Energy", "minimise it by Adam, QuasiNewton or NaturalGradient")
        return jnp.sqrt(self.terms[name].weight * drawn.weights / len(drawn.points))[:, None]

    def loss(self, model: Any, drawn: Mapping[str, Drawn]) -> tuple[Array, dict[str, Array]]:
        """The loss, and each term's share of it."""
        parts = {name: self.amount(name, self.term_residual(name, model, d), d) for name, d in drawn.items()}
        return sum(parts.values(), jnp.zeros(())), parts  # pyright: ignore[reportReturnType]

    def amount(self, name: str, values: Float[Array, "n e"], drawn: Drawn) -> Float[Array, ""]:
        """A term's share of the loss, from what its text gives."""
        term = self.terms[name]
        if isinstance(term, Energy):
            return term.weight * term.regions[0].volume * jnp.mean(values * drawn.weights[:, None])
        return jnp.sum((values * self.root(name, drawn)) ** 2)


class WithUnknowns(eqx.Module):
    """A coordinate network and numbers to be found with it, by name: the texts of a `Problem` that have an argument of that name get it."""

    model: Any
    unknowns: dict[str, Array]

    def __init__(self, model: Any, unknowns: Mapping[str, Any]):
        self.model, self.unknowns = model, {k: jnp.asarray(v, jnp.result_type(float)) for k, v in unknowns.items()}
        require(all(bool(jnp.all(jnp.isfinite(v))) for v in self.unknowns.values()), "unknowns", "finite numbers to start from", unknowns)

    def jet(self, x: Jet) -> Jet:
        return self.model.jet(x)

    def __call__(self, a: Any, x: Any = None, *, key: Key | None = None) -> Array:
        return self.model(a, x, key=key)


def unknowns_of(model: Any) -> dict[str, Array]:
    return getattr(model, "unknowns", {})


def at_points(points: Float[Array, "n d"], weights: Float[Array, " n"] | None = None) -> Drawn:
    """Points where nothing was measured, of weight one if not given."""
    weights = jnp.ones(len(points), points.dtype) if weights is None else weights
    return Drawn(points, jnp.zeros((len(points), 0), points.dtype), weights)


def check_weight(weight: float) -> None:
    require(isinstance(weight, (int, float)) and weight > 0, "weight", "a number > 0", weight)
