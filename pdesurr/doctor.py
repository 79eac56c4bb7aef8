"""What this process would compute with, and what is wrong with it: `pdesurr doctor`."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import workflow
from pdesurr._runtime import locked
from pdesurr.checks import PdesurrError

MEMORY_LEAST, DISK_LEAST = 4.0, 2.0  # GiB below which the main job may fail


@dataclass(frozen=True)
class Finding:
    """`name`: what was looked at; `found`: what it is; `advice`: what to do, empty where all is well."""

    name: str
    found: str
    advice: str = ""


def examine(folder: Path) -> list[Finding]:
    """All findings about this process, and about `folder`, where runs would be written. Raises nothing: what fails is a finding."""
    try:
        facts = workflow.environment()
    except (RuntimeError, AssertionError) as error:  # what jax raises where the platform that was asked for is not there
        asked = os.environ.get("JAX_PLATFORMS", "")
        return [Finding("devices", " ".join(str(error).split()) or f"none of JAX_PLATFORMS={asked}",
                        "jax lacks the platform that JAX_PLATFORMS names: unset it, or install pdesurr[cuda12], [cuda13] or [tpu]")]
    versions = ", ".join(f"{name} {facts[name]}" for name in ("pdesurr", "python", "jax", "jaxlib", "equinox", "optax", "numpy", "h5py"))
    return [Finding("versions", versions), *_devices(), *_precision(), *_numbers(), *_memory(), *_compilation(), *_folder(folder)]


def _devices() -> Iterator[Finding]:
    devices = jax.devices()
    kinds = ", ".join(dict.fromkeys(f"{d.platform} ({d.device_kind})" for d in devices))
    card = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    lost = card and all(d.platform == "cpu" for d in devices) and os.environ.get("JAX_PLATFORMS", "") != "cpu"
    yield Finding("devices", f"{len(devices)} x {kinds}; {jax.process_count()} process(es); {os.cpu_count()} cores",
                  "an NVIDIA driver is here, but jax runs on the CPU: pip install 'pdesurr[cuda12]' or 'pdesurr[cuda13]'" if lost else "")


def _precision() -> Iterator[Finding]:
    matmul = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    bits = "float64 where asked" if jax.config.jax_enable_x64 else "float32"  # pyright: ignore[reportAttributeAccessIssue]
    yield Finding("precision", f"{bits}, matrix products {matmul or 'at the default'}",
                  "" if matmul in (None, "highest", "float32") else "low precision costs accuracy: unset JAX_DEFAULT_MATMUL_PRECISION")


def _numbers() -> Iterator[Finding]:
    """What jax 0.10.2 gets wrong on CPU, and a transform, against NumPy."""
    draw = np.random.default_rng(0)
    w, c, a = (draw.normal(size=s).astype(np.float32) for s in ((4, 800), (64, 16), (4, 16)))
    product = lambda w, c, a: jnp.sum(jnp.einsum("kn,pk->kpn", w, c @ a.T), (0, 2))  # noqa: E731
    gap = _gap(jax.jit(product)(w, c, a), np.einsum("kn,pk->p", w, c @ a.T))
    yield Finding("compiled sums", f"within {gap:.0e} of NumPy", "" if gap < 1e-4 else "this jax computes wrong results on this device: "
                  "import pdesurr before jax starts, or install another jax (see the README on jax 0.10.2)")
    u = draw.normal(size=(64, 64)).astype(np.float32)
    gap = _gap(jax.jit(jnp.fft.rfft2)(u), np.fft.rfft2(u))
    yield Finding("compiled transforms", f"within {gap:.0e} of NumPy", "" if gap < 1e-4 else "this device's transforms are wrong: install "
                  "another jax")


def _gap(found: jax.Array, wanted: np.ndarray) -> float:
    return float(np.max(np.abs(np.asarray(found) - wanted)) / np.max(np.abs(wanted)))


def _memory() -> Iterator[Finding]:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError, AttributeError):
        return
    yield Finding("memory", f"{free:.1f} GiB free", "" if free > MEMORY_LEAST else f"less than {MEMORY_LEAST:.0f} GiB: close something")


def _compilation() -> Iterator[Finding]:
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if cache is None:
        yield Finding("compilation cache", "none (JAX_COMPILATION_CACHE_DIR keeps programs between processes)")
    else:
        right = os.access(cache, os.W_OK) if Path(cache).exists() else os.access(Path(cache).parent, os.W_OK)
        yield Finding("compilation cache", str(cache), "" if right else "it cannot be written to: choose another JAX_COMPILATION_CACHE_DIR")


def _folder(folder: Path) -> Iterator[Finding]:
    """A run folder must take files, and locks, or two processes could write the same run."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())  # what is missing is not made
    try:
        free = shutil.disk_usage(place).free / 2**30
        with tempfile.TemporaryDirectory(dir=place) as trial, locked(Path(trial)), warnings.catch_warnings():
            (Path(trial) / "file").write_bytes(b"0" * 4096)
    except (OSError, PdesurrError) as error:
        yield Finding("folder", f"{folder}: {error}", "choose a place that exists, may be written to and can lock files (--folder)")
        return
    yield Finding("folder", f"{folder}: writable, locks hold, {free:.1f} GiB free",
                  "" if free > DISK_LEAST else f"less than {DISK_LEAST:.0f} GiB: checkpoints and data may not fit")
