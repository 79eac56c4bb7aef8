"""Learning evolutions: whole roll-outs judged step by step, and one-step models trained on windows of trajectories."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from pdesurr import metrics
from pdesurr.checks import require
from pdesurr.models import RollOut
from pdesurr.objectives.supervised import grid_of
from pdesurr.types import Batch, Key, Metrics, Model, Samples, apply


@dataclass(frozen=True)
class StepwiseL2:
    """Mean over steps and samples of ||u_k - v_k||_L2 / ||v_k||_L2, u_k the k-th record of model(a), v_k the true one.

    For models that answer a whole evolution (`RollOut`, `SpaceTime`, or any with records of `components` channels side by
    side). Metrics: `stepwise_l2`, the loss, and `relative_l2`, the error of each evolution as one function: two numbers, since late
    errors and small records weigh differently in them. Raises `UsageError` for an output that is not whole records.
    Source: Li et al., ICLR 2021 (arXiv 2010.08895), whose published training minimises it through all steps of a `RollOut`.
    """

    components: int = 1

    def __post_init__(self):
        require(self.components >= 1, "components", "a number >= 1", self.components)

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        return _by_step(apply(model, batch.input, grid_of(batch), key=key), batch, self.components)


@dataclass(frozen=True)
class RolledOut:
    """`StepwiseL2` of `RollOut(model, steps, components, residual)`, for training the one-step `model` on windows (`WindowSource`).

    `steps=1` is Markov or teacher-forced training: each window is true. `pushforward`: all steps but the last are taken without a
    gradient, and the last alone counts; the model learns to answer its own inputs rather than true ones (Brandstetter, Worrall
    and Welling, ICLR 2022, arXiv 2202.03376; 2 steps there). `noise`: the window gets Gaussian noise of that many standard
    deviations of its own, each sample's and component's; only with a key, so a validation has none (Tran et al., ICLR 2023, arXiv
    2111.13802: 0.01). On many devices each draws the same noise for its share.

    As `validation_objective` with the steps of whole trajectories it validates a one-step model by what it is for.
    `residual`: the model's answer is the change from the last record; between normalisers, those must then be about zero
    (`centre=False`). Metrics as in `StepwiseL2`. Raises `UsageError` for numbers out of range, and for a batch of other steps.
    """

    steps: int
    components: int = 1
    pushforward: bool = False
    noise: float = 0.0
    residual: bool = False

    def __post_init__(self):
        require(min(self.steps, self.components) >= 1, "steps, components", "numbers >= 1", (self.steps, self.components))
        require(self.noise >= 0, "noise", "a number of standard deviations >= 0", self.noise)

    def __call__(self, model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        grid, a, c = grid_of(batch), batch.input, self.components
        wanted = self.steps * c
        require(batch.output.values.shape[-1] == wanted, "batch", f"outputs of {self.steps} records, {wanted} channels",
                batch.output.values.shape, "make the windows with the same steps and components")
        window, before = a.values, self.steps - 1 if self.pushforward else 0
        if key is not None:
            key, drawn = jax.random.split(key)
            window = self._noisy(window, drawn) if self.noise else window
        if before:
            told = apply(RollOut(model, before, c, self.residual), Samples(a.points, window, a.params), grid, key=key)
            window = jnp.concatenate([window, lax.stop_gradient(told)], axis=-1)[..., -window.shape[-1] :]
        rolled = RollOut(model, self.steps - before, c, self.residual)
        u = apply(rolled, Samples(a.points, window, a.params), grid, key=key)
        truth = Samples(grid, batch.output.values[..., -u.shape[-1] :])
        return _by_step(u, Batch(a, truth), c)

    def _noisy(self, window: Float[Array, "batch *grid in"], key: Key) -> Float[Array, "batch *grid in"]:
        records = window.reshape(len(window), -1, window.shape[-1] // self.components, self.components)
        size = self.noise * jnp.std(records, axis=(1, 2), keepdims=True)
        return (records + size * jax.random.normal(key, records.shape, records.dtype)).reshape(window.shape)


def _by_step(u: Float[Array, "batch *grid out"], batch: Batch, components: int) -> tuple[Array, Metrics]:
    grid, truth = grid_of(batch), batch.output.values
    stepwise = jax.vmap(lambda v, w: metrics.stepwise_l2(v, w, grid, components))(u, truth)
    whole = jax.vmap(lambda v, w: metrics.relative_l2(v, w, grid))(lax.stop_gradient(u), truth)
    loss = jnp.mean(stepwise)
    return loss, {"stepwise_l2": loss, "relative_l2": jnp.mean(whole)}
