"""An independent code on what both can do: exponax's steppers of order 4, from the same smooth starts, in float64.

Its coefficients keep real parts only, so that equations with imaginary symbols are left out, where it is of first order (the solvers'
benchmark shows that); its vorticity has the opposite sign.
"""

import exponax
import jax
import jax.numpy as jnp
import pytest

from pdesurr.pdes import Advection, AllenCahn, Burgers, Burgers2D, GrayScott, Heat, KuramotoSivashinsky, NavierStokes, ReactionDiffusion

pytestmark = pytest.mark.usefixtures("x64")
KIND = exponax.stepper
CASES = {  # equation, nodes, horizon, steps, the same by exponax, the sign of its state
    "Heat": (Heat(nu=0.02, dimension=2), 24, 0.2, 2, lambda *a: KIND.Diffusion(2, *a, diffusivity=0.02), 1),
    "Advection": (Advection(velocity=0.7), 48, 0.3, 2, lambda *a: KIND.Advection(1, *a, velocity=0.7), 1),
    "Burgers": (Burgers(nu=0.3), 96, 0.3, 300, lambda *a: KIND.Burgers(1, *a, diffusivity=0.3, conservative=True, order=4), 1),
    "Burgers2D": (Burgers2D(nu=0.05), 48, 0.05, 100, lambda *a: KIND.Burgers(2, *a, diffusivity=0.05, order=4), 1),
    "KuramotoSivashinsky": (KuramotoSivashinsky(length=32.0), 96, 2.0, 200,
                            lambda *a: KIND.KuramotoSivashinskyConservative(1, *a, order=4), 1),
    "ReactionDiffusion": (ReactionDiffusion(nu=0.01), 96, 0.5, 100,
                          lambda *a: KIND.reaction.FisherKPP(1, *a, diffusivity=0.01, reactivity=5.0, order=4), 1),
    "AllenCahn": (AllenCahn(epsilon=0.05), 192, 0.2, 200, lambda *a: KIND.reaction.AllenCahn(
        1, *a, diffusivity=0.05, first_order_coefficient=5.0, third_order_coefficient=-5.0, order=4), 1),
    "GrayScott": (GrayScott(length=0.5), 96, 2.0, 20, lambda *a: KIND.reaction.GrayScott(
        2, *a, diffusivity_1=2e-5, diffusivity_2=1e-5, feed_rate=0.029, kill_rate=0.057, order=4), 1),
    "NavierStokes": (NavierStokes(nu=1e-3, forcing=0.0), 64, 1.0, 100, lambda *a: KIND.NavierStokesVorticity(
        2, *a, diffusivity=1e-3, order=4), -1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agreement(case):
    pde, n, horizon, steps, make, sign = case
    grid, few = pde.grid(n), pde.grid(12)
    a = few.resample(pde.sample(jax.random.key(3), few), *grid.shape)
    ours = pde.evolve(a, grid, (horizon,), horizon / steps)[0] if hasattr(pde, "evolve") else pde.etdrk4(a, grid, (horizon,), speed=9.0)[0]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # their code is not written for strict ones
        stepper = make(grid.bases[0].length, n, horizon / steps)
        theirs = jax.jit(exponax.repeat(stepper, steps))(sign * jnp.moveaxis(a, -1, 0))
    gap = jnp.linalg.norm((ours - sign * jnp.moveaxis(theirs, 0, -1)).ravel()) / jnp.linalg.norm(ours.ravel())
    assert float(gap) < 1e-7
