"""In which precision a step computes; weights, their moments and the loss are float32 in each of them."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from pdesurr.nn.spectral_conv import SpectralConv
from pdesurr.types import Batch, Key, Metrics, Model, Objective, Samples, apply

Precision = Literal["float32", "tf32", "bfloat16"]
PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "highest"}  # of matrices, where nothing else is said


class Lowered(eqx.Module):
    """A model that computes in bfloat16 and answers in its input's precision; Fourier layers keep their weights, transforms and sums in
    float32 (`SpectralConv`), since a sum over a grid of 8-bit mantissas loses the small modes."""

    model: Model

    def __call__(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        return self._cast(a, lambda lower: self.model(lower, x, key=key))

    def batched(self, a: Samples, x: Any = None, *, key: Key | None = None) -> Array:
        return self._cast(a, lambda lower: apply(self.model, lower, x, key=key))

    @staticmethod
    def _cast(a: Samples, answer: Any) -> Array:
        return answer(Samples(a.points, a.values.astype(jnp.bfloat16), a.params)).astype(a.values.dtype)


def lowered(model: PyTree) -> PyTree:
    """`model` with weights in bfloat16, but for those of Fourier layers. Differentiable: gradients come back in float32."""
    is_spectral = lambda node: isinstance(node, SpectralConv)  # noqa: E731
    cast = lambda node: node if is_spectral(node) or not eqx.is_inexact_array(node) else node.astype(jnp.bfloat16)  # noqa: E731
    return Lowered(jax.tree.map(cast, model, is_leaf=is_spectral))


def in_precision(objective: Objective, precision: Precision) -> Objective:
    """The objective whose model computes so. "float32" asks for whole products (by default NVIDIA's would be TF32, a TPU's bfloat16),
    "tf32" for 10-bit mantissas in products where the hardware has them, "bfloat16" is `Lowered`."""

    def of(model: Model, batch: Batch, key: Key | None) -> tuple[Array, Metrics]:
        with jax.default_matmul_precision(PRODUCTS[precision]):
            return objective(lowered(model) if precision == "bfloat16" else model, batch, key)

    return of
