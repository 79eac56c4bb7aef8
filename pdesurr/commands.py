"""What the command line can do: one dataclass a command. Its fields are the options, calling it does the work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from pdesurr.checks import expected, require

LARGE_ERROR = 1e-3  # of reference solutions: more than the best surrogates'


@dataclasses.dataclass(frozen=True)
class Run:
    """The main job: JMLR Burgers data, an FNO, its errors and costs, a report.

    Example: pdesurr run --preset cpu
    """

    preset: Literal["smoke", "cpu", "paper"] = "cpu"
    """smoke: seconds; cpu: minutes on two cores; paper: the published setting, 500 epochs."""
    out: Path | None = None
    """Run folder (default: runs/burgers-PRESET)."""
    seed: int = 0
    """Seed of the training."""
    epochs: int | None = None
    """Instead of the preset's number."""

    def __call__(self, say: Any) -> Any:
        from pdesurr import report, workflow

        config = workflow.PRESETS[self.preset]
        epochs = config.training.epochs if self.epochs is None else self.epochs
        training = dataclasses.replace(config.training, seed=self.seed, epochs=epochs)
        folder = self.out or Path("runs") / f"burgers-{self.preset}"
        results = workflow.run(dataclasses.replace(config, training=training), folder, say)
        for resolution, error in results["errors"].items():
            say(f"test error at {resolution} nodes: {error['mean']:.2e} (relative L2, mean of {error['samples']} samples)", result=True)
        for line in report.cost_lines(results):
            say(line, result=True)
        say(f"report: {folder / 'report.md'}", result=True)
        return {**results, "report": str(folder / "report.md")}


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

        recipe = recipes.find(self.name)
        out, resolution = self.out or Path(f"{self.name}.h5"), self.resolution or recipe.resolution
        info = generate(recipe.build(_numbers(self.set)), out, samples=self.samples or recipe.samples, resolution=resolution, seed=self.seed,
                        first=self.first, chunk=self.chunk, precision=self.precision, replay=self.replay, overwrite=self.overwrite)
        error = info.reference_error["figure"] if info.reference_error else None
        say(f"{out}: {info.n} samples, error of the reference {error:.1e}, sha256 {(info.sha256 or '')[:16]}", result=True)
        if error is not None and error > LARGE_ERROR:
            say(f"pdesurr: warning: the reference's own error is {error:.1e}; more nodes than {resolution} would lower it")
        return {"file": str(out), "samples": info.n, "reference_error": error, "sha256": info.sha256}


def _numbers(changes: list[str]) -> dict[str, float]:
    """NAME=NUMBER pairs."""
    numbers = {}
    for change in changes:
        name, _, value = change.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            raise expected("--set", "NAME=NUMBER, such as nu=0.01", change) from None
    return numbers


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
class Train:
    """Train an FNO on a data file; leaves a run folder with the bundle. The same call resumes a stopped one.

    Example: pdesurr train train.h5 --out runs/mine --stride 8 --epochs 100
    """

    data: Annotated[Path, tyro.conf.Positional]
    """A data file (from generate or import)."""
    out: Path
    """Run folder."""
    validation: Path | None = None
    """Data file to choose the weights on (default: the last tenth of the training file)."""
    stride: int = 1
    """Train on every stride-th node."""
    modes: int = 16
    """Wavenumbers kept per axis."""
    width: int = 64
    """Channels."""
    depth: int = 4
    """Fourier layers."""
    objective: Literal["relative_l2", "relative_h1"] = "relative_l2"
    """What is minimised; the weights are chosen by relative L2."""
    epochs: int = 100
    """Passes over the data."""
    batch_size: int | None = None
    """Samples a step; the devices must divide it (default: 20, or what a small set allows)."""
    learning_rate: float = 1e-3
    """Peak of the warm-up and cosine schedule."""
    weight_decay: float = 1e-4
    """AdamW's."""
    seed: int = 0
    """Of weights and order."""
    on_bad: Literal["raise", "skip", "rollback"] = "raise"
    """What a loss that is not finite does."""
    checkpoint_seconds: float = 30.0
    """Time between checkpoints, taken at the end of an epoch."""
    stream: bool = False
    """Draw fresh samples of the file's PDE on the device instead of reading the stored ones."""

    def __call__(self, say: Any) -> Any:
        from pdesurr import workflow
        from pdesurr.data import open_dataset
        from pdesurr.data.sources import PDESource
        from pdesurr.surrogates import assess, save_surrogate
        from pdesurr.train import TrainConfig

        config = TrainConfig(epochs=self.epochs, learning_rate=self.learning_rate, seed=self.seed,
                             weight_decay=self.weight_decay, on_bad=self.on_bad, checkpoint_seconds=self.checkpoint_seconds)
        data = open_dataset(self.data, stride=self.stride)
        if self.validation:
            validation = open_dataset(self.validation, stride=self.stride)
        else:
            cut = len(data) - max(1, len(data) // 10)
            require(cut >= 1, "data", "at least 2 samples, so that one is left for validation", len(data), "give --validation FILE")
            data, validation = data.split((0, cut), (cut, len(data)))
        source = None
        if self.stream:
            source = PDESource(workflow.pde_of(data.info), data.grid, len(data), seed=(data.info.seed or 0) + 1)
        config = dataclasses.replace(config, batch_size=workflow.batch_size(len(data)) if self.batch_size is None else self.batch_size)
        model = workflow.ModelConfig(self.modes, self.width, self.depth)
        result = workflow.train_model(data, validation, model, config, self.out, say, self.objective, source)
        bundle = save_surrogate(assess.make_surrogate(result, data, config, self.data), self.out / "bundle", overwrite=True)
        if result.resumed_at:
            done = "was finished already" if result.resumed_at == self.epochs else f"was continued after epoch {result.resumed_at}"
            say(f"the training in {self.out} {done}")
        say(f"best validation error {float(result.best_metric):.3e}; bundle: {bundle}", result=True)
        return {"bundle": str(bundle), "best_validation": float(result.best_metric), "epochs": len(result.history)}


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Errors of a surrogate on a data file.

    Example: pdesurr evaluate runs/mine test.h5 --stride 8 4 1
    """

    surrogate: Annotated[Path, tyro.conf.Positional]
    """A bundle folder, or a run folder that has one."""
    data: Annotated[Path, tyro.conf.Positional]
    """A data file of the same map."""
    stride: list[int] = dataclasses.field(default_factory=lambda: [1])
    """Every stride-th node; several for several resolutions."""
    record: bool = False
    """Write the errors into the bundle: what its card and its error estimate say from then on."""

    def __call__(self, say: Any) -> Any:
        from pdesurr.data import open_dataset
        from pdesurr.surrogates import assess

        require(len(self.stride) > 0, "--stride", "at least one number", self.stride)
        surrogate, errors = assess.bundle_of(self.surrogate), {}
        for stride in self.stride:
            data = open_dataset(self.data, stride=stride)
            assess.check_same_map(surrogate.spec, data.info)
            errors.update({k: assess.summary(v) for k, v in assess.evaluate(surrogate, data, [1])[1].items()})
        if self.record:
            assess.record_errors(self.surrogate, surrogate, errors)
        for resolution, error in errors.items():
            say(f"{resolution} nodes: relative L2 mean {error['mean']:.3e}, median {error['median']:.3e}, 95 % {error['p95']:.3e}, max "
                f"{error['max']:.3e} ({error['samples']} samples)", result=True)
        return {"errors": errors}


@dataclasses.dataclass(frozen=True)
class Predict:
    """Outputs of a surrogate for the inputs in a data file, .npz or .npy file; writes an .npz file with `input` and `output`.

    Example: pdesurr predict runs/mine inputs.npz --out predictions.npz
    """

    surrogate: Annotated[Path, tyro.conf.Positional]
    """A bundle folder, or a run folder that has one."""
    inputs: Annotated[Path, tyro.conf.Positional]
    """A data file, or an .npz or .npy file with an array (n, *grid, channel) or (n, *grid)."""
    out: Path
    """The .npz file to write."""
    name: str = "input"
    """Name of the array in an .npz file."""
    stride: int = 1
    """Every stride-th node (data files only)."""
    overwrite: bool = False
    """Replace an existing file."""

    def __call__(self, say: Any) -> Any:
        from pdesurr.surrogates import assess, predictions

        surrogate = assess.bundle_of(self.surrogate)
        inputs = predictions.read_inputs(self.inputs, self.name, self.stride, surrogate)
        outputs = predictions.predict_file(surrogate, inputs, self.out, self.overwrite)
        error = surrogate.error_estimate(inputs.shape[1:-1])
        known = f"; test error: mean {error['mean']:.2e}, 95 % below {error['p95']:.2e}" if error else "; never tested (evaluate --record)"
        say(f"{self.out}: {len(outputs)} predictions of shape {outputs.shape[1:]}{known}", result=True)
        return {"file": str(self.out), "samples": len(outputs), "error_estimate": error}


@dataclasses.dataclass(frozen=True)
class Inspect:
    """What a data file, a bundle or any HDF5, .npz or .mat file holds: shapes, types, ranges, mean, NaN, units, and what import would
    make of a file of a known layout. Data files and bundles are checked against their hashes: the first line says whether they are sound.

    Example: pdesurr inspect train.h5
    """

    path: Annotated[Path, tyro.conf.Positional]
    """A file, or a bundle or run folder."""

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
        for line in _tree(found):
            say(line, result=True)
        return found


Command = Run | Generate | Import | Export | Train | Evaluate | Predict | Inspect


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

