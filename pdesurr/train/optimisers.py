"""Optimisers for a learning rate of 1: the step multiplies by the state's own rate, so that an ensemble may differ in it."""

from typing import Any, Literal

import jax
import optax
from optax.contrib import MuonDimensionNumbers

from pdesurr.checks import require

SMALLEST = 8  # a matrix of fewer rows or columns is no matrix to Muon
OUT_IN = MuonDimensionNumbers(reduction_axis=-1, output_axis=-2)


def adamw(steps: int, *, warmup: float = 0.05, weight_decay: float = 1e-4, clip_norm: float = 1.0,
          final: float = 0.0) -> optax.GradientTransformation:
    """AdamW with the gradient clipped to a global norm, a linear warm-up over a fraction of `steps`, then a cosine to `final`.

    Source: Loshchilov and Hutter, ICLR 2019 (decoupled weight decay, cosine).
    """
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        optax.scale_by_adam(),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_schedule(_rise_and_fall(steps, warmup, weight_decay, clip_norm, final)),
        optax.scale(-1.0),
    )


def muon(steps: int, *, warmup: float = 0.05, weight_decay: float = 1e-4, clip_norm: float = 1.0,
         final: float = 0.0) -> optax.GradientTransformation:
    """Muon: the running mean M of a matrix' gradient is made orthogonal (M = U S V^T to about U V^T, by five Newton-Schulz products) and
    scaled by 0.2 sqrt(the larger side), so that AdamW's learning rates serve. Clipping, decay and schedule as in `adamw`.

    A matrix is the last two axes of an array, at least 8 by 8: what joins channels, in a Fourier layer each wavenumber's real and imaginary
    part by itself, in a convolution each tap. The rest has AdamW with Nesterov's momentum. Source: Jordan et al., "Muon" (2024); the
    scale: Liu et al., arXiv 2502.16982, equation 4.
    """
    schedule = _rise_and_fall(steps, warmup, weight_decay, clip_norm, final)
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        optax.contrib.muon(schedule, weight_decay=weight_decay, adam_weight_decay=weight_decay, consistent_rms=0.2,
                           muon_weight_dimension_numbers=_matrices),
    )


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: OUT_IN if p.ndim > 1 and min(p.shape[-2:]) >= SMALLEST else None, params)


def _rise_and_fall(steps: int, warmup: float, weight_decay: float, clip_norm: float, final: float) -> optax.Schedule:
    require(0 <= warmup < 1, "warmup", "a fraction in [0, 1)", warmup)
    require(clip_norm > 0, "clip_norm", "a number > 0", clip_norm)
    require(weight_decay >= 0, "weight_decay", "a number >= 0", weight_decay)
    rise = max(1, int(warmup * steps))
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, rise, max(steps, rise + 1), final)


Optimiser = Literal["adamw", "muon"]
OPTIMISERS = {"adamw": adamw, "muon": muon}
