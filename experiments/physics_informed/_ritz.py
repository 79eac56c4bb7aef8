"""The nonlinear elliptic problem by its energy, in any dimension: what the rows share."""

from _study import Preset, Row, whole

from pdesurr.fields import known
from pdesurr.fields.regions import box
from pdesurr.models.coordinate import CoordinateMLP
from pdesurr.objectives.physics import Energy, Problem
from pdesurr.pdes import NonlinearPoisson


def ritz_row(dimension: int, presets: dict[str, Preset], must: float, aim: float | None = None) -> Row:
    """The energy alone: the condition on the walls is its natural one."""
    pde, region = NonlinearPoisson(dimension=dimension), box(*[(0, 1)] * dimension)

    def problem(points: int) -> Problem:
        density = lambda u: pde.energy_density(u, known(u, pde.source, *pde.names))  # noqa: E731
        return Problem({"energy": Energy(density, (region,), points)}, pde.names)

    def network(key, width=16, depth=2):
        return CoordinateMLP(region.lower, region.upper, 1, width, depth, key=key)

    return Row(f"Nonlinear elliptic, Ritz, d = {dimension}", whole(problem, network), region, pde.exact, presets, None, must, aim)
