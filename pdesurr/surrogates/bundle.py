"""A surrogate as a folder: `config.json`, `model.safetensors`, `spec.json`, `README.md`, `SHA256SUMS`. No pickle; no name in a
file is ever imported: classes come from a closed table."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pdesurr import __version__, models
from pdesurr._files import MANIFEST, check_manifest, new_folder, read_json, write_json, write_text, writing
from pdesurr.checks import BundleError, PdesurrError
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.surrogates import spec as specs
from pdesurr.surrogates.card import card
from pdesurr.surrogates.surrogate import Surrogate
from pdesurr.types import StorableModel, describe, parameter_count

CONFIG_VERSION = 1
MODELS = {name: value for name in models.__all__ if isinstance(value := getattr(models, name), type)}  # a closed table
NESTED = "model"  # the one argument that may be a described model: what a wrapper such as RollOut wraps
MAX_DEPTH = 3  # a model in a model in a model
LONGEST_MESSAGE = 800  # a hostile bundle's names and numbers stand in it
FILES = ("README.md", "config.json", "model.safetensors", "spec.json")


def save_surrogate(surrogate: Surrogate, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write the bundle folder `path`, whole or not at all. Raises `BundleError` if it exists (without `overwrite`), if the model or
    one inside it is none that bundles hold, or if a weight is not finite."""
    from safetensors.numpy import save_file

    path, model, network = Path(path), surrogate.model, surrogate.model.model
    _check_storable(network, path)
    described = describe(network)
    arrays = {n: np.asarray(v, order="C") for n, v in _named_arrays(model.model).items()}
    for n, v in arrays.items():
        if not np.isfinite(v).all():
            raise BundleError(f"{path}: weight {n} is not finite; the training diverged, nothing was written")
    config = {"config_version": CONFIG_VERSION, "pdesurr": __version__, **described,
              "input_scaler": _scaler_json(model.input), "output_scaler": _scaler_json(model.output)}
    try:
        with writing(path, BundleError), new_folder(path, overwrite) as folder:
            write_json(folder / "config.json", config)
            write_text(folder / "spec.json", specs.to_json(surrogate.spec) + "\n")
            write_text(folder / "README.md", card(surrogate.spec, described["class"], described["arguments"], parameter_count(network)))
            save_file(arrays, folder / "model.safetensors")
    except FileExistsError:
        raise BundleError(f"{path}: exists already; choose another name or say overwrite=True") from None
    return path


def load_surrogate(path: Path | str) -> Surrogate:
    """Read a bundle folder. Every file is checked against its sha256, every tensor against the model's shapes and types.

    Raises `BundleError`, one line naming the file and what is wrong; nothing in a bundle is executed.
    """
    path = Path(path)
    if not path.is_dir():
        raise BundleError(f"{path}: {'is a file, not a bundle folder' if path.exists() else 'no such bundle folder'}")
    if (path / "bundle").is_dir():
        raise BundleError(f"{path}: is a run folder; give the bundle in it, {path / 'bundle'}")
    if (path / "checkpoints").is_dir():
        raise BundleError(f"{path}: is a run without a bundle yet; finish the training with the command that began it")
    if not any((path / name).exists() for name in (MANIFEST, "model.safetensors")):
        raise BundleError(f"{path}: holds no bundle: neither {MANIFEST} nor model.safetensors")
    try:
        wrong = check_manifest(path) or _odd_files(path)
        if wrong is not None:
            raise BundleError(f"{path}: {wrong}; get the bundle again from its source")
        model = _load_model(path)
        spec = specs.from_json(_read(path / "spec.json"))
        if (len(spec.input), len(spec.output)) != (len(model.input.mean), len(model.output.mean)):
            raise BundleError(f"{path}/spec.json: {len(spec.input)} input and {len(spec.output)} output channels, the model has "
                              f"{len(model.input.mean)} and {len(model.output.mean)}")
        return Surrogate(model, spec)
    except BundleError as error:
        text = str(error) if str(path) in str(error) else f"{path}/{error}"
        raise BundleError(text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "...") from None
    except Exception as error:  # whatever a hostile file provokes ends here, as one line
        raise BundleError(f"{path}: not a sound bundle ({_one_line(error)}); get it again from its source") from error


def _odd_files(path: Path) -> str | None:
    present = {f.name for f in path.iterdir()}
    wanted = {*FILES, MANIFEST}
    return None if present == wanted else f"expected the files {', '.join(sorted(wanted))}, found {', '.join(sorted(present))}"


def _read(file: Path) -> Any:
    try:
        return read_json(file)
    except ValueError as error:
        raise BundleError(f"{file}: {_one_line(error)}") from error


def _load_model(path: Path) -> Scaled:
    from safetensors.numpy import load_file

    config = _read(path / "config.json")
    keys = {"config_version", "pdesurr", "class", "arguments", "input_scaler", "output_scaler"}
    if not isinstance(config, dict) or set(config) != keys or config["config_version"] != CONFIG_VERSION:
        raise BundleError(f"{path}/config.json: expected the keys {', '.join(sorted(keys))} of version {CONFIG_VERSION}")
    described = _checked(config["class"], config["arguments"])
    try:
        skeleton = eqx.filter_eval_shape(lambda key: _build(described, key), jax.random.key(0))
    except (PdesurrError, TypeError, ValueError) as error:
        raise BundleError(f"{path}/config.json: arguments: {_one_line(error)}") from error
    wanted = _named_arrays(skeleton)
    _check_header(path / "model.safetensors", wanted)
    arrays = load_file(path / "model.safetensors")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BundleError(f"{path}/model.safetensors: {name} holds NaN or infinity")
    leaves = [jnp.asarray(arrays[name]) for name in wanted]
    params, static = eqx.partition(skeleton, lambda x: isinstance(x, jax.ShapeDtypeStruct))
    model = eqx.combine(jax.tree.unflatten(jax.tree.structure(params), leaves), static)
    return Scaled(model, _scaler(config["input_scaler"]), _scaler(config["output_scaler"]))


def _check_header(file: Path, wanted: dict[str, Any], limit: int = 1 << 22) -> None:
    """Names, shapes and types before any weight is read; safetensors itself accepts duplicate names."""
    with open(file, "rb") as handle:
        head = handle.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(limit, file.stat().st_size):
            raise BundleError(f"{file}: not a safetensors file")
        text = handle.read(length)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({k for k, _ in items}) != len(items):
            raise BundleError(f"{file}: duplicate names in its header")
        return dict(items)

    try:
        header = json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        raise BundleError(f"{file}: not a safetensors file (its header is not JSON)") from None
    header.pop("__metadata__", None)
    if set(header) != set(wanted):
        raise BundleError(f"{file}: tensor {sorted(set(header) ^ set(wanted))[0]!r} is in the file or in the model, not in both")
    for name, leaf in wanted.items():
        shape, dtype = header[name].get("shape"), {"int32": "I32"}.get(str(leaf.dtype), "F32")
        if list(leaf.shape) != shape or header[name].get("dtype") != dtype:
            raise BundleError(f"{file}: {name} is {header[name].get('dtype')}{shape}, the model's is {dtype}{list(leaf.shape)}")


def _named_arrays(model: Any) -> dict[str, Any]:
    arrays = eqx.filter(model, lambda x: eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct))
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(arrays)[0]}


def _check_storable(model: Any, path: Path, depth: int = 1) -> None:
    """Raise `BundleError` unless the model and those inside it are the closed table's very classes, and can be read again."""
    name = type(model).__name__
    if depth > MAX_DEPTH:
        raise BundleError(f"{path}: cannot save models nested deeper than {MAX_DEPTH}")
    if MODELS.get(name) is type(model) and hasattr(model, NESTED):  # first: a wrapper's arguments ask for its model's
        _check_storable(getattr(model, NESTED), path, depth + 1)
    if MODELS.get(name) is not type(model) or not isinstance(model, StorableModel):
        raise BundleError(f"{path}: cannot save a {name}; nothing in a file names code to run, so bundles hold only "
                          f"{', '.join(MODELS)}; save the weights of a model of your own beside its code")


def _checked(name: Any, arguments: Any, depth: int = 1) -> tuple[str, dict[str, Any]]:
    """A described model that may be built: a class of the closed table; of the arguments, JSON lists as tuples and `NESTED` as
    another such pair. Only plain numbers, texts, booleans, None and lists of them may come. Builds nothing."""
    if depth > MAX_DEPTH:
        raise BundleError(f"config.json: models nested deeper than {MAX_DEPTH}")
    if not isinstance(name, str) or name not in MODELS:
        raise BundleError(f"config.json: unknown model class {str(name)[:60]!r}; known are {', '.join(MODELS)}")
    if not isinstance(arguments, dict) or "key" in arguments:
        raise BundleError("config.json: arguments: expected a table without 'key'")
    return name, {k: _nested(v, depth + 1) if k == NESTED else _plain(k, v) for k, v in arguments.items()}


def _nested(described: Any, depth: int) -> tuple[str, dict[str, Any]]:
    if not isinstance(described, dict) or set(described) != {"class", "arguments"}:
        raise BundleError(f"config.json: argument {NESTED!r} is not a table of a class and its arguments")
    return _checked(described["class"], described["arguments"], depth)


def _plain(name: str, value: Any) -> Any:
    def plain(v: Any) -> bool:
        return v is None or isinstance(v, (bool, int, str)) or (isinstance(v, float) and math.isfinite(v))

    if not (plain(value) or (isinstance(value, list) and len(value) <= 16 and all(map(plain, value)))):
        raise BundleError(f"config.json: argument {name!r} is not a number, text, boolean or short list of them")
    sizes = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, (int, float))]
    if any(abs(v) > 1 << 20 for v in sizes):
        raise BundleError(f"config.json: argument {name!r} is beyond any real model: {value}")
    return tuple(value) if isinstance(value, list) else value


def _build(described: tuple[str, dict[str, Any]], key: Any) -> Any:
    """The model of a checked description. A model that wraps another has no weights of its own, and takes no key."""
    name, arguments = described
    if NESTED in arguments:
        return MODELS[name](**{**arguments, NESTED: _build(arguments[NESTED], key)})
    return MODELS[name](**arguments, key=key)


def _scaler_json(scaler: ChannelScaler) -> dict[str, list[float]]:
    return {"mean": list(scaler.mean), "std": list(scaler.std)}


def _scaler(parts: dict[str, list[float]]) -> ChannelScaler:
    numbers = {k: tuple(float(v) for v in parts[k]) for k in ("mean", "std")}
    if not all(math.isfinite(v) for row in numbers.values() for v in row):
        raise BundleError("config.json: a scaler is not finite")
    return ChannelScaler(**numbers)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
