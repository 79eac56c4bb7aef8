"""Optimisers for a learning rate of 1: the step multiplies by the state's own rate, so that an ensemble may differ in it."""

import optax

from pdesurr.checks import require


def adamw(steps: int, *, warmup: float = 0.05, weight_decay: float = 1e-4, clip_norm: float = 1.0,
          final: float = 0.0) -> optax.GradientTransformation:
    """AdamW with the gradient clipped to a global norm, a linear warm-up over a fraction of `steps`, then a cosine to `final`.

    Source: Loshchilov and Hutter, ICLR 2019 (decoupled weight decay, cosine).
    """
    require(0 <= warmup < 1, "warmup", "a fraction in [0, 1)", warmup)
    require(clip_norm > 0, "clip_norm", "a number > 0", clip_norm)
    require(weight_decay >= 0, "weight_decay", "a number >= 0", weight_decay)
    rise = max(1, int(warmup * steps))
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, rise, max(steps, rise + 1), final)
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        optax.scale_by_adam(),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_schedule(schedule),
        optax.scale(-1.0),
    )
