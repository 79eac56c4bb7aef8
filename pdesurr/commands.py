"""What the command line can do: one dataclass a command. Its fields are the options, calling it does the work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from pdesurr.checks import BundleError, require
from pdesurr.commands_data import Export, Generate, Import, Inspect, pairs


@dataclasses.dataclass(frozen=True)
class Run:
    """The main job: JMLR Burgers data, an FNO, its errors and costs, an inverse problem with it, a report.

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
        for line in (*report.cost_lines(results), report.recovery_line(results["recovery"])):
            say(line, result=True)
        say(f"report: {folder / 'report.md'}", result=True)
        return {**results, "report": str(folder / "report.md")}


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a model on a data file; leaves a run folder with the bundle. The same call resumes a stopped one.

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
    model: str = "FNO"
    """FNO, FFNO, MoNO, GNO, MultipoleGraphOperator, OrthogonalMultipole, LNO, MgNO, UNet, Transolver, NSM, SNO, DeepONet or PODDeepONet."""
    set: Annotated[list[str], tyro.conf.arg(metavar="NAME=VALUE")] = dataclasses.field(default_factory=list)
    """Arguments of the model's constructor, each a JSON value or a word: rank=2 kernel=[32,64] activation=relu."""
    modes: int | None = None
    """Wavenumbers kept per axis (FNO: 16); short for --set modes=."""
    width: int | None = None
    """Channels (FNO: 64); short for --set width=."""
    depth: int | None = None
    """Layers (FNO: 4); short for --set depth=."""
    objective: Literal["relative_l2", "relative_h1"] = "relative_l2"
    """What is minimised; the weights are chosen by relative L2."""
    epochs: int = 100
    """Passes over the data."""
    batch_size: int | None = None
    """Samples a step; the devices must divide it (default: 20, or what a small set allows)."""
    learning_rate: float = 1e-3
    """Peak of the warm-up and cosine schedule."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """AdamW, or Muon, whose steps of matrices are orthogonal, at more work a step."""
    weight_decay: float = 1e-4
    """Of the weights, each step."""
    seed: int = 0
    """Of weights and order."""
    on_bad: Literal["raise", "skip", "rollback"] = "raise"
    """What a loss that is not finite does."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """In which a step computes; weights, moments and losses are float32 in each."""
    accumulate: int = 1
    """Equal parts of a batch whose gradients are taken one after another, in the memory of one."""
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

        config = TrainConfig(epochs=self.epochs, learning_rate=self.learning_rate, seed=self.seed, optimiser=self.optimiser,
                             weight_decay=self.weight_decay, on_bad=self.on_bad, precision=self.precision, accumulate=self.accumulate,
                             checkpoint_seconds=self.checkpoint_seconds)
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
        given = _values(self.set)
        twice = sorted(set(given) & set(self.arguments))
        require(not twice, "--set", "arguments that no option of their own gives", ", ".join(twice), "give each once")
        model = workflow.scaled_model(self.model, data, self.seed, {**self.arguments, **given})
        result = workflow.train_model(data, validation, model, config, self.out, say, self.objective, source)
        bundle = save_surrogate(assess.make_surrogate(result, data, config, self.data), self.out / "bundle", overwrite=True)
        if result.resumed_at:
            done = "was finished already" if result.resumed_at == self.epochs else f"was continued after epoch {result.resumed_at}"
            say(f"the training in {self.out} {done}")
        say(f"best validation error {float(result.best_metric):.3e}; bundle: {bundle}", result=True)
        return {"bundle": str(bundle), "best_validation": float(result.best_metric), "epochs": len(result.history)}

    @property
    def arguments(self) -> dict[str, int]:
        """Those of the model that have an option of their own, where given."""
        named = {"modes": self.modes, "width": self.width, "depth": self.depth}
        return {name: value for name, value in named.items() if value is not None}


def _values(settings: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs, each value JSON, or else the word itself."""
    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {name: value(text) for name, text in pairs(settings, "NAME=VALUE, such as width=32")}


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
        known = "; never tested (evaluate --record)"
        if error:
            known = f"; error on test data: mean {error['mean']:.2e}, 95 % below {error['p95']:.2e}"
            known += ": of little use, predicting zero has 1" if error["mean"] > 0.3 else ""
        say(f"{self.out}: {len(outputs)} predictions of shape {outputs.shape[1:]}{known}", result=True)
        return {"file": str(self.out), "samples": len(outputs), "error_estimate": error}


@dataclasses.dataclass(frozen=True)
class Compare:
    """Is a surrogate worth while? Its error and time beside those of the solver's settings, on fresh samples, batched alike.

    Example: pdesurr compare burgers-fno --out front.png --spent 600
    """

    surrogate: Annotated[str, tyro.conf.Positional]
    """A name in the package's catalogue, or the path of a bundle or of a run folder that has one."""
    samples: int = 32
    """Fresh draws of the prior, solved by the reference."""
    seed: int = 0
    """Of these draws."""
    spent: float | None = None
    """Seconds that data and training took: then the number of samples after which they are won back is told."""
    out: Path | None = None
    """A picture to write (.png, .svg or .pdf)."""

    def __call__(self, say: Any) -> Any:
        from pdesurr import report, workflow
        from pdesurr.surrogates import assess, zoo

        require(self.samples >= 1, "--samples", "at least 1", self.samples)
        require(self.spent is None or self.spent >= 0, "--spent", "seconds >= 0", self.spent)
        suffixes = (".png", ".svg", ".pdf")
        if self.out is not None:
            require(self.out.suffix in suffixes, "--out", f"a file that ends in {', '.join(suffixes)}", str(self.out))
            require(self.out.parent.is_dir(), "--out", "a file in a folder that exists", str(self.out))
        path = Path(self.surrogate)
        surrogate = assess.bundle_of(path) if path.exists() or len(path.parts) > 1 else zoo.load(self.surrogate)
        say("measuring the solver's settings: a compilation each ...")
        found = workflow.compare(surrogate, self.samples, self.seed, self.spent)
        rows = [("surrogate", found["surrogate"]), *(
            (f"{f['route']}, {'x'.join(map(str, f['nodes']))} nodes" + (f", {f['steps']} steps" if f["steps"] else ""), f)
            for f in found["solver"])]
        say("relative L2, seconds a sample, what (errors near rounding: a setting is as good as the reference)", result=True)
        for name, f in rows:
            say(f"{f['error']:.2e}  {report.seconds(f['seconds']):>8}  {name}", result=True)
        as_good = min((f["seconds"] for f in found["solver"] if f["error"] <= found["surrogate"]["error"]), default=None)
        if as_good is not None:
            ratio = as_good / found["surrogate"]["seconds"]
            say(f"at the surrogate's error the solver takes {ratio:.2g} times the surrogate's time", result=True)
        if self.spent is not None:
            won = "never: a setting of the solver is as accurate and faster" if found["break_even"] is None else (
                f"after {found['break_even']:.3g} samples")
            say(f"{self.spent:g} s of data and training are won back {won}", result=True)
        if self.out is not None:
            report.draw_front(found, self.out)
            say(f"figure: {self.out}", result=True)
        return found


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Devices, versions, precision, memory, cache and the run folder, and what is wrong with them; exit code 1 if something is.

    Example: pdesurr doctor
    """

    folder: Path = Path("runs")
    """Where runs would be written."""

    def __call__(self, say: Any) -> Any:
        from pdesurr import doctor
        from pdesurr.checks import PdesurrError

        found = doctor.examine(self.folder)
        for f in found:
            say(f"{'wrong' if f.advice else 'right'}  {f.name}: {f.found}" + (f"\n       {f.advice}" if f.advice else ""), result=True)
        wrong, result = [f.name for f in found if f.advice], {"findings": [dataclasses.asdict(f) for f in found]}
        if wrong:
            raise PdesurrError(f"{len(wrong)} of {len(found)} findings need attention: {', '.join(wrong)}", result=result)
        return result


@dataclasses.dataclass(frozen=True)
class Zoo:
    """Pretrained surrogates: list their names, show a card, verify every byte against the catalogue, or pin the bundles of a folder in one.
    What loads is `pdesurr.load(NAME)`.

    Example: pdesurr zoo show burgers-fno
    """

    action: Annotated[Literal["list", "show", "verify", "pin"], tyro.conf.Positional] = "list"
    """list: names, equations, errors; show: the card of one; verify: all of them, or one; pin: write a folder's catalogue.json."""
    name: Annotated[str | None, tyro.conf.Positional] = None
    """A name in the catalogue."""
    source: Path | None = None
    """A folder of bundles with a catalogue.json (default: what the package brings)."""

    def __call__(self, say: Any) -> Any:
        from pdesurr.surrogates import zoo

        require(self.action != "show" or self.name is not None, "NAME", "one for show", self.name, "pdesurr zoo list tells them")
        if self.action == "pin":
            require(self.source is not None, "--source", "the folder whose bundles are to be pinned", None)
            entries = zoo.write_catalogue(self.source)  # pyright: ignore[reportArgumentType]
            say(f"{Path(str(self.source)) / zoo.CATALOGUE}: {len(entries)} pinned, {', '.join(entries)}", result=True)
            return entries
        names = list(zoo.catalogue(self.source)) if self.name is None else [self.name]
        found, bad = {}, []
        for name in names:
            folder = Path(self.source or zoo.SHIPPED) / name if len(Path(name).parts) == 1 else Path(name)
            try:
                surrogate = zoo.load(folder) if len(Path(name).parts) > 1 else zoo.load(name, source=self.source or zoo.SHIPPED)
            except BundleError as error:
                if self.action != "verify" or len(names) == 1:
                    raise
                bad.append(name)
                say(f"{name}: refused: {error}", result=True)
                continue
            spec, error = surrogate.spec, surrogate.error_estimate()
            found[name] = {"equation": spec.pde, "parameters": spec.parameters, "errors": spec.errors}
            if self.action == "show":
                say((folder / "README.md").read_text(), result=True)
            else:
                measured = "not measured" if error is None else f"{error['mean']:.2e} (relative L2, mean)"
                verdict = "sound" if self.action == "verify" else f"test error {measured}"
                say(f"{name}: {spec.pde}, {spec.grid.ndim}-dimensional, {verdict}", result=True)
        if bad:
            raise BundleError(f"{', '.join(bad)}: not what the catalogue pins; get them again from their source")
        return found


Command = Run | Generate | Import | Export | Train | Evaluate | Predict | Compare | Inspect | Doctor | Zoo
