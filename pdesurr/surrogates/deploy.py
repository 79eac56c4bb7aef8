"""A copy of a surrogate that runs without this package: the compiled program, for any number of samples on one grid."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import export

from pdesurr.checks import UsageError, require
from pdesurr.surrogates.surrogate import Surrogate

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def deployed(surrogate: Surrogate, shape: tuple[int, ...] | None = None, *, platforms: Sequence[str] = ("cpu",),
             derivatives: int = 1) -> bytes:
    """The surrogate as StableHLO with its weights inside: bytes for a file, called by

        jax.export.deserialize(bytearray(data)).call(a)      # a: (batch, *shape, c_in), float32

    with jax alone, through `jit`, and through `grad` as often as `derivatives`. What the copy has not: other grids than `shape` (the
    training grid if None), any check of its inputs, its range, its error, and a hash; and it is a program, to be taken only from those one
    trusts, which is why bundles hold none and nothing here reads one. jax promises to run it for six months, and on `platforms` alone.
    Needs the extra `deploy`. Raises `UsageError` for unknown platforms, without flatbuffers, and for a model that cannot be exported for
    any number of samples.
    """
    require(len(platforms) > 0 and set(platforms) <= set(PLATFORMS), "platforms", f"some of {', '.join(PLATFORMS)}", tuple(platforms))
    require(derivatives in (0, 1, 2), "derivatives", "0, 1 or 2", derivatives)
    shape = surrogate.spec.grid.shape if shape is None else tuple(shape)
    require(len(shape) == surrogate.spec.grid.ndim, "shape", f"nodes along {', '.join(surrogate.spec.grid.names)}", shape)
    (batch,) = export.symbolic_shape("batch")
    like = jax.ShapeDtypeStruct((batch, *shape, len(surrogate.spec.input)), jnp.float32)
    try:
        import flatbuffers  # noqa: F401 - what jax serialises with  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("deployed needs the package flatbuffers; pip install 'pdesurr[deploy]'") from None
    try:
        exported = export.export(jax.jit(jax.vmap(lambda a: surrogate(a))), platforms=tuple(platforms))(like)
    except TypeError as error:
        words = " ".join(str(error).split())[:160]
        raise UsageError(f"surrogate: its model cannot be exported for any number of samples ({words})") from error
    return bytes(exported.serialize(vjp_order=derivatives))
