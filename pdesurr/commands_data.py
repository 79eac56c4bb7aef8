"""Commands about data files: generate, import, export, inspect."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from pdesurr._runtime import device_per_core
from pdesurr.checks import DatasetError, expected, require

LARGE_ERROR = 1e-3  # of reference solutions: more than the best surrogates'


@dataclasses.dataclass(frozen=True)
class Generate:
    """Draw inputs of a PDE's prior, solve each, write a data file. A killed call is resumed by the same call.

    Example: pdesurr generate burgers_jmlr --out train.h5 --samples 1000 --resolution 8192
    """

    name: Annotated[str, tyro.conf.Positional] = ""
    """A named data set (a folder of datasets/), or a class of pdesurr.pdes; without it, all names are listed."""
    out: Path | None = None
    """The data file to write (default: NAME.h5)."""
    samples: int | None = None
    """How many samples, instead of the recipe's number."""
    resolution: int | None = None
    """Nodes an axis, instead of the recipe's number."""
    seed: int = 0
    """Seed of the data; sample i depends on (seed, first + i) alone."""
    first: int = 0
    """Number of the first sample, a multiple of 16: take disjoint ranges for training and test."""
    set: Annotated[list[str], tyro.conf.arg(metavar="NAME=NUMBER")] = dataclasses.field(default_factory=list)
    """Numbers of the equation to change, such as nu=0.01."""
    replay: bool = False
    """By the discretisation of the public set, quirks included, where there is one; its error is stated all the same."""
    chunk: int = 256
    """Samples kept on disk at a time; it does not change them."""
    precision: Literal["float64", "float32"] = "float64"
    """What the reference solver computes in; files hold float32."""
    overwrite: bool = False
    """Replace an existing file."""

    def __call__(self, say: Any) -> Any:
        from pdesurr import recipes

        if not self.name:
            for name in recipes.names():
                say(f"{name}: {recipes.load_recipe(name).about}", result=True)
            return {"names": recipes.names()}
        from pdesurr.data import generate
        from pdesurr.data.generation import GROUP

        recipe = recipes.find(self.name)
        out = self.out or Path(f"{self.name}.h5")
        resolution = recipe.resolution if self.resolution is None else self.resolution
        samples = recipe.samples if self.samples is None else self.samples
        device_per_core(-(-samples // GROUP))
        info = generate(recipe.build(_numbers(self.set)), out, samples=samples, resolution=resolution,
                        seed=self.seed, first=self.first, chunk=self.chunk, precision=self.precision, replay=self.replay,
                        name=self.name, overwrite=self.overwrite)
        error = info.reference_error["figure"] if info.reference_error else None
        say(f"{out}: {info.n} samples, error of the reference {error:.1e}, sha256 {(info.sha256 or '')[:16]}", result=True)
        if error is not None and error > LARGE_ERROR:
            say(f"pdesurr: warning: the reference's own error is {error:.1e}; more nodes than {resolution} would lower it")
        return {"file": str(out), "samples": info.n, "reference_error": error, "sha256": info.sha256}


def _numbers(changes: list[str]) -> dict[str, float]:
    """NAME=NUMBER pairs."""
    form, numbers = "NAME=NUMBER, such as nu=0.01", {}
    for name, value in pairs(changes, form):
        try:
            numbers[name] = float(value)
        except ValueError:
            raise expected("--set", form, f"{name}={value}") from None
    return numbers


def pairs(settings: list[str], form: str) -> list[tuple[str, str]]:
    """What --set was given, split. Raises `UsageError` for what is not of that form."""
    for text in settings:
        require("=" in text[1:], "--set", form, text)
    return [(name, value) for name, _, value in (text.partition("=") for text in settings)]


@dataclasses.dataclass(frozen=True)
class Import:
    """Make a data file of other people's; every other command then works on it. PDEBench files, The Well and the FNO's .mat files are
    recognised; of any other HDF5, .npz or .mat file name the arrays.

    Examples: pdesurr import 1D_Burgers_Sols_Nu0.01.hdf5 burgers.h5 --input u@0 --output u@-1;
    pdesurr import darcy.h5 darcy16.h5 --input train_16/coefficient --output train_16/solution --axes left
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The file that holds the arrays, (n, *grid) or with a channel axis."""
    target: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[OUT]")] = None
    """The data file to write."""
    out: Path | None = None
    """The same as an option."""
    input: list[str] | None = None
    """Names of the arrays that are the map's input; of a recognised file its fields, NAME@INDEX for one time (-1 is the last)."""
    output: list[str] | None = None
    """Names of the arrays that are its output, in the same way."""
    domain: list[float] | None = None
    """LOWER UPPER for all axes, or a pair per axis."""
    axes: list[Literal["periodic", "closed", "left", "cells", "chebyshev", "sine", "cosine"]] | None = None
    """Where the nodes are, for all axes or one per axis: closed has both walls, left the lower one, cells the centres;
    chebyshev (Gauss-Lobatto), sine (interior) and cosine (centres) are spectral."""
    channel_axis: int | None = None
    """Axis of the channels (-1 or 1), if the arrays have one."""
    limit: int | None = None
    """The first so many samples only."""
    overwrite: bool = False
    """Replace an existing file."""

    def __call__(self, say: Any) -> Any:
        from pdesurr.data import import_arrays

        numbers, outs = self.domain, [path for path in (self.target, self.out) if path]
        require(len(outs) == 1, "OUT", "one data file to write", [str(path) for path in outs])
        out = outs[0]
        require(numbers is None or len(numbers) % 2 == 0, "--domain", "pairs LOWER UPPER", numbers)
        pairs = None if numbers is None else [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
        axes = self.axes[0] if self.axes and len(self.axes) == 1 else self.axes
        domain = pairs[0] if pairs and len(pairs) == 1 else pairs
        info = import_arrays(self.file, out, input=self.input, output=self.output, axes=axes, domain=domain,
                             channel_axis=self.channel_axis, limit=self.limit, overwrite=self.overwrite)
        channels = [[name if t is None else f"{name}@{t}" for name, t in m] for m in (info.input, info.output)]
        say(f"{out}: {info.n} samples on {'x'.join(map(str, info.grid.shape))} nodes, {', '.join(channels[0])} -> "
            f"{', '.join(channels[1])}, sha256 {(info.sha256 or '')[:16]}", result=True)
        return {"file": str(out), "samples": info.n, "grid": list(info.grid.shape), "input": channels[0], "output": channels[1],
                "sha256": info.sha256}


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a data file in a layout that other projects read. It is verified first and written whole or not at all.

    Example: pdesurr export train.h5 --layout pdebench train.hdf5
    """

    file: Annotated[Path, tyro.conf.Positional]
    """A data file (from generate or import)."""
    out: Annotated[Path, tyro.conf.Positional]
    """The file to write."""
    layout: Literal["pdebench", "well"]
    """pdebench: array files, scalars only; well: The Well, any fields, float32."""
    overwrite: bool = False
    """Replace an existing file."""

    def __call__(self, say: Any) -> Any:
        from pdesurr.data import export_dataset

        places = export_dataset(self.file, self.out, self.layout, overwrite=self.overwrite)
        say(f"{self.out}: {', '.join(f'{name} as {place}' for name, place in places.items())}", result=True)
        return {"file": str(self.out), "layout": self.layout, "arrays": places}


@dataclasses.dataclass(frozen=True)
class Inspect:
    """What a data file, a bundle or any HDF5, .npz or .mat file holds: shapes, types, ranges, mean, NaN, units, and what import would
    make of a file of a known layout. Data files and bundles are checked against their hashes: the first line says whether they are
    sound, and the exit code is 1 where they are not.

    Example: pdesurr inspect train.h5
    """

    path: Annotated[Path, tyro.conf.Positional]
    """A file, or a bundle or run folder."""
    full: bool = False
    """Every array and attribute of a data file, not only its description and the ranges of its fields."""

    def __call__(self, say: Any) -> Any:
        if self.path.is_dir():
            from pdesurr.surrogates import assess, spec

            surrogate = assess.bundle_of(self.path)
            home = self.path / "bundle" if (self.path / "bundle").is_dir() else self.path
            found = {"bundle": "sound", "card": str(home / "README.md"), **json.loads(spec.to_json(surrogate.spec))}
        else:
            from pdesurr.data import inspect_file, soundness

            found = inspect_file(self.path)
            if "schema_version" in found["attributes"]:
                found = {"data file": soundness(self.path), **found}
        for line in _tree(found if self.full or "data file" not in found or not isinstance(found["data"], dict) else _brief(found)):
            say(line, result=True)
        if found.get("data file", "sound") != "sound":
            raise DatasetError(f"{self.path}: {found['data file']}", result=found)
        return found


def _brief(found: dict[str, Any]) -> dict[str, Any]:
    """Of a data file of ours what its reader wants to know."""
    about = {key: value for key, value in found["data"].items() if value not in ([], {}, "", None)}
    for side in ("input", "output"):
        if len(channels := about.get(side, [])) > 4:
            about[side] = f"{channels[0]} ... {channels[-1]}, {len(channels)} channels"
    if isinstance(error := about.get("reference_error"), dict):
        about["reference_error"] = f"{error['figure']:.1e}, {error['method']}"
    from pdesurr import recipes

    if about.get("name") in recipes.names():
        about["card"] = f"datasets/{about['name']}/README.md"
    figures = ("min", "max", "mean", "std", "nan")
    groups = [group["members"] for name, group in found["members"].items() if name.endswith("_fields")]
    ranges = {name: ", ".join(f"{key} {array[key]:.6g}" for key in figures if array.get(key) is not None)
              for group in groups for name, array in group.items()}
    return {"data file": found["data file"], "bytes": found["bytes"], **about, "ranges": ranges, "more": "--full, or --json"}


def _tree(value: Any, indent: int = 0) -> list[str]:
    """A nested table as indented lines."""
    if not isinstance(value, dict):
        return [" " * indent + str(value)]
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [" " * indent + f"{key}:", *_tree(item, indent + 2)]
        else:
            lines.append(" " * indent + f"{key}: {item}")
    return lines
