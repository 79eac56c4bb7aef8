"""Writing so that nothing is half there: temporary name, flush, fsync, rename; what a kill left is swept; and sha256 manifests."""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pdesurr.checks import PdesurrError

MANIFEST = "SHA256SUMS"


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Atomic: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


@contextmanager
def writing(path: Path, kind: type[PdesurrError], kept: str = "") -> Iterator[None]:
    """Raise `kind`, one line that names the path, where the disk refuses what is written inside; `kept`: what is there all the same."""
    try:
        yield
    except FileExistsError:
        raise
    except Exception as error:
        from safetensors import SafetensorError

        if not isinstance(error, (OSError, SafetensorError)):
            raise
        what = " ".join(str(error).split())
        raise kind(f"{path}: could not be written ({what}){kept}; free disk space or choose another folder") from error


def sweep(folder: Path, pattern: str = ".*.tmp-*") -> None:
    """Remove what killed processes left under temporary names; a folder that was moved aside, and not yet replaced, gets its name back."""
    for path in folder.glob(pattern):
        found = re.fullmatch(r"\.?(.+?)(\.old)?\.tmp-(\d+)", path.name)
        if found is None or _alive(int(found[3])):
            continue
        if found[2] and not (folder / found[1]).exists():
            os.replace(path, folder / found[1])
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder that appears whole or not at all: fill the yielded temporary one; a manifest is added and it is renamed.

    Raises FileExistsError if `path` is there and `overwrite` is not given.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    temporary, old = (path.with_name(f".{path.name}{word}.tmp-{os.getpid()}") for word in ("", ".old"))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        write_manifest(temporary)
        if path.exists():  # moved aside first: a kill while it is being removed must not leave half of it
            os.replace(path, old)
        os.replace(temporary, path)
        fsync_folder(path.parent)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def write_manifest(folder: Path) -> None:
    """List every file in `folder` and below it with its sha256, once all of them are on the disk."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    for file in files:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
    write_text(folder / MANIFEST, "".join(f"{sha256(f)}  {f.relative_to(folder).as_posix()}\n" for f in files))


def check_manifest(folder: Path, nested: bool = False) -> str | None:
    """What is wrong with a folder's files against its manifest, or None. Every file must be listed, and none may be a link; there are
    folders only where `nested` says that there may be."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"{MANIFEST} is missing"
    listed: dict[str, str] = {}
    for line in manifest.read_text(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        plain = Path(name).as_posix() == name and not Path(name).is_absolute() and ".." not in Path(name).parts
        if len(digest) != 64 or name in ("", ".") or name in listed or not plain or (len(Path(name).parts) > 1 and not nested):
            return f"{MANIFEST} has a line that is not 'sha256  file name': {line[:80]!r}"
        listed[name] = digest
    found = folder.rglob("*") if nested else folder.iterdir()
    present = {f.relative_to(folder).as_posix() for f in found if not (nested and f.is_dir() and not f.is_symlink())} - {MANIFEST}
    if present != set(listed):
        missing, extra = sorted(set(listed) - present), sorted(present - set(listed))
        return f"{missing[0]} is missing" if missing else f"{extra[0]} is not in {MANIFEST}: it does not belong here"
    for name, digest in listed.items():
        file = folder / name
        if file.is_symlink() or not file.is_file():
            return f"{name} is not a plain file"
        if sha256(file) != digest:
            return f"{name} does not match its sha256 in {MANIFEST}: one of the two was damaged or changed"
    return None


def read_json(path: Path, limit: int = 1 << 22) -> Any:
    """JSON without duplicate keys, numbers that are not finite, or unreasonable size or depth. Raises ValueError."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [k for k, _ in items]
        if len(set(keys)) != len(keys):
            raise ValueError(f"duplicate key {next(k for k in keys if keys.count(k) > 1)!r}")
        return dict(items)

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not allowed")

    def number(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else constant(text)

    if path.stat().st_size > limit:
        raise ValueError(f"larger than {limit} bytes")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
        json.dumps(value, ensure_ascii=False).encode()  # half a character in a text is a ValueError
        return value
    except RecursionError:
        raise ValueError("nested too deeply") from None
