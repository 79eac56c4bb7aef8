"""A run's state on disk: written whole or not at all, hashed, the newest sound one found again."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from pdesurr._files import check_manifest, new_folder, read_json, write_json, writing
from pdesurr.checks import CheckpointError
from pdesurr.train.processes import leads
from pdesurr.train.shards import STATE, drop_old, is_key, restore, steps


def save(folder: Path, step: int, tree: PyTree, info: dict[str, Any], keep: int = 3) -> Path:
    """Write `folder/<step>/`: `state.safetensors`, `info.json`, `SHA256SUMS`; then drop all but the newest `keep`.

    Raises `CheckpointError` where the disk refuses; those written before are then as they were.
    """
    from safetensors.numpy import save_file

    path = folder / f"{step:09d}"
    with writing(path, CheckpointError, ", the checkpoint before it is intact"), new_folder(path, overwrite=True) as new:
        save_file(_flatten(tree), new / "state.safetensors")
        write_json(new / "info.json", info)
    drop_old(folder, keep)
    return path


class Saver:
    """`save` by the process that leads, done when it returns: what `ShardedSaver` is for states that are dealt out."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, step: int, tree: PyTree, info: dict[str, Any]) -> None:
        if leads():
            save(self.folder, step, tree, info)

    def wait(self) -> None:
        """Nothing goes on."""


def load_newest(folder: Path, like: PyTree, check: Callable[[dict[str, Any]], None] = lambda info: None, shardings: PyTree = None,
                ) -> tuple[PyTree, dict[str, Any]] | None:
    """The newest checkpoint that is whole, in the shape of `like`, with its info; None if there is none. Either kind is read; what Orbax
    wrote then lies as `shardings` say.

    `check` sees the info first, and raises if it is of another run. A damaged one is named in a warning and the one before it
    is used. Raises `CheckpointError` if all are damaged.
    """
    found = steps(folder)
    for path in reversed(found):
        dealt = (path / STATE).is_dir()
        wrong = _wrong(path, dealt)
        if wrong is None:
            info = read_json(path / "info.json")
            check(info)
            return (restore(path, like, shardings) if dealt else _unflatten(path, like)), info
        warnings.warn(f"checkpoint {path} cannot be used ({wrong}); falling back to the one before it", stacklevel=2)
    if found:
        raise CheckpointError(f"{folder}: no checkpoint is sound; delete the folder to start the run afresh")
    return None


def _wrong(path: Path, dealt: bool) -> str | None:
    """What is wrong with a checkpoint, or None: with its hashes, or with files whose hashes fit."""
    from safetensors import SafetensorError, safe_open

    try:
        wrong = check_manifest(path, nested=dealt)
        if wrong is None and not isinstance(read_json(path / "info.json"), dict):
            wrong = "info.json is not a table"
        if wrong is None and not dealt:
            safe_open(path / "state.safetensors", "numpy")
    except (OSError, ValueError, SafetensorError) as error:
        wrong = " ".join(str(error).split())[:200]
    return wrong


def names(tree: PyTree) -> list[str]:
    """Each leaf's path in the tree."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _flatten(tree: PyTree) -> dict[str, np.ndarray]:
    leaves = [jax.random.key_data(v) if is_key(v) else v for v in jax.tree.leaves(tree)]
    # safetensors 0.8.0 silently corrupts arrays that are not contiguous
    return {name: np.asarray(v, order="C") for name, v in zip(names(tree), leaves, strict=True)}


def _unflatten(path: Path, like: PyTree) -> PyTree:
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path / "state.safetensors")
    except Exception as error:  # of types that numpy has not
        raise CheckpointError(f"{path}: state.safetensors cannot be read ({' '.join(str(error).split())[:200]})") from error
    leaves, treedef = jax.tree.flatten(like)
    loaded = []
    for name, leaf in zip(names(like), leaves, strict=True):
        want = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        got = arrays.pop(name, None)
        if got is None or got.shape != want.shape or got.dtype != want.dtype:
            raise CheckpointError(f"{path}: {name} is {'missing' if got is None else f'{got.dtype}{list(got.shape)}'}, the model's is "
                                  f"{want.dtype}{list(want.shape)}; it belongs to another model or another version")
        loaded.append(jax.random.wrap_key_data(jnp.asarray(got)) if is_key(leaf) else jnp.asarray(got))
    if arrays:
        raise CheckpointError(f"{path}: it holds {next(iter(arrays))}, which the model has not")
    return jax.tree.unflatten(treedef, loaded)

