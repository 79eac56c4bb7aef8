"""What is done to a folder of files at random: to bytes, to whole files, to JSON, with manifests that no longer fit or are made to fit."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdesurr._files import MANIFEST, sha256

DEEP = "@deep@"  # stands for lists nested far too deeply, which json.dumps would not write
WORDS = {f'"{DEEP}"': "[" * 20_000 + "]" * 20_000, '"@nan@"': "NaN", '"@huge@"': "1e999", '"@digits@"': "9" * 3000, '"@lone@"': '"\\ud800"'}
NASTY = [None, True, False, 0, 1, -1, 2, 3, 7, 64, 2**31, 2**63, 2**70, 0.5, -0.5, 1e-300, 1e308, "", "a", "1", "os.system", 
         "../../etc/passwd", "x" * 3000, "\x00", "\x1b[2J", "FNO", "RollOut", "Burgers", "periodic", "closed", "float64",
         [], [1], [1, 2, 3], [[1]], ["a"], {}, {"a": 1}, {"class": "FNO", "arguments": {}}, *(word.strip('"') for word in WORDS)]

Bytes = Callable[[bytearray, random.Random], Any]


def span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice([1, 2, 4, 8, 64, 512, 4096]))


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice([1, 4, 64]))


def delete(data: bytearray, rng: random.Random) -> None:
    start, stop = span(data, rng)
    del data[start:stop]


def duplicate(data: bytearray, rng: random.Random) -> None:
    start, stop = span(data, rng)
    data[start:start] = data[start:stop]


def zero(data: bytearray, rng: random.Random) -> None:
    start, stop = span(data, rng)
    data[start:stop] = bytes(stop - start)


def noise(data: bytearray, rng: random.Random) -> None:
    start, stop = span(data, rng)
    data[start:stop] = rng.randbytes(stop - start)


def extreme(data: bytearray, rng: random.Random) -> None:
    """A field of four or eight bytes that says a size."""
    width = rng.choice([4, 8])
    if len(data) >= width:
        start = rng.randrange(len(data) - width + 1)
        data[start : start + width] = rng.choice([0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2**31, 2**16]).to_bytes(width, "little")


BYTES: tuple[Bytes, ...] = (flip, flip, truncate, insert, delete, duplicate, zero, noise, extreme)


def change_bytes(file: Path, rng: random.Random) -> str:
    data, how = bytearray(file.read_bytes()), rng.choice(BYTES)
    how(data, rng)
    file.write_bytes(data)
    return f"{how.__name__} {file.name}"


def change_files(folder: Path, rng: random.Random) -> str:
    """Whole files: swapped, missing, empty, doubled, links, folders."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    a, b = rng.choice(files), rng.choice(files)
    what = rng.choice(["swap", "swap", "swap", "copy", "remove", "empty", "extra", "link", "folder"])
    if what == "swap":
        first, second = a.read_bytes(), b.read_bytes()
        a.write_bytes(second)
        b.write_bytes(first)
    elif what == "copy":
        b.write_bytes(a.read_bytes())
    elif what == "extra":
        (a.parent / rng.choice(["weights.pkl", "x", ".hidden", "000000009"])).write_bytes(rng.randbytes(20))
    else:
        content = a.read_bytes()
        a.unlink()
        if what == "empty":
            a.touch()
        elif what == "link":
            (folder.parent / "elsewhere").write_bytes(content)
            a.symlink_to(folder.parent / "elsewhere")
        elif what == "folder":
            a.mkdir()
    return f"{what} {a.name} {b.name}"


def change_json(value: Any, rng: random.Random) -> tuple[Any, str]:
    """One place of a parsed JSON text set to something else; what was done, in words."""
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            visit(node[key])

    value = json.loads(json.dumps(value))
    visit(value)
    if not places or rng.random() < 0.02:
        return rng.choice(NASTY), "replace all"
    node, key = rng.choice(places)
    old = node[key]
    what = rng.choice(["replace", "replace", "replace", "near", "near", "delete", "add", "text", "double"])
    if what == "replace":
        node[key] = rng.choice(NASTY)
    elif what == "near":
        node[key] = near(old, rng)
    elif what == "text":
        node[key] = json.dumps(old) if not isinstance(old, str) else old.upper()
    elif what == "delete":
        del node[key]
    elif what == "double" and isinstance(node, list):
        node.insert(key, old)
    elif isinstance(node, dict):
        node[rng.choice(["extra", "key", "", "model", "class", key + "_"])] = rng.choice(NASTY)
    else:
        node.append(rng.choice(NASTY))
    return value, f"{what} {key}"


def near(old: Any, rng: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return rng.choice([old + 1, old - 1, -old, 2 * old, float(old), old / 2, old * 1e6])
    if isinstance(old, str):
        return rng.choice([old + "x", old[:-1], old[::-1], old.swapcase(), " " + old])
    if isinstance(old, list):
        return rng.choice([old[::-1], old * 2, old[:-1], [old], old * 40])
    return {} if isinstance(old, dict) else rng.choice(NASTY)


def spelled(value: Any, rng: random.Random) -> str:
    """JSON text, sometimes with a key twice."""
    text = json.dumps(value, indent=1)
    for word, raw in WORDS.items():
        text = text.replace(word, raw)
    if isinstance(value, dict) and value and rng.random() < 0.03:
        key = rng.choice(list(value))
        text = text[:-1].rstrip() + f", {json.dumps(key)}: 1}}"
    return text


def write_manifest(folder: Path) -> None:
    """Make a folder's sha256 sums fit what is in it."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != MANIFEST)
    (folder / MANIFEST).write_text("".join(f"{sha256(f)}  {f.name}\n" for f in files))


def copied(original: Path, target: Path) -> Path:
    """A fresh copy of a folder."""
    shutil.rmtree(target, ignore_errors=True)
    for left in target.parent.glob("elsewhere*"):
        left.unlink()
    return shutil.copytree(original, target)
