"""What the cases share: a case's line in the report, children that are started, watched and killed, a folder that can be filled."""

import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pdesurr._files import check_manifest

HERE = Path(__file__).resolve().parent
LONGEST = 300.0  # seconds that a child may take


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of a preset: how often each kind of case is tried, and the training's length."""

    kills: int
    generation_kills: int
    bits: int
    epochs: int
    samples: int
    processes: bool


PRESETS = {"smoke": Sizes(1, 1, 1, 40, 320, False), "cpu": Sizes(20, 10, 3, 300, 960, True)}


@dataclasses.dataclass
class Case:
    """One line of the report. `observed` are the distinct things seen, with how often; the case is right if nothing else was seen."""

    case: str
    expected: str
    tries: int = 0
    right: int = 0
    observed: dict[str, int] = dataclasses.field(default_factory=dict)

    def saw(self, what: str, right: bool) -> None:
        self.tries += 1
        self.right += right
        self.observed[what] = self.observed.get(what, 0) + 1

    def row(self) -> dict[str, Any]:
        seen = "; ".join(what if n == 1 else f"{what} ({n} times)" for what, n in self.observed.items())
        return {"case": self.case, "expected": self.expected, "observed": seen, "tries": self.tries,
                "ok": self.tries > 0 and self.right == self.tries}


@dataclasses.dataclass
class Ended:
    """How a child ended. A signal's number is told as a shell would."""

    code: int
    out: str
    error: str
    seconds: float

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return (self.error.strip().splitlines() or [""])[-1]

    @property
    def clear(self) -> bool:
        """Whether it failed with one line of ours."""
        return self.last.startswith("pdesurr: error: ") and "unexpected" not in self.last and "Traceback" not in self.error


class Child:
    """A process of ours, with its output in files so that no pipe can fill."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str] | None = None):
        self.began = time.monotonic()
        self.files = [open(folder / f".child-{name}-{time.monotonic_ns()}", "w+") for name in ("out", "error")]  # noqa: SIM115
        self.process = subprocess.Popen([sys.executable, *arguments], stdout=self.files[0], stderr=self.files[1], cwd=folder,
                                        env=child_environment(folder) | (environment or {}))

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, limit: float = LONGEST) -> Ended:
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = -999
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read())
            file.close()
            Path(file.name).unlink(missing_ok=True)
        return Ended(128 - code if -64 < code < 0 else code, texts[0], texts[1], time.monotonic() - self.began)

    def until(self, happened: Callable[[], bool], limit: float = LONGEST) -> bool:
        """Wait for something to be seen from outside; False if the child ended first."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and self.process.poll() is None:
            if happened():
                return True
            time.sleep(0.005)
        return False


def child_environment(folder: Path) -> dict[str, str]:
    """One device, no allocator settings of ours, compiled programs kept between the children."""
    dropped = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "PYTHONWARNINGS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = os.pathsep.join(filter(None, [str(HERE.parents[1]), kept.get("PYTHONPATH", "")]))
    return kept | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1", "PYTHONUNBUFFERED": "1",
                   "JAX_COMPILATION_CACHE_DIR": str(home(folder) / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


def home(folder: Path) -> Path:
    """The folder of all cases."""
    return next((p for p in (folder, *folder.parents) if (p / ".endurance").exists()), folder)


class Bench:
    """A data file, an uninterrupted training on it and an uninterrupted generation: what every interrupted one must equal."""

    def __init__(self, folder: Path, sizes: Sizes, seed: int):
        self.folder, self.sizes, self.random = folder, sizes, random.Random(seed)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".endurance").touch()
        self.data = folder / "set.h5"
        self.must(["generate", "burgers_jmlr", "--out", str(self.data), "--samples", "200", "--resolution", "128"])
        self.must(self.train("whole"))
        self.must(self.generate("whole.h5"))

    def train(self, name: str | Path, *more: str) -> list[str]:
        return ["train", str(self.data), "--out", str(self.folder / name), "--modes", "6", "--width", "8", "--depth", "1", "--epochs",
                str(self.sizes.epochs), "--checkpoint-seconds", "0", *more]

    def generate(self, name: str | Path) -> list[str]:
        return ["generate", "burgers_jmlr", "--out", str(self.folder / name), "--samples", str(self.sizes.samples), "--resolution", "1024",
                "--chunk", "16", "--seed", "1"]

    def start(self, arguments: list[str]) -> Child:
        return Child(["-m", "pdesurr", *arguments], self.folder)

    def run(self, arguments: list[str]) -> Ended:
        return self.start(arguments).wait()

    def must(self, arguments: list[str]) -> Ended:
        ended = self.run(arguments)
        if ended.code != 0:
            raise SystemExit(f"pdesurr {' '.join(arguments)} ended with {ended.code}: {ended.error[-2000:]}")
        return ended

    def fit(self, name: str, **how: Any) -> Child:
        """A call of `fit` in a process of its own (`_worker.py`)."""
        environment = {"JAX_NUM_CPU_DEVICES": "2"} if "join" in how else {}
        return Child([str(HERE / "_worker.py"), str(self.folder / name), json.dumps(how)], self.folder, environment)

    def training(self, name: str | Path) -> Child:
        """A training that has begun to take steps in this process."""
        log = self.folder / name / "metrics.jsonl"
        before = log.stat().st_mtime_ns if log.exists() else 0
        size = lambda: log.stat().st_size if log.exists() and log.stat().st_mtime_ns != before else None  # noqa: E731
        child = self.start(self.train(name))
        child.until(lambda: size() is not None)
        began = size()
        child.until(lambda: size() not in (None, began))
        return child

    def generating(self, name: str | Path) -> Child:
        """A generation that has kept something in this process."""
        path = self.folder / name
        parts = path.with_name(f".{path.name}.parts")
        count = lambda: len(list(parts.glob("part-*.npz")))  # noqa: E731
        before, child = count(), self.start(self.generate(name))
        child.until(lambda: count() > before)
        return child

    def same_training(self, name: str | Path) -> bool:
        """Whether weights and books ended as those of the uninterrupted run."""
        newest = [sorted((self.folder / n / "checkpoints").iterdir())[-1] / "state.safetensors" for n in ("whole", name)]
        bundles = [self.folder / n / "bundle" / "model.safetensors" for n in ("whole", name)]
        return newest[0].name == newest[1].name and all(sha256(a) == sha256(b) for a, b in (newest, bundles))

    def same_file(self, name: str | Path) -> bool:
        return sha256(self.folder / "whole.h5") == sha256(self.folder / name)

    def finish_training(self, case: Case, name: str | Path, before: str = "") -> None:
        """Resume to the end; what must be true then."""
        ended = self.run(self.train(name))
        said = "resumed, bit-identical" if ended.code == 0 and self.same_training(name) else f"code {ended.code}, another result"
        case.saw(before + said, said.startswith("resumed"))

    def finish_file(self, case: Case, name: str | Path, before: str = "") -> None:
        ended = Ended(0, "", "", 0.0) if (self.folder / name).exists() else self.run(self.generate(name))
        said = "resumed, same sha256" if ended.code == 0 and self.same_file(name) else f"code {ended.code}, another file"
        case.saw(before + said, said.startswith("resumed"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newest_sound(run: Path) -> bool:
    """Whether the newest checkpoint, or the one before, is whole: a run always has something to go on from."""
    steps = sorted(p for p in (run / "checkpoints").glob("[0-9]*") if p.is_dir())
    return not steps or any(check_manifest(p) is None for p in steps[-2:])


def flip_bit(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """`folder` as a file system of that size; False where mounting is not allowed, and then a limit on the size of files stands in."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True)
    mounted = mounted.returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path, child: Child, mounted: bool) -> None:
    """Leave no room for the child's next file; it waits meanwhile."""
    child.send(signal.SIGSTOP)
    try:
        _fill(folder, child, mounted)
    finally:
        child.send(signal.SIGCONT)


def _fill(folder: Path, child: Child, mounted: bool) -> None:
    if not mounted:
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
        return
    with open(folder / "ballast", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C", signal.SIGUSR1: "SIGUSR1", signal.SIGKILL: "kill -9"}
