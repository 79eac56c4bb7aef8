"""Checkpoints of a state that is dealt to devices: every process writes its own shards, in the background, by Orbax; hashes beside them.

A checkpoint restores onto any number of devices. Orbax (the extra `scale`) does not notice a damaged byte; the manifest does.
"""

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from pdesurr._files import fsync_folder, write_json, write_manifest
from pdesurr.checks import CheckpointError, UsageError
from pdesurr.train.processes import leads, together

STATE = "state"  # Orbax's folder in a checkpoint


def orbax() -> Any:
    """The library, or `UsageError` with what to install."""
    try:
        import orbax.checkpoint as ocp
    except ImportError as error:
        raise UsageError(f"checkpoints='orbax' needs Orbax ({error}): pip install 'pdesurr[scale]'") from None
    return ocp


class ShardedSaver:
    """Writes `folder/<step>/` with `state/`, `info.json` and `SHA256SUMS`, which appears whole or not at all: arrays are copied to the host
    when `save` is called, the rest happens while training goes on. The newest `keep` stay, what a kill left goes. All processes must call
    alike."""

    def __init__(self, folder: Path, keep: int = 3):
        ocp = orbax()
        self.folder, self.keep, self._pending = folder.absolute(), keep, None
        # Its threads then meet those of other processes by messages, and not by a collective that could run into one of a step.
        processes = ocp.options.MultiprocessingOptions(active_processes=set(range(jax.process_count())))
        self._writer: Any = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler(multiprocessing_options=processes),
                                                  multiprocessing_options=processes)
        self._save = lambda path, tree: self._writer.save(path, args=ocp.args.StandardSave(tree))

    _pending: Future[None] | None

    def save(self, step: int, tree: PyTree, info: dict[str, Any]) -> None:
        """Begins a checkpoint, once the one before has ended. Raises what that one raised."""
        self.wait()
        temporary = self.folder / f".{step:09d}.writing"
        if leads():
            for left in self.folder.glob(".*.writing"):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir(parents=True)
        together("checkpoint folder")
        self._save(temporary / STATE, jax.tree.map(_safe, without_keys(tree)))
        behind = ThreadPoolExecutor(1, "pdesurr-saver")
        self._pending = behind.submit(self._finish, step, temporary, info)
        behind.shutdown(wait=False)  # its thread ends with its work

    def wait(self) -> None:
        """Until what has begun is on the disk. Raises `CheckpointError` if it could not be written."""
        pending, self._pending = self._pending, None
        try:
            if pending is not None:
                pending.result()
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{self.folder}: a checkpoint could not be written ({error}); the one before it is untouched") from error

    def _finish(self, step: int, temporary: Path, info: dict[str, Any]) -> None:
        self._writer.wait_until_finished()
        if not leads():
            return
        write_json(temporary / "info.json", info)
        write_manifest(temporary)
        final = self.folder / f"{step:09d}"
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        fsync_folder(self.folder)
        drop_old(self.folder, self.keep)


def restore(path: Path, like: PyTree, shardings: PyTree) -> PyTree:
    """A checkpoint's state in the shape of `like`, lying as `shardings` say. Raises `CheckpointError` where it is of another shape."""
    want = jax.tree.map(lambda v, s: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=s), jax.eval_shape(without_keys, like), shardings)
    ocp = orbax()
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
            held = reader.metadata(path.absolute() / STATE).item_metadata.tree
            told = lambda tree: sorted((str(tuple(v.shape)), str(jnp.dtype(v.dtype))) for v in jax.tree.leaves(tree))  # noqa: E731
            if told(held) != told(want):  # before the read: Orbax would cast another dtype without a word
                raise ValueError("the arrays' shapes or dtypes are others")
            found = reader.restore(path.absolute() / STATE, args=ocp.args.StandardRestore(want))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"{path}: it does not hold this model's state ({str(error)[:200]})") from error
    return jax.tree.map(lambda leaf, v: jax.random.wrap_key_data(v) if is_key(leaf) else v, like, found)


def without_keys(tree: PyTree) -> PyTree:
    """Random keys as the numbers they are."""
    return jax.tree.map(lambda v: jax.random.key_data(v) if is_key(v) else v, tree)


def _safe(v: Array) -> Array:
    """On a CPU an array of the host may be the device's own memory, which the next step writes over."""
    return jnp.copy(v) if next(iter(v.devices())).platform == "cpu" else v


def steps(folder: Path) -> list[Path]:
    """A run's checkpoints, the oldest first."""
    return sorted(p for p in folder.glob("[0-9]*") if p.is_dir()) if folder.is_dir() else []


def drop_old(folder: Path, keep: int) -> None:
    for old in steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def is_key(v: Any) -> bool:
    return jnp.issubdtype(v.dtype, jax.dtypes.prng_key)
