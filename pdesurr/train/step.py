"""One training step and one epoch of them. The same text runs on one device and, inside `shard_map`, on many."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from pdesurr.train.state import TrainState, select
from pdesurr.types import Metrics, Objective

AXIS = "data"


@dataclass(frozen=True, eq=False)
class Engine:
    """What a step needs besides the state: the model's static half, the objective, the optimiser and the settings.

    `mean_of`, over devices: "loss", inside the differentiated function, whose transpose then averages the gradients (what `shard_map`
    needs); "gradient", averaged by itself (what `pmap` needs); None where the program is one for all devices (slices). Each is wrong
    under the others.
    """

    static: Any
    objective: Objective
    optimiser: optax.GradientTransformation
    ema_decay: float
    mean_of: Literal["loss", "gradient"] | None = "loss"
    accumulate: int = 1

    def loss_and_gradient(self, params: PyTree, batch: Any, key: Any) -> tuple[Array, PyTree]:
        def loss(p: PyTree) -> Array:
            if self.mean_of == "loss":
                p = jax.tree.map(lambda leaf: jax.lax.pcast(leaf, AXIS, to="varying"), p)
            value, _ = self.objective(eqx.combine(p, self.static), batch, key)
            return jax.lax.pmean(value, AXIS) if self.mean_of == "loss" else value

        value, gradient = jax.value_and_grad(loss)(params)
        return jax.lax.pmean((value, gradient), AXIS) if self.mean_of == "gradient" else (value, gradient)

    def accumulated(self, params: PyTree, source: Any, numbers: Int[Array, " batch"], key: Any) -> tuple[Array, PyTree]:
        """The mean loss and gradient of `accumulate` equal parts of a batch, one after another: memory for one of them."""
        if self.accumulate == 1:
            return self.loss_and_gradient(params, source.take(numbers), key)
        part = lambda n, k: self.loss_and_gradient(params, source.take(n), k)  # noqa: E731
        parts, keys = numbers.reshape(self.accumulate, -1), jax.random.split(key, self.accumulate)
        zero = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(part, parts[0], keys[0]))
        add = lambda total, n_and_k: (jax.tree.map(jnp.add, total, part(*n_and_k)), None)  # noqa: E731
        total, _ = jax.lax.scan(add, zero, (parts, keys))
        return jax.tree.map(lambda v: v / self.accumulate, total)

    def step(self, state: TrainState, source: Any, numbers: Int[Array, " batch"]) -> tuple[TrainState, Metrics]:
        """One update from this device's share of a batch; dropped, and counted, if the loss or the gradient is not finite."""
        key, used = jax.random.split(state.key)
        loss, gradient = self.accumulated(state.params, source, numbers, used)
        norm = optax.tree.norm(gradient)
        ok = jnp.isfinite(loss) & jnp.isfinite(norm)
        with jax.numpy_dtype_promotion("standard"):  # Optax's Adam and schedules need it
            updates, opt_state = self.optimiser.update(gradient, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p + (state.learning_rate * u).astype(p.dtype), state.params, updates)
        age = state.step.astype(jnp.float32)
        decay = jnp.minimum(self.ema_decay, (1 + age) / (10 + age))
        ema = jax.tree.map(lambda e, p: (decay * e + (1 - decay) * p).astype(p.dtype), state.ema, params)
        params, opt_state, ema = select(ok, (params, opt_state, ema), (state.params, state.opt_state, state.ema))
        new = TrainState(params, opt_state, ema, state.best, state.best_metric, state.best_step, state.step + 1, key, state.learning_rate,
                         state.bad_steps + (~ok).astype(jnp.int32), jnp.where(ok | (state.first_bad >= 0), state.first_bad, state.step))
        return new, {"loss": loss, "gradient_norm": norm}

    def segment(self, state: TrainState, source: Any, numbers: Int[Array, "steps batch"]) -> tuple[TrainState, Metrics]:
        """Many steps in one `lax.scan`, one without; metrics are means over those whose update was kept."""

        def body(s: TrainState, n: Array) -> tuple[TrainState, Metrics]:
            s, metrics = self.step(s, source, n)
            good = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
            return s, {name: jnp.where(good, v, jnp.nan) for name, v in metrics.items()}

        state, metrics = jax.lax.scan(body, state, numbers) if len(numbers) > 1 else body(state, numbers[0])
        return state, {name: jnp.nanmean(v) for name, v in metrics.items()}


def slow_in_loops(jaxpr: Any) -> bool:
    """Whether a program convolves: within a loop the transposes of convolutions take XLA several times as long on a CPU (seen with jax
    0.10.2 and 0.12; `experiments/benchmarks/convolutions.py`)."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            return True
        inner = jax.tree.leaves(equation.params, is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr"))
        if any(slow_in_loops(getattr(v, "jaxpr", v)) for v in inner if hasattr(v, "eqns") or hasattr(v, "jaxpr")):
            return True
    return False


def validation(static: Any, objective: Objective, split: bool) -> Callable[..., Array]:
    """`(params, source, numbers (batches, batch)) -> the objective of each batch`, without a key; `split` says that each device has its
    own share of them."""

    def run(params: PyTree, source: Any, numbers: Int[Array, "batches batch"]) -> Array:
        model = eqx.combine(params, static)
        losses = jax.lax.map(lambda n: objective(model, source.take(n), None)[0], numbers)
        return jax.lax.pmean(losses, AXIS) if split else losses

    return run


def keep_best(state: TrainState, losses: Float[Array, " batches"]) -> TrainState:
    """The running mean becomes the best if its validation metric, the mean of those losses, is the lowest so far."""
    metric = jnp.mean(losses)
    better = metric < state.best_metric
    best, value, step = select(better, (state.ema, metric, state.step), (state.best, state.best_metric, state.best_step))
    return eqx.tree_at(lambda s: (s.best, s.best_metric, s.best_step), state, (best, value, step), is_leaf=lambda x: x is None)
