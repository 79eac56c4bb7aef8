"""The one exception to "no global flag on import": jax 0.10.2 computes wrong numbers on CPU unless a flag is set.

Under `jax.jit`, a small matrix product, a broadcast product and a sum over two axes that are not adjacent come out with
O(1) errors, silently, in float32 and float64; eager mode and every later version are right (0.11.0, 0.11.1, 0.11.2 and
0.12 were tried). 0.10.2 is the newest jax for Python 3.11, so it cannot be avoided. The fault is in how a product is joined
with what follows it for XLA's library of fast products. The cure is the option that chooses what goes to that library: one
product at a time, joined with nothing, is right. The empty value, nothing goes there, is right too but slower: compare by
`experiments/benchmarks/fno_step.py` with XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type= and without. XLA reads `XLA_FLAGS`
once, when its backend starts, and aborts the process on an option it does not know: so it is set before that, and on the
affected versions only. Processes started from this one inherit the variable.
"""

import os
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

AFFECTED_VERSIONS = frozenset({"0.10.2"})
OPTION = "--xla_cpu_experimental_ynn_fusion_type"
CURE = f"{OPTION}=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"


class MiscompileWarning(RuntimeWarning):
    """This process computes with a jax that is wrong on CPU and it is too late to change that."""


def affected() -> bool:
    """Whether the installed jaxlib is one of the versions that miscompile (asked without importing it)."""
    try:
        return version("jaxlib") in AFFECTED_VERSIONS
    except PackageNotFoundError:
        return False


def backend_started() -> bool:
    """Whether XLA has read its flags already; never starts a backend in order to ask."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    ask = getattr(bridge, "backends_are_initialized", None)
    return bool(ask()) if callable(ask) else False


def ensure_correct() -> None:
    """Add the option to `XLA_FLAGS` on an affected version; warn where the backend has started without it.

    A value that the user gave the option is left alone.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if not affected() or OPTION in flags:
        return
    cured = f"{flags} {CURE}".strip()
    if not backend_started():
        os.environ["XLA_FLAGS"] = cured
        return
    warnings.warn(
        f"jax {version('jaxlib')} computes wrong results on CPU under jit unless an XLA option is set, and jax started "
        f"before pdesurr was imported: import pdesurr first, or start Python after: export XLA_FLAGS='{cured}'",
        MiscompileWarning,
        stacklevel=3,
    )
