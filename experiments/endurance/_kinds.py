"""The kinds of files that mutants are made of: how an original is written, mutated and read, and when an accepted mutant is right."""

import dataclasses
import hashlib
import json
import random
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from _mutations import change_bytes, change_files, change_json, copied, spelled, write_manifest  # pyright: ignore[reportMissingImports]

from pdesurr import workflow
from pdesurr._files import MANIFEST, write_json
from pdesurr.checks import PdesurrError
from pdesurr.data import DatasetInfo, Field, dataset_hash, open_dataset, read_info, write_dataset
from pdesurr.data.scaling import ChannelScaler, Scaled
from pdesurr.data.schema import from_json, to_json
from pdesurr.fields import FourierBasis, Grid, UniformBasis
from pdesurr.models import FNO
from pdesurr.surrogates import Channel, Spec, Surrogate, save_surrogate, zoo
from pdesurr.surrogates import spec as specs
from pdesurr.surrogates.card import card
from pdesurr.train import TrainConfig, checkpoint
from pdesurr.train.books import check_books


class Wrong(Exception):
    """What a reader should not have let pass, in words."""


class Kind(ABC):
    """`mutate` changes a copy and says how, and whether its hashes were made to fit; `read` raises, or answers with the content; `check`
    raises `Wrong` for a content that differs from the originals' and is no valid one either."""

    def __init__(self, folder: Path):
        self.original, self.mutant = folder / "original", folder / "mutant"
        self.original.mkdir(parents=True)
        self.write()
        self.contents = self.known()

    @abstractmethod
    def write(self) -> None: ...

    @abstractmethod
    def read(self) -> Any: ...

    @abstractmethod
    def digest(self, found: Any) -> str: ...

    @abstractmethod
    def refit(self, rng: random.Random) -> str | None:
        """A change below hashes that fit again; None if this kind has none."""

    def known(self) -> set[str]:
        copied(self.original, self.mutant)
        return {self.digest(self.read())}

    def check(self, found: Any) -> None:
        raise Wrong("another content accepted")

    def mutate(self, rng: random.Random) -> tuple[str, bool]:
        copied(self.original, self.mutant)
        chance = rng.random()
        if chance < 0.4 and (done := self.refit(rng)) is not None:
            return f"refit: {done}", True
        if chance < 0.5:
            return change_files(self.mutant, rng), False
        return change_bytes(rng.choice(sorted(f for f in self.mutant.rglob("*") if f.is_file())), rng), False

    def examine(self, seed: int) -> tuple[str, str]:
        """The outcome of one mutant, and what was done to it."""
        done, refitted = self.mutate(random.Random(seed))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.read()
        except PdesurrError as error:
            text = str(error)
            return ("refused" if "\n" not in text and 0 < len(text) < 1000 and text.isprintable() else "WRONG: not one readable line"), done
        except Exception as error:  # what no reader may let out
            return f"WRONG: {type(error).__name__} left the reader: {str(error)[:100]}", done
        if self.digest(found) in self.contents:
            return "same content", done
        if not refitted:
            return "WRONG: another content accepted", done
        try:
            self.check(found)
        except Exception as error:
            return f"WRONG: accepted, but {type(error).__name__}: {str(error)[:100]}", done
        return "valid content of its own", done


def hashed(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


class Data(Kind):
    """A data file of ours. Its hashes fit again where the description, and nothing else, was changed."""

    def write(self) -> None:
        grid = Grid([FourierBasis(4, 0.0, 1.0), UniformBasis(5, 0.0, 2.0, "closed")], ["x", "y"])
        info = DatasetInfo(
            name="small", pde="Small", grid=grid,
            fields=(Field("a"), Field("u", unit="m/s", in_time=True), Field("v", kind="vector")),
            input=(("a", None), ("u", 0)), output=(("u", 1), ("v", None)), parameters={"nu": 0.1, "order": 2, "wet": True},
            times=(0.0, 1.5), units={"x": "m", "t": "s"}, seed=7, reference_error={"method": "refined", "figure": 1e-7},
            scalars=("force",), notes="n")
        rng = np.random.default_rng(0)
        shapes = {"a": (3, 4, 5), "u": (3, 2, 4, 5), "v": (3, 4, 5, 2)}
        write_dataset(self.original / "small.h5", info, {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()},
                      {"force": rng.standard_normal(3)})

    def read(self) -> Any:
        path = self.mutant / "small.h5"
        info = read_info(path)
        found = open_dataset(path)
        dataset_hash(path)
        if info != found.info:
            raise Wrong("read_info and open_dataset disagree")
        return found

    def digest(self, found: Any) -> str:
        numbers = [found.scalars[name] for name in sorted(found.scalars)]
        return hashed(to_json(found.info), found.inputs, found.outputs, *(b.nodes for b in found.grid.bases), *numbers)

    def refit(self, rng: random.Random) -> str | None:
        from pdesurr.data._hash import content_hash

        with h5py.File(self.mutant / "small.h5", "r+") as file:
            description, done = change_json(json.loads(bytes(file["description"][()])), rng)  # pyright: ignore
            text = spelled(description, rng)
            if rng.random() < 0.5:  # as the writer would spell it, where it could
                with suppress(Exception):
                    text = to_json(from_json(text))
            hashes: dict[str, str] = {}
            file.visititems(lambda name, node: hashes.update({name: node.attrs["sha256"].decode()}) if "sha256" in node.attrs else None)
            for name in hashes:
                done = done if rng.random() < 0.98 else f"{done}, {self.values(file, name, hashes, rng)}"
            del file["description"]
            file["description"] = np.bytes_(text.encode(errors="surrogatepass"))
            file.attrs["content_sha256"] = np.bytes_(content_hash(text.encode(errors="replace").decode(), hashes))
        return done

    @staticmethod
    def values(file: Any, name: str, hashes: dict[str, str], rng: random.Random) -> str:
        """Other values, with their hash."""
        from pdesurr.data._hash import array_hash

        values = np.asarray(file[name])
        changed = values * 2 if values.dtype != bool else ~values
        if rng.random() < 0.3 and values.dtype != bool:
            changed = np.full_like(values, np.nan)
        file[name][...] = changed
        hashes[name] = array_hash(changed)
        file[name].attrs["sha256"] = np.bytes_(hashes[name])
        return f"values of {name}"

    def check(self, found: Any) -> None:
        info = found.info
        if to_json(from_json(to_json(info))) != to_json(info):
            raise Wrong("its description is not what it is read as")
        if not (np.isfinite(found.inputs).all() and np.isfinite(found.outputs).all()):
            raise Wrong("values that are not finite")
        with h5py.File(self.mutant / "small.h5") as file:
            for name, value in info.parameters.items():
                if float(np.asarray(file[f"scalars/{name}"])) != float(value):
                    raise Wrong(f"{name} is {value} in the description and another number beside the fields")
            if info.times and not np.array_equal(np.asarray(file["dimensions/time"]), info.times):
                raise Wrong("times of the description and of the file differ")


class Bundles(Kind):
    """Two bundles with a catalogue, read by name."""

    def write(self) -> None:
        grid = Grid([FourierBasis(8)])
        error = {"mean": 0.01, "median": 0.01, "p95": 0.02, "max": 0.03, "samples": 5}
        for i, name in enumerate(("mine", "other")):
            channel = lambda t: (Channel("u", t, "1", -4.0, 4.0),)  # noqa: E731
            spec = Spec("Burgers", {"nu": 0.5}, grid, channel(0.0), channel(1.0), (0.1, 9.0), {"name": "set", "samples": 9}, {"epochs": 1},
                        {"8": error}, 1e-8, traits={"roughness": (0.5, 3.0)})
            model = FNO(1, 1, (2,), 2, 1, head_width=2, coordinates=(False,), key=jax.random.key(i))
            save_surrogate(Surrogate(Scaled(model, ChannelScaler((0.0,), (1.1,)), ChannelScaler((0.1,), (0.9,))), spec),
                           self.original / name)
        zoo.write_catalogue(self.original)

    def read(self) -> Any:
        return zoo.load("mine", source=self.mutant)

    def digest(self, found: Any) -> str:
        return hashed(repr(jax.tree.structure(found.model)), specs.to_json(found.spec), *jax.tree.leaves(found.model))

    def refit(self, rng: random.Random) -> str | None:
        home = self.mutant / "mine"
        if rng.random() < 0.1:
            file = self.mutant / zoo.CATALOGUE
            value, done = change_json(json.loads(file.read_text()), rng)
            file.write_text(spelled(value, rng))
            return f"catalogue: {done}"
        name = rng.choice(["config.json", "config.json", "spec.json", "spec.json", "model.safetensors"])
        if name == "model.safetensors":
            done = change_bytes(home / name, rng)
        else:
            value, done = change_json(json.loads((home / name).read_text()), rng)
            (home / name).write_text(spelled(value, rng), errors="surrogatepass")
        write_manifest(home)
        write_json(self.mutant / zoo.CATALOGUE, {"version": 1, "surrogates": {"mine": zoo.pin_of(home)}})
        return f"{name}: {done}"

    def check(self, found: Any) -> None:
        spec, n = found.spec, len(found.spec.input)
        answer = jax.eval_shape(found, jnp.zeros((1, *spec.grid.shape, n)))
        if answer.shape != (1, *spec.grid.shape, len(spec.output)):
            raise Wrong(f"its answers have the shape {answer.shape}")
        card(spec, "FNO", {}, 1)
        found.error_estimate(spec.grid.shape)
        found.range_warnings(jnp.zeros((1, *spec.grid.shape, n)), spec.grid)
        again = save_surrogate(found, self.mutant / "again")
        if self.digest(zoo.load(again)) != self.digest(found):
            raise Wrong("saved and read again it is another")


class Configs(Kind):
    """A run folder's settings: a folder keeps to them, so nothing but their equal is accepted."""

    CONFIG = workflow.PRESETS["smoke"]

    def write(self) -> None:
        workflow.claim(self.original, self.CONFIG)

    def read(self) -> Any:
        workflow.claim(self.mutant, self.CONFIG)
        return (self.mutant / "config.json").read_text()

    def digest(self, found: Any) -> str:
        return hashed(json.dumps(json.loads(found), sort_keys=True))

    def refit(self, rng: random.Random) -> str | None:
        file = self.mutant / "config.json"
        value, done = change_json(json.loads(file.read_text()), rng)
        file.write_text(spelled(value, rng), errors="surrogatepass")
        return done

    def check(self, found: Any) -> None:
        if workflow.to_plain(self.CONFIG) != json.loads(found):
            raise Wrong("other settings accepted")


class Checkpoints(Kind):
    """Two checkpoints of a run; the newest sound one is read."""

    CONFIG = TrainConfig(epochs=4, batch_size=8)

    def state(self, step: int) -> Any:
        rng = np.random.default_rng(step)
        params = {"w": jnp.asarray(rng.standard_normal((3, 4)), jnp.float32), "b": jnp.zeros(2)}
        return {"params": params, "step": jnp.asarray(step, jnp.int32), "key": jax.random.key(step)}

    def write(self) -> None:
        for epoch in (1, 2):
            books = {"epoch": epoch, "partial": [], "rollbacks": 0, "resumed_at": 0}
            checkpoint.save(self.original, 4 * epoch, self.state(4 * epoch), {"identity": self.identity(), "books": books})

    def identity(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self.CONFIG) | {"samples": 32}))

    def same_run(self, info: dict[str, Any]) -> None:
        if info.get("identity") != self.identity():
            raise checkpoint.CheckpointError("another run")

    def read(self) -> Any:
        found = checkpoint.load_newest(self.mutant, jax.eval_shape(lambda: self.state(0)), self.same_run)
        if found is None:
            return None
        check_books(found[1].get("books"), int(found[0]["step"]), self.CONFIG.epochs, 4)
        return found

    def digest(self, found: Any) -> str:
        if found is None:
            return "nothing"
        state, info = found
        return hashed(json.dumps(info, sort_keys=True), state["step"], jax.random.key_data(state["key"]), *jax.tree.leaves(state["params"]))

    def known(self) -> set[str]:
        """Either checkpoint's content: where the newest is damaged, the one before it is right."""
        newest = super().known()
        for folder in sorted(self.mutant.iterdir())[1:]:
            (folder / MANIFEST).unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return newest | {self.digest(self.read())}

    def refit(self, rng: random.Random) -> str | None:
        home = sorted(self.mutant.iterdir())[-1]
        if rng.random() < 0.3:
            done = change_bytes(home / "state.safetensors", rng)
        else:
            value, done = change_json(json.loads((home / "info.json").read_text()), rng)
            (home / "info.json").write_text(spelled(value, rng), errors="surrogatepass")
        write_manifest(home)
        return f"{home.name}: {done}"

    def check(self, found: Any) -> None:
        state, info = found
        self.same_run(info)
        again = checkpoint.save(self.mutant / "again", int(state["step"]), state, info)
        back = checkpoint.load_newest(again.parent, jax.eval_shape(lambda: self.state(0)), self.same_run)
        if self.digest(back) != self.digest(found):
            raise Wrong("saved and read again it is another")


KINDS: dict[str, type[Kind]] = {"data": Data, "bundle": Bundles, "config": Configs, "checkpoint": Checkpoints}
