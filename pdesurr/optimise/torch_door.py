"""A jax function inside PyTorch's autograd."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pdesurr.checks import UsageError, expected


def torch_function(function: Callable[..., Array]) -> Callable[..., Any]:
    """`function` of float arrays to one array, as a function of PyTorch tensors whose gradients PyTorch's autograd gets, once:

        u = torch_function(surrogate)(a)        # a: a tensor that requires a gradient
        u.square().mean().backward()            # a.grad

    Compiled once for each shape. Arrays go over by DLPack, without a copy where both sit on one device; float64 needs
    `jax.enable_x64(True)`. No second derivatives: PyTorch sees the backward pass as a constant. Raises `UsageError` without PyTorch, and
    for what is no float tensor.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("torch_function needs PyTorch: pip install torch") from None

    forward = jax.jit(function)

    @jax.jit
    def backward(inputs: tuple[Array, ...], cotangent: Array) -> tuple[Array, ...]:
        return jax.vjp(function, *inputs)[1](cotangent)

    def to_jax(tensor: Any) -> Array:
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise expected("input", "float tensors of PyTorch", type(tensor).__name__)
        found = jnp.from_dlpack(tensor.detach().contiguous())
        if found.dtype.name != str(tensor.dtype).removeprefix("torch."):
            raise expected("input", "float32 tensors, or jax.enable_x64(True)", tensor.dtype)
        return found

    class Door(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, *tensors: Any) -> Any:
            context.save_for_backward(*tensors)
            return torch.from_dlpack(forward(*map(to_jax, tensors)))

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context: Any, cotangent: Any) -> Any:
            found = backward(tuple(map(to_jax, context.saved_tensors)), to_jax(cotangent))
            return tuple(torch.from_dlpack(g) for g in found)

    return lambda *tensors: Door.apply(*tensors)
