"""Objectives that read the equation alone, and models of space and time: what the batteries' cases on one grid cannot try."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr.checks import UsageError
from pdesurr.data.sources import ArraySource, PDESource, PriorSource
from pdesurr.fields import ChebyshevBasis, FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO, NSM, InitialValue, OverTime, Records, ZeroMean, ZeroWalls
from pdesurr.objectives import AtRecords, Mixed, SpectralResidual, StencilResidual, relative_l2
from pdesurr.pdes import Burgers2D, Helmholtz, NavierStokes, NonlinearPoisson, Poisson, ReactionDiffusion, Wave
from pdesurr.train import TrainConfig, fit
from pdesurr.types import Batch, Samples

KEY = jax.random.key(0)
GROWTH = ReactionDiffusion(nu=0.05)


class Solved(eqx.Module):
    """The solver as a model: the answer wherever it is asked for, plus `size` times a function that is zero at time 0."""

    pde: Any
    size: jax.Array
    horizon: float = 1.0

    def __call__(self, a, x=None, *, key=None):
        x = a.points if x is None else x
        bump = jnp.asarray(np.prod(np.sin(2 * np.pi * x.nodes[..., : a.points.ndim]), axis=-1))[..., None]
        if x.names[-1] != "t":
            return self.pde.solve(a.values, a.points) + self.size * bump
        times = tuple(float(t) for t in x.bases[-1].nodes)
        u = self.pde.evolve(a.values, a.points, times[1:], 0.002)
        u = jnp.moveaxis(jnp.concatenate([a.values[None], u]), 0, a.points.ndim)
        return u + self.size * bump * jnp.asarray(times).reshape((1,) * a.points.ndim + (-1, 1))


def inputs(pde, n, count=2):
    return PriorSource(pde, pde.grid(n), count, 0).take(jnp.arange(count))


def smooth(batch, n):
    """The inputs with the modes of `n` nodes an axis, in float64."""
    grid = batch.input.points
    few = lambda v: grid.with_shape(*(n,) * grid.ndim).resample(grid.resample(v, *(n,) * grid.ndim), *grid.shape)  # noqa: E731
    a = Samples(grid, jax.vmap(few)(batch.input.values.astype(jnp.float64)))
    return Batch(a, a)


STEADY = [(Poisson(dimension=1), 24), (Poisson(walls=True), 20), (NonlinearPoisson(), 20), (Helmholtz(), 20)]
SMOOTH = ReactionDiffusion(nu=0.005, scale=0.6)
MOVING = [(SMOOTH, 32), (NavierStokes(nu=1e-3, forcing=0.1, horizon=0.5, intervals=1, history=1), 24),
          (Burgers2D(nu=0.05, horizon=0.05), 48)]
NAMES = lambda v: type(v).__name__ if not isinstance(v, int) else ""  # noqa: E731


@pytest.mark.parametrize(("pde", "n"), STEADY + MOVING, ids=NAMES)
def test_zero_at_the_solution_positive_off_it_and_differentiable(pde, n, x64):
    batch = smooth(inputs(pde, n), 7)
    objective = SpectralResidual(pde, time=16)
    loss = jax.jit(lambda s: objective(Solved(pde, s, getattr(pde, "horizon", 1.0)), batch, None)[0])
    off = float(loss(jnp.asarray(0.1)))
    assert float(loss(jnp.asarray(0.0))) < 1e-5 * off
    s, h = jnp.asarray(0.1), 1e-5
    np.testing.assert_allclose(jax.grad(loss)(s), (loss(s + h) - loss(s - h)) / (2 * h), rtol=1e-6)


def test_at_records_an_objective_is_zero_at_the_solution_and_positive_off_it(x64):
    a = smooth(inputs(SMOOTH, 32), 7).input
    answer = lambda s: jax.vmap(Records(Solved(SMOOTH, jnp.asarray(s)), 3))(a)  # noqa: E731
    batch = Batch(a, Samples(SMOOTH.grid(32), answer(0.0)))
    loss = jax.jit(lambda s: AtRecords(relative_l2, 3)(Solved(SMOOTH, s), batch, None)[0])
    s, h = jnp.asarray(0.1), 1e-6
    assert float(loss(jnp.asarray(0.0))) < 1e-12 < float(loss(s))
    np.testing.assert_allclose(jax.grad(loss)(s), (loss(s + h) - loss(s - h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("pde", [Poisson(dimension=1), SMOOTH], ids=NAMES)
def test_differences_converge_at_their_order(pde, x64):
    """The root of the loss at the solution is the error of the differences."""
    batch = jax.tree.map(lambda v: v.astype(jnp.float64), inputs(pde, 48, 1))
    residual = lambda k: float(StencilResidual(pde, (48 * k,), 32 * k + 1)(Solved(pde, jnp.asarray(0.0)), batch, None)[1]["residual"])  # noqa: E731
    assert 1.9 < np.log2(residual(1) / residual(2)) < 2.1


def test_the_norm_is_the_integral(x64):
    """On a Chebyshev and Fourier grid the loss is a quadrature's on many more nodes, for an answer that is no solution."""
    model = InitialValue(NSM(1, 1, (8,), 8, 1, time=6, key=KEY))
    a = jax.tree.map(lambda v: v.astype(jnp.float64), inputs(GROWTH, 32, 1)).input
    loss = float(SpectralResidual(GROWTH, time=8)(model, Batch(a, a), None)[0])
    x = Grid([FourierBasis(32, 0.0, 1.0), ChebyshevBasis(8, 0.0, 1.0)], ("x", "t"))
    u_hat = x.transform(model(Samples(a.points, a.values[0]), x)[..., 0])
    fine = x.with_shape(96, 40)
    at = lambda name, order: fine.inverse(x.resample_hat(jnp.asarray(x.derivative_hat(u_hat, name, order)), 96, 40))  # noqa: E731
    u = fine.inverse(x.resample_hat(u_hat, 96, 40))
    r = at("t", 1) - GROWTH.nu * at("x", 2) - GROWTH.rho * u * (1 - u)
    np.testing.assert_allclose(loss, float(fine.integral(r**2)) / fine.volume, rtol=1e-10)


class Waves(eqx.Module):
    """t (cos(24 pi x) + cos(16 pi x)): of the first one's square 32 nodes take the 24th wave for the 8th, which is the second."""

    def __call__(self, a, x: Any = None, *, key=None):
        space, t = x.nodes[..., :1], x.nodes[..., 1:]
        return jnp.asarray(t * (np.cos(24 * np.pi * space) + np.cos(16 * np.pi * space)), jnp.float32)


def test_padding_takes_products_free_of_aliasing():
    pde, a = ReactionDiffusion(nu=1e-4), inputs(GROWTH, 32, 1).input
    loss = lambda padding: float(SpectralResidual(pde, time=8, padding=padding)(Waves(), Batch(a, a), None)[0])  # noqa: E731
    np.testing.assert_allclose(loss(2.0), loss(3.0), rtol=1e-4)
    assert abs(loss(1.0) / loss(3.0) - 1) > 0.1


def test_a_model_of_time_is_asked_on_grids_at_points_and_at_the_horizon():
    model = InitialValue(NSM(1, 1, (9,), 8, 1, time=5, horizon=2.0, key=KEY))
    grid = Grid([FourierBasis(16, 0.0, 1.0)])
    a = Samples(grid, jax.random.normal(KEY, (16, 1)))
    x = Grid([*grid.bases, UniformBasis(3, 0.0, 2.0)], ("x", "t"))
    on_grid = model(a, x)
    np.testing.assert_allclose(on_grid[:, 0], a.values, atol=1e-6)
    np.testing.assert_allclose(on_grid[:, 2], model(a), atol=1e-5)
    points = jnp.asarray(x.nodes.reshape(-1, 2), jnp.float32)
    smooth = Samples(grid, grid.resample(grid.resample(a.values, 9), 16))  # noise's highest mode is not a function of the place
    np.testing.assert_allclose(model(smooth, points), model(smooth, x).reshape(-1, 1), atol=1e-5)
    np.testing.assert_allclose(model(smooth, points[2::3, :1]), model(smooth), atol=1e-5)
    np.testing.assert_allclose(Records(model, 2)(a), jnp.concatenate([on_grid[:, 1], on_grid[:, 2]], axis=-1), atol=1e-6)
    np.testing.assert_allclose(Records(model, 1)(a), model(a), atol=1e-5)


def test_walls_are_zero_and_means_are_zero():
    walls = Grid([ChebyshevBasis(8, 0.0, 2.0), FourierBasis(6)])
    a = Samples(walls, jax.random.normal(KEY, (8, 6, 1)))
    u = ZeroWalls(NSM(1, 1, (8, 6), 6, 1, periodic=(False, True), key=KEY))(a)
    assert float(jnp.max(jnp.abs(u[jnp.array([0, -1])]))) == 0 < float(jnp.max(jnp.abs(u)))
    centred = ZeroMean(NSM(1, 1, (8, 6), 6, 1, periodic=(False, True), key=KEY))(a)
    assert abs(float(walls.integral(centred)[0])) < 1e-5


def test_trained_on_the_equation_alone_it_learns_the_solution():
    pde = Poisson(dimension=1, scale=0.4)
    grid = pde.grid(16)
    model = ZeroMean(NSM(1, 1, (15,), 16, 1, scale=0.1, activation="gelu", key=KEY))
    held = PDESource(pde, grid, 16, 1, draws=4)
    result = fit(model, PriorSource(pde, grid, 640, 0), SpectralResidual(pde), TrainConfig(epochs=10, batch_size=16, learning_rate=5e-3),
                 validate=held, validation_objective=relative_l2)
    before = relative_l2(model, held.take(jnp.arange(16)), None)[0]
    assert float(result.best_metric) < 0.1 * float(before)


@pytest.mark.slow
def test_refined_on_one_instance_it_is_nearer_there():
    """What README says of refinement: a trained operator goes on with the residual of one input, without its solution."""
    pde = Poisson(dimension=1, scale=0.4)
    grid = pde.grid(16)
    model, rough = ZeroMean(NSM(1, 1, (15,), 16, 1, scale=0.1, activation="gelu", key=KEY)), TrainConfig(epochs=1, batch_size=16)
    model = fit(model, PriorSource(pde, grid, 640, 0), SpectralResidual(pde), rough).model
    one = PDESource(pde, grid, 1, 5, draws=1).take(jnp.arange(1))
    alone = ArraySource(one.input.values, one.input.values[..., :0], grid)
    config = TrainConfig(epochs=300, batch_size=1, learning_rate=2e-3)
    refined = fit(model, alone, SpectralResidual(pde), config, devices=jax.devices()[:1]).model
    before, after = (float(relative_l2(m, one, None)[0]) for m in (model, refined))
    assert after < before / 5


def test_data_and_equation_together():
    pde = ReactionDiffusion(nu=0.05)
    a, grid = inputs(pde, 24, 3).input, pde.grid(24)
    records = jax.vmap(lambda v: jnp.concatenate(list(pde.evolve(v, grid, (0.25, 0.5, 0.75, 1.0), 0.01)), axis=-1))(a.values)
    model = InitialValue(OverTime(FNO(1, 1, (6, 2), 8, 1, coordinates=(False, True), key=KEY), 9))
    for residual in (SpectralResidual(pde, time=8), StencilResidual(pde, time=9)):
        both = Mixed(((1.0, AtRecords(relative_l2, 4)), (0.1, residual)))
        loss, metrics = both(model, Batch(a, Samples(grid, records)), KEY)
        assert set(metrics) == {"relative_l2", "residual"} and float(loss) > float(metrics["relative_l2"]) > 0


def test_fresh_inputs_stand_in_for_the_batch_only_with_a_key():
    model, batch = ZeroMean(NSM(1, 1, (8,), 4, 1, key=KEY)), inputs(Poisson(dimension=1), 16, 2)
    own, fresh = (SpectralResidual(Poisson(dimension=1), fresh=n) for n in (0, 3))
    losses = [float(o(model, batch, k)[0]) for o in (own, fresh) for k in (None, jax.random.key(1), jax.random.key(2))]
    assert losses[0] == losses[1] == losses[2] == losses[3] and len({*losses[3:]}) == 3


@pytest.mark.parametrize(("make", "words"), [
    (lambda: SpectralResidual(Wave()), "first order in time"),
    (lambda: SpectralResidual(GROWTH, padding=0.5), "padding"),
    (lambda: StencilResidual(GROWTH, accuracy=3), "accuracy"),
    (lambda: StencilResidual(MOVING[1][0], (16, 16), 5)(Solved(MOVING[1][0], jnp.asarray(0.0), 0.5), inputs(MOVING[1][0], 16), None),
     "inverse Laplacian"),
    (lambda: InitialValue(FNO(1, 1, (3,), 4, 1, key=KEY)), "horizon"),
    (lambda: Mixed(()), "terms"),
    (lambda: NSM(1, 1, (8,), time=1, key=KEY), "time"),
    (lambda: NSM(1, 1, (8,), 4, 1, key=KEY)(Samples(Grid([UniformBasis(8)]), jnp.ones((8, 1)))), "spectral"),
    (lambda: NSM(1, 1, (8,), 4, 1, key=KEY)(Samples(Grid([ChebyshevBasis(8)]), jnp.ones((8, 1)))), "periodic"),
    (lambda: OverTime(FNO(1, 1, (3, 2), 4, 1, key=KEY), 5)(Samples(Grid([FourierBasis(8)]), jnp.ones((8, 1))), Grid([FourierBasis(9)])),
     "own"),
])
def test_bad_input(make, words):
    with pytest.raises(UsageError, match=words):
        make()
