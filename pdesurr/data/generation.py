"""A PDE into a data file: in chunks, over all devices, resumable, and the same numbers whatever the chunk or the devices."""

import io
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from pdesurr import __version__
from pdesurr._files import read_json, sweep, write_bytes, write_json, writing
from pdesurr._runtime import Stopped, locked, progress, stop_signals
from pdesurr.checks import DatasetError, DivergedError, require
from pdesurr.data.schema import DatasetInfo, Field
from pdesurr.data.sources import sample_key
from pdesurr.data.store import DatasetWriter
from pdesurr.fields import Grid
from pdesurr.pdes import AbstractPDE

Precision = Literal["float64", "float32"]
GROUP = 16  # samples that are solved together; aligned to sample numbers, so that chunks and devices cannot change a bit
CACHED = 2**16  # nodes of samples solved side by side on a CPU: what its cache holds; the others of a group follow
CERTIFIED = 8  # samples whose error is measured by refinement
TOO_COARSE = 0.25  # relative L2 between an input and the same on twice the nodes
USELESS = 0.1  # relative error of stored solutions: there is no data set in them
RIGHT = "_right"  # beside the fields of a part: whether each sample was solved


def generate(pde: AbstractPDE, path: Path | str, *, samples: int, resolution: int, seed: int, first: int = 0, chunk: int = 256,
             precision: Precision = "float64", devices: Sequence[Any] | None = None, replay: bool = False,
             name: str | None = None, overwrite: bool = False) -> DatasetInfo:
    """Draw `samples` inputs of the prior on `resolution` nodes an axis, solve each, and write the file `path`.

    Sample `i` of the file is sample `first + i` of the seed: disjoint ranges of one seed are independent sets. Solved in
    `precision` (float64 needs hardware that has it), stored in float32, with the reference's own error measured on a few
    samples. A killed call is resumed by the same call: finished chunks wait in `.<name>.parts` beside the file. `replay` solves by
    the discretisation of a published set, where the equation offers one; the error stated is then that scheme's. `name`: the set's, stored
    in the file (the equation's if not given); the same samples have the same hash wherever they are written.

    Raises `UsageError` for settings (among them a grid too coarse for the prior), `DatasetError` if the file exists (without
    `overwrite`) or cannot be written, `DivergedError` if the reference solver is right for less than half of the samples, or its error
    is above 10 %: too few nodes; `Stopped` on
    SIGTERM or Ctrl-C. A sample for which no route is right is left out: the file is then shorter, and its notes say which are
    missing.
    """
    path = Path(path)
    require(isinstance(samples, int) and samples >= 1, "samples", "a whole number >= 1", samples)
    require(isinstance(first, int) and first >= 0 and first % GROUP == 0, "first", f"a multiple of {GROUP}", first)
    require(isinstance(chunk, int) and chunk >= 1, "chunk", "a whole number >= 1", chunk)
    require(precision in ("float64", "float32"), "precision", "'float64' or 'float32'", precision)
    require(not replay or hasattr(pde, "replay_record"), "replay", "an equation with a published set to replay", type(pde).__name__)
    with jax.enable_x64(precision == "float64"):
        grid = pde.grid(resolution)
        _check_prior(pde, grid, resolution)
    if path.exists() and not overwrite:
        raise DatasetError(f"{path}: exists already; choose another name or say overwrite (--overwrite)")
    devices = list(devices or jax.devices())
    chunk = math.ceil(chunk / (GROUP * len(devices))) * GROUP * len(devices)
    parts = path.with_name(f".{path.name}.parts")
    path.parent.mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(precision == "float64"), locked(parts), stop_signals() as asked_to_stop:
        identity = {"pde": type(pde).__name__, **pde.parameters, "resolution": resolution, "seed": seed, "first": first,
                    "precision": precision, "replay": replay, "version": __version__, "jax": jax.__version__}
        sweep(path.parent, f"{path.name}.tmp-*")
        _claim(parts, identity, overwrite)
        solve = _Solver(pde, grid, seed, devices, replay)
        with progress(f"generating {path.name}", samples) as advance:
            for start in _missing(parts, samples, chunk):
                if asked_to_stop():
                    raise Stopped(asked_to_stop() or 0, f"{start} of {samples} samples are kept; continue with the same command")
                _write_part(parts, start, solve(first + start, min(chunk, _padded(samples - start))))
                advance(min(samples, start + chunk), "")
        right = np.concatenate([block[RIGHT] for block in _read_parts(parts, samples)])
        left_out = _left_out(pde, first + np.flatnonzero(~right), samples)
        numbers = np.flatnonzero(right)[:CERTIFIED]
        error = _certify(pde, grid, seed, first + numbers, {k: v[numbers] for k, v in next(_read_parts(parts, samples)).items()})
        if error["figure"] > USELESS:
            raise DivergedError(f"{path}: the solutions on {resolution} nodes are {error['figure']:.0%} from those on a finer "
                                "discretisation; nothing was written, take more nodes")
        info = _describe(pde, name or type(pde).__name__, grid, seed, precision, error, left_out, replay)
        with DatasetWriter(path, info, overwrite=overwrite) as writer:
            for block in _read_parts(parts, samples):
                keep = block.pop(RIGHT)
                if keep.any():
                    writer.append({name: v[keep] for name, v in block.items()})
    shutil.rmtree(parts)
    return writer.info


def _check_prior(pde: AbstractPDE, grid: Grid, resolution: int) -> None:
    """Raise `UsageError` if inputs change much where the grid is refined: it would not hold what the prior draws."""
    fine = next((g for g in (pde.grid(2 * resolution), pde.grid(2 * resolution - 1))
                 if all(np.allclose(b.nodes[::2], a.nodes) for a, b in zip(grid.bases, g.bases, strict=True))), None)
    if fine is None:  # nodes that are not among a finer grid's
        return
    key = jax.random.key(0)
    coarse, finer = np.asarray(pde.sample(key, grid)), np.asarray(pde.sample(key, fine))[(slice(None, None, 2),) * grid.ndim]
    gap = float(np.linalg.norm(coarse - finer) / np.linalg.norm(finer))
    require(gap <= TOO_COARSE, "resolution", f"nodes enough for the prior (inputs within {TOO_COARSE:.0%} of those on twice as many)",
            f"{resolution}, where they differ by {gap:.0%}", "take more nodes")


class _Solver:
    """Compiled routes: a whole chunk by the fastest one; groups it is wrong for by the next."""

    def __init__(self, pde: AbstractPDE, grid: Grid, seed: int, devices: Sequence[Any], replay: bool):
        self.pde, self.mesh = pde, Mesh(np.asarray(devices), ("data",))

        def groups(route: str, numbers: Any) -> Any:
            record = pde.replay_record if replay else partial(pde.record, route=route)  # pyright: ignore[reportAttributeAccessIssue]
            one = lambda i: record(sample_key(seed, i), grid)  # noqa: E731
            fields = jax.lax.map(jax.vmap(one), numbers.reshape(-1, side_by_side(grid)))
            return jax.tree.map(lambda v: v.reshape(-1, GROUP, *v.shape[2:]), fields)

        self.by_route: list[Callable] = [
            # Unchecked: Diffrax's loops start from constants, which the check takes for another type than what a device then makes.
            jax.jit(jax.shard_map(partial(groups, route), mesh=self.mesh, in_specs=P("data"), out_specs=P("data"), check_vma=False))
            for route in (pde.routes[:1] if replay else pde.routes)
        ]

    def __call__(self, first: int, count: int) -> dict[str, np.ndarray]:
        """Fields of the samples `first ... first + count - 1`; `count` is a multiple of GROUP."""
        devices = self.mesh.devices.size
        numbers = first + np.arange(math.ceil(count / (GROUP * devices)) * GROUP * devices).reshape(-1, GROUP)
        fields, right = jax.device_get(self.by_route[0](jnp.asarray(numbers)))
        fields, right = {name: np.array(v) for name, v in fields.items()}, np.array(right)
        for route in self.by_route[1:]:
            todo = np.flatnonzero(~right.all(1))
            if len(todo) == 0:
                break
            todo = np.resize(todo, math.ceil(len(todo) / devices) * devices)
            again, now_right = jax.device_get(route(jnp.asarray(numbers[todo])))
            better = now_right & ~right[todo]
            for name, v in again.items():
                fields[name][todo] = np.where(better.reshape(better.shape + (1,) * (v.ndim - 2)), v, fields[name][todo])
            right[todo] |= now_right
        return {RIGHT: right.ravel()[:count], **{name: v.reshape(-1, *v.shape[2:])[:count] for name, v in fields.items()}}


def _left_out(pde: AbstractPDE, numbers: np.ndarray, samples: int) -> str:
    """Which samples no route was right for, in words; an error if they are most."""
    if len(numbers) == 0:
        return ""
    some = ", ".join(map(str, numbers[:20])) + (" ..." if len(numbers) > 20 else "")
    text = f"{len(numbers)} of {samples} samples are left out, since no route of the reference solver is right for them: {some}"
    if 2 * len(numbers) > samples:
        raise DivergedError(f"{type(pde).__name__}({pde.parameters}): {text}; take more nodes")
    warnings.warn(text, stacklevel=3)
    return text


def side_by_side(grid: Grid) -> int:
    """How many samples to solve with one `vmap`: a power of two up to GROUP."""
    fit = max(1, CACHED // math.prod(grid.shape)) if jax.default_backend() == "cpu" else GROUP
    return min(GROUP, 2 ** int(math.log2(fit)))


def _padded(count: int) -> int:
    return math.ceil(count / GROUP) * GROUP


def _claim(parts: Path, identity: dict[str, Any], overwrite: bool) -> None:
    """Keep the parts of the same job; those of another are refused, or dropped with `overwrite`."""
    file = parts / "identity.json"
    try:
        same = read_json(file) == identity
    except (OSError, ValueError):
        same = False
    if not same:
        found = list(parts.glob("part-*"))
        if found and not overwrite:
            raise DatasetError(f"{parts}: holds {len(found)} finished chunks of a job with other settings; finish that with its own "
                               "command, choose another name, or say overwrite (--overwrite) to drop them")
        for old in found:
            old.unlink()
        write_json(file, identity)


def _missing(parts: Path, samples: int, chunk: int) -> Iterator[int]:
    """The starts of chunks to solve: parts are contiguous from 0, whatever chunk size earlier calls had."""
    start = sum(len(next(iter(block.values()))) for block in _read_parts(parts, samples))
    while start < samples:
        yield start
        start += chunk


def _write_part(parts: Path, start: int, fields: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: v if name == RIGHT else v.astype(np.float32) for name, v in fields.items()})
    with writing(parts, DatasetError, f", {start} samples are kept"):
        write_bytes(parts / f"part-{start:09d}.npz", buffer.getvalue())


def _read_parts(parts: Path, samples: int) -> Iterator[dict[str, np.ndarray]]:
    """Contiguous sound parts from the first on, cut at `samples`; zip's own checksums find damage."""
    start = 0
    while start < samples:
        try:
            with np.load(parts / f"part-{start:09d}.npz", allow_pickle=False) as file:
                block = {name: file[name][: samples - start] for name in file.files}
        except FileNotFoundError:
            return
        except Exception:  # damaged: it is solved again, and so is what follows
            for later in parts.glob("part-*.npz"):
                if later.name >= f"part-{start:09d}.npz":
                    later.unlink()
            return
        yield block
        start += len(next(iter(block.values())))


def _certify(pde: AbstractPDE, grid: Grid, seed: int, numbers: np.ndarray, stored: dict[str, np.ndarray]) -> dict[str, Any]:
    """The stored samples against the same problems solved on a finer discretisation, worst relative L2."""
    count = len(numbers)
    worst, left = 0.0, np.arange(count)
    for route in pde.refined_routes:
        solve = jax.jit(partial(jax.lax.map, lambda i, r=route: pde.refined_record(sample_key(seed, i), grid, r)))
        fine, right = jax.device_get(solve(jnp.asarray(numbers[left])))
        for name, time in pde.output:
            at = (slice(None),) if time is None else (slice(None), time)
            truth, ours = np.asarray(fine[name][at], np.float64), stored[name][left][at]
            gap = np.linalg.norm((ours - truth).reshape(len(left), -1), axis=1) / np.linalg.norm(truth.reshape(len(left), -1), axis=1)
            worst = max(worst, float(gap[right].max(initial=0.0)))
        left = left[~right]
        if len(left) == 0:
            break
    if len(left):
        raise DivergedError(f"{type(pde).__name__}({pde.parameters}): samples {numbers[left].tolist()} could not be certified; "
                            "take more nodes")
    method = f"worst relative L2 of {count} stored samples against solutions on a finer discretisation"
    return {"method": method, "figure": worst}


def _describe(pde: AbstractPDE, name: str, grid: Grid, seed: int, precision: str, error: dict[str, Any],
              notes: str, replay: bool) -> DatasetInfo:
    times = pde.record_times
    names = dict.fromkeys(name for name, _ in (*pde.input, *pde.output))
    in_time = {name: time is not None for name, time in (*pde.input, *pde.output)}
    return DatasetInfo(
        name=name, pde=type(pde).__name__, grid=grid,
        fields=tuple(Field(name, unit=pde.units.get(name, "1"), in_time=in_time[name]) for name in names),
        input=tuple(pde.input), output=tuple(pde.output), parameters=pde.parameters, times=times,
        units={k: u for k, u in pde.units.items() if k not in names}, seed=seed,
        generator=f"pdesurr {__version__}, {'replayed' if replay else 'solved'} in {precision}", reference_error=error,
        notes=notes,
    )


