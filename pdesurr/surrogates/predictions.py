"""Predictions from file to file: inputs of a data file or a numpy file, outputs as `.npz`."""

import io
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr._files import write_bytes
from pdesurr.checks import DatasetError, require
from pdesurr.data import open_dataset
from pdesurr.data._arrays import open_arrays
from pdesurr.surrogates.surrogate import RangeWarning, Surrogate


def read_inputs(path: Path, name: str, stride: int, surrogate: Surrogate) -> np.ndarray:
    """Inputs `(n, *grid, channel)` of a data file, an .npz or an .npy file. Raises `DatasetError` or `UsageError`."""
    if path.suffix not in (".npz", ".npy"):
        return open_dataset(path, stride=stride).inputs
    require(stride == 1, "--stride", "1: only data files say where their nodes are", stride, "thin the array yourself")
    values = _npy(path) if path.suffix == ".npy" else _npz(path, name)
    require(values.dtype.kind in "fiub", "inputs", "real numbers", str(values.dtype))
    if values.ndim == surrogate.spec.grid.ndim + 1 and len(surrogate.spec.input) == 1:
        values = values[..., None]
    axes, channels = ", ".join(surrogate.spec.grid.names), len(surrogate.spec.input)
    sound = values.ndim == surrogate.spec.grid.ndim + 2 and values.shape[-1] == channels
    allowed = f"an array (n, {axes}, {channels})" + (f" or (n, {axes})" if channels == 1 else "")
    require(sound, "inputs", f"{allowed}; channels: {', '.join(c.name for c in surrogate.spec.input)}", values.shape)
    require(values.size > 0, "inputs", "at least one sample of at least one node", values.shape)
    return values.astype(np.float32)


def predict_file(surrogate: Surrogate, inputs: np.ndarray, out: Path, overwrite: bool, batch: int = 64) -> np.ndarray:
    """Predict a batch at a time and write `input` and `output` into an .npz file."""
    require(out.suffix == ".npz", "--out", "a name that ends in .npz", str(out))
    if out.exists() and not overwrite:
        raise DatasetError(f"{out}: exists already; choose another name or say --overwrite")
    jax.eval_shape(surrogate, inputs[:1])  # the shape is checked before the work
    require(bool(np.isfinite(inputs).all()), "inputs", "finite values", "NaN or infinity", "repair or drop those samples")
    for warning in surrogate.range_warnings(jnp.asarray(inputs), surrogate.grid_of(inputs.shape)):
        warnings.warn(warning, RangeWarning, stacklevel=2)
    call = jax.jit(lambda v: surrogate(v))
    outputs = np.concatenate([np.asarray(call(jnp.asarray(inputs[i : i + batch]))) for i in range(0, len(inputs), batch)])
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, input=inputs, output=outputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, buffer.getvalue())
    return outputs


def _npz(path: Path, name: str) -> np.ndarray:
    with open_arrays(path) as source:
        if name not in source.shapes():
            raise DatasetError(f"{path}: no array {name!r}; it holds {', '.join(source.shapes())}; choose one with --name")
        return source.read(name)


def _npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError):
        raise DatasetError(f"{path}: not an .npy file of numbers; write it with numpy.save") from None
