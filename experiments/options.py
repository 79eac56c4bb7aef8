"""What experiments can be told on the command line."""

import argparse
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

MEANT = "smoke: a minute, to see that it runs, its errors say nothing; cpu: two cores, about an hour; paper: the published setting"


def arguments(text: str | None, presets: Iterable[str], *, seeds: bool = False, out: str = "") -> argparse.ArgumentParser:
    """`--preset` and `--json`; with `seeds` also `--seeds`, and with `out`, which says what stays there, `--out`. Without a `text` the
    script's own."""
    text = sys.modules["__main__"].__doc__ if text is None else text
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(presets), default="cpu", help=MEANT)
    if seeds:
        parser.add_argument("--seeds", type=as_seed, nargs="+", default=None, help="of training, one run each (default: the preset's)")
    if out:
        parser.add_argument("--out", type=as_folder, default=Path("runs"), help=f"where {out} stay")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser


def slug(*words: object) -> str:
    """A folder's name: the words in lower case, what is no letter, digit or point a dash."""
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(map(str, words)).lower())


def remark(preset: str) -> str:
    """What is to be said of a preset's errors."""
    return " (smoke shows that it runs, its errors say nothing)" if preset == "smoke" else ""


def as_seed(text: str) -> int:
    """A whole number >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0")
    return int(text)


def as_folder(text: str) -> Path:
    """A folder, or a name that nothing has yet."""
    path = Path(text)
    there = next((p for p in (path, *path.parents) if p.exists()), path)
    if there.exists() and not there.is_dir():
        raise argparse.ArgumentTypeError(f"{there} is a file: give a folder, or a name that nothing has yet")
    if there.exists() and not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(f"{there} may not be written to: give another folder")
    return path
