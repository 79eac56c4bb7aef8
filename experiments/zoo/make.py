"""The surrogates that the package brings: small networks, trained here, with the errors of their test on their cards.

    python experiments/zoo/make.py [NAME ...] [--preset cpu|smoke] [--out FOLDER]

A bundle goes to FOLDER/NAME (the package's own folder by default, whose catalogue is then written anew). Data and checkpoints stay in
`runs/`; a stopped call goes on where it was. The networks are those of the tables, smaller; `burgers-fno` is what `pdesurr run` leaves.
"""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "spectral"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "neural_operators"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments import study
from experiments.options import as_folder
from pdesurr.allocator import tune_allocator
from pdesurr.data import generate, open_dataset
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.sources import ArraySource
from pdesurr.models import Ensemble
from pdesurr.surrogates import Surrogate, save_surrogate
from pdesurr.surrogates.assess import evaluate, make_spec
from pdesurr.surrogates.zoo import SHIPPED, write_catalogue
from pdesurr.train import TrainConfig

RUNS = Path(__file__).resolve().parents[2] / "runs"
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row, MODULE or MODULE:NAME, with a preset of its own, from its module, or the row's. `members`: as many trainings, of other
    seeds, as one ensemble."""

    row: str
    preset: Callable[[Any], Any] | None = None
    members: int = 1

    def chosen(self, preset: str) -> tuple[Any, Any]:
        """The row, and its sizes."""
        module, _, name = self.row.partition(":")
        found = importlib.import_module(module)
        row = getattr(found, name or "ROW")
        return row, self.preset(found) if preset == "cpu" and self.preset else row.presets[preset]


ENTRIES = {
    "burgers-deeponet": Entry("burgers_deeponet", lambda m: m.Preset(
        m.data(128), TrainConfig(epochs=500, batch_size=20, learning_rate=1e-3, ema_decay=0.99), size={"width": 128, "basis": 64})),
    "burgers-ensemble": Entry("burgers_fno", lambda m: m.Preset(
        m.data(256), TrainConfig(epochs=120, batch_size=20, learning_rate=5e-3, ema_decay=0.99), size={"width": 16, "head_width": 32}), 4),
    "burgers-forced-fno": Entry("_maps:FORCED"),
    "darcy-fno": Entry("darcy_fno", lambda m: m.Preset(
        m.data(7, tests=(7, 5)), TrainConfig(epochs=40, batch_size=20, learning_rate=3e-3, ema_decay=0.99),
        size={"modes": 10, "width": 16, "head_width": 64})),
    "darcy-lognormal-fno": Entry("_maps:LOGNORMAL"),
    "darcy-mgno": Entry("darcy_mgno_multigrid", lambda m: m.Preset(
        m.data(7, tests=(7,)), TrainConfig(epochs=50, batch_size=8, learning_rate=2e-3, ema_decay=0.99), size={"width": 16, "depth": 4})),
    "heat-fno": Entry("_maps:HEAT"),
    "navier-stokes-fno": Entry("_maps:VORTICITY"),
    "poisson-nsm": Entry("poisson_nsm", lambda m: m.Preset(24, 5000, 3e-3, size={"modes": 15, "width": 24})),
    "reaction-diffusion-nsm": Entry("reaction_05_nsm", lambda m: importlib.import_module("_reaction").Preset(
        64, 3000, 3e-3, size={"modes": 24, "time": 12, "width": 24})),
}


def solved(row: study.Row, preset: study.Preset, seeds: range, folder: Path, say: Say) -> Surrogate:
    """Trained on data; several seeds together are an ensemble, tested as one."""
    files = study.make_data(preset.data, RUNS / "data", say)
    found = [study.one_seed(row, preset, seed, files, folder / f"seed-{seed}", say)[0] for seed in seeds]
    if len(found) == 1:
        return found[0]
    first = found[0]
    whole = Scaled(Ensemble.of([s.model.model for s in found]), first.model.input, first.model.output)
    test = open_dataset(files["test"][0])
    return evaluate(Surrogate(whole, first.spec), test, list(preset.data.tests))[0]


def from_the_equation(row: Any, preset: Any, seeds: range, folder: Path, say: Say) -> Surrogate:
    """Trained on the residual; solutions are for choosing the weights, the test and the range."""
    from experiments.spectral import _study as spectral

    nodes, counts = row.tested, {"train": 512, "validation": preset.tests[0], "test": 2 * preset.tests[1]}
    data, first = {}, 0
    for part, count in counts.items():
        file = folder / f"{part}.h5"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            generate(row.pde, file, samples=count, resolution=nodes, seed=1, first=first)
        data[part], first = open_dataset(file), first + 1024
    held = ArraySource(data["validation"].inputs, data["validation"].outputs, data["validation"].grid)
    model, seconds = spectral.trained(row, preset, seeds[0], held, folder / "fit", at_records=False)
    say(f"trained in {seconds:.0f} s")
    same = [ChannelScaler((0.0,) * n, (1.0,) * n) for n in (held.inputs.shape[-1], held.outputs.shape[-1])]
    training = {"residual": type(row.objective(preset)).__name__, "steps": preset.steps, "batch_size": preset.batch,
                "learning_rate": preset.learning_rate, "seed": seeds[0]}
    surrogate = Surrogate(Scaled(model, *same), make_spec(data["train"], training, folder / "train.h5"))
    return evaluate(surrogate, data["test"], [1])[0]


def make(name: str, preset: str, out: Path, say: Say) -> Surrogate:
    entry = ENTRIES[name]
    row, chosen = entry.chosen(preset)
    by = solved if isinstance(row, study.Row) else from_the_equation
    surrogate = by(row, chosen, range(entry.members), RUNS / f"zoo-{name}-{preset}", say)
    save_surrogate(surrogate, out / name, overwrite=True)
    say(f"{name}: " + ", ".join(f"{shape} {e['mean']:.4f}" for shape, e in surrogate.spec.errors.items()))
    return surrogate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENTRIES)}; all by default")
    parser.add_argument("--preset", choices=("smoke", "cpu"), default="cpu")
    parser.add_argument("--out", type=as_folder, default=SHIPPED)
    options = parser.parse_args()
    if unknown := set(options.names) - set(ENTRIES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(ENTRIES)}")
    tune_allocator()
    for name in options.names or ENTRIES:
        make(name, options.preset, options.out, lambda text: print(text, flush=True))
    write_catalogue(options.out)


if __name__ == "__main__":
    main()
