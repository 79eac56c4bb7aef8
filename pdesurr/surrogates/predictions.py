"""Predictions from file to file: inputs of a data file or a numpy file, outputs as `.npz`."""

import io
import warnings
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from pdesurr._files import write_bytes
from pdesurr.checks import DatasetError, require
from pdesurr.data import open_dataset
from pdesurr.surrogates.surrogate import RangeWarning, Surrogate


def read_inputs(path: Path, name: str, stride: int, surrogate: Surrogate) -> np.ndarray:
    """Inputs `(n, *grid, channel)` of a data file, an .npz or an .npy file. Raises `DatasetError` or `UsageError`."""
    if path.suffix not in (".npz", ".npy"):
        return open_dataset(path, stride=stride).inputs
    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            if path.suffix == ".npz" and name not in found.files:
                raise DatasetError(f"{path}: no array {name!r}; it holds {', '.join(found.files)}; choose one with --name")
            values = np.asarray(found[name] if path.suffix == ".npz" else found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path}: not a readable {path.suffix} file without Python objects ({' '.join(str(error).split())[:120]})"
        ) from None
    require(values.dtype.kind in "fiub", "inputs", "real numbers", str(values.dtype))
    if values.ndim == surrogate.spec.grid.ndim + 1 and len(surrogate.spec.input) == 1:
        values = values[..., None]
    require(
        values.ndim == surrogate.spec.grid.ndim + 2,
        "inputs",
        f"an array (n, {', '.join(surrogate.spec.grid.names)}, {len(surrogate.spec.input)})",
        values.shape,
    )
    return values.astype(np.float32)


def predict_file(surrogate: Surrogate, inputs: np.ndarray, out: Path, overwrite: bool, batch: int = 64) -> np.ndarray:
    """Predict a batch at a time and write `input` and `output` into an .npz file."""
    if out.exists() and not overwrite:
        raise DatasetError(f"{out}: exists already; choose another name or say --overwrite")
    surrogate.predict(inputs[:1])  # shape, values and range are checked before the work
    for warning in surrogate.range_warnings(jnp.asarray(inputs), surrogate.grid_of(inputs.shape)):
        warnings.warn(warning, RangeWarning, stacklevel=2)
    require(bool(np.isfinite(inputs).all()), "inputs", "finite values", "NaN or infinity", "repair or drop those samples")
    call = jax.jit(lambda v: surrogate(v))
    outputs = np.concatenate([np.asarray(call(jnp.asarray(inputs[i : i + batch]))) for i in range(0, len(inputs), batch)])
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, input=inputs, output=outputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, buffer.getvalue())
    return outputs
