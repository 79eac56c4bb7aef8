"""Strict by default: eight fake devices, no silent promotion of dtype or rank, shapes and types always checked."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

# Before jax is imported. Several workers share the machine, so what numpy calls gets one thread each.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Tests compile far more than they compute: the older emitters, where they are still to be had, take half the time to compile.
QUICK = "--xla_backend_optimization_level=0" + (" --xla_cpu_use_fusion_emitters=false" if version("jaxlib") < "0.11" else "")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook  # noqa: E402

_HOOK = install_import_hook("pdesurr", "beartype.beartype")
import jax  # noqa: E402, I001
import pytest  # noqa: E402

import pdesurr  # noqa: E402, F401  (sets the XLA option that jax 0.10.2 needs)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Eight devices on two cores: programs in flight together can starve each other's collectives of threads.
jax.config.update("jax_cpu_enable_async_dispatch", False)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def x64():
    """float64 in this test only."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def child_env() -> dict[str, str]:
    """The environment for a child process that must find the package and choose its own XLA flags and devices."""
    dropped = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "PYTHONWARNINGS")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH", "")]))
    return env


@pytest.fixture
def shared_data() -> Path:
    """The folder of other people's data files; skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository: nothing of other people's making to read")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Besides those that are marked where they stand, the lines of slow.txt are slow: most of what took more than about two seconds of a
    core when it was last measured."""
    slow = set((ROOT / "tests" / "slow.txt").read_text().splitlines())
    for item in items:
        if item.nodeid.removeprefix("tests/") in slow:
            item.add_marker(pytest.mark.slow)


def pytest_report_header() -> str:
    """Which versions these results are about."""
    return f"jax {jax.__version__}, Python {sys.version.split()[0]}, {jax.device_count()} devices"


@pytest.fixture
def one_device(monkeypatch):
    """For sets and batches that eight would not divide."""
    first = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda *_: first)
    monkeypatch.setattr(jax, "device_count", lambda *_: 1)
