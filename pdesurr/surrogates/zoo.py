"""Pretrained surrogates by name: what the package brings, and what any folder of bundles or a hub holds."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from pdesurr._files import MANIFEST, read_json, sha256, write_json
from pdesurr.checks import BundleError, expected, require
from pdesurr.surrogates.bundle import FILES, load_surrogate
from pdesurr.surrogates.surrogate import Surrogate

SHIPPED = Path(__file__).resolve().parent / "pretrained"
CATALOGUE = "catalogue.json"
HUB = "hub:"


def catalogue(folder: Path | str | None = None) -> dict[str, str]:
    """The names in a catalogue, each with the sha256 of its bundle's manifest, which pins every byte of the bundle. `folder`: any that has
    a `catalogue.json` beside its bundles (a mirror on a disk); the package's own if None. Raises `BundleError` for a catalogue that is
    missing or not sound."""
    file = Path(folder or SHIPPED) / CATALOGUE
    try:
        found: Any = read_json(file)
    except FileNotFoundError:
        raise BundleError(f"{file}: no such catalogue; give a folder that holds bundles and a {CATALOGUE}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{file}: not a sound catalogue ({' '.join(str(error).split())[:200]}); get it again from its source") from error
    entries = found.get("surrogates") if isinstance(found, dict) else None
    entries = entries if isinstance(entries, dict) and found.get("version") == 1 else {"": ""}
    if not all(_plain_name(k) and _is_sha256(v) for k, v in entries.items()):
        raise BundleError(f"{file}: expected version 1 and 'surrogates', a table of names and sha256 sums; get it again from its source")
    return entries


def load(name: str | Path, *, source: Path | str | None = None, sha256: str | None = None) -> Surrogate:
    """A surrogate by its name in a catalogue (the package's own; that of the folder `source`), by the folder of its bundle (a `Path`, or a
    text with a slash: a bare name is the catalogue's), or from a model hub: `load("hub:owner/name@revision", sha256=...)`, which asks for
    the extra `huggingface_hub`.

    Every file is checked against the bundle's manifest, and the manifest against the catalogue's pin, or against `sha256`, which a hub
    needs. Nothing in a bundle is executed. Raises `BundleError` for a name that no catalogue has, a pin that does not fit, a hub that
    does not answer, and whatever `load_surrogate` refuses.
    """
    require(isinstance(name, (str, Path)) and str(name) != "", "name", "a name, a folder or hub:owner/name", name)
    require(source is None or isinstance(source, (str, Path)), "source", "a folder with a catalogue", source)
    require(sha256 is None or _is_sha256(sha256), "sha256", "64 hexadecimal digits", sha256)
    if str(name).startswith(HUB):
        return _from_hub(str(name)[len(HUB) :], sha256)
    if source is None and not _plain_name(name):
        folder, pin = Path(name), sha256
    else:
        entries = catalogue(source)
        if str(name) not in entries:
            where = "the package's catalogue" if source is None else f"the catalogue of {source}"
            raise BundleError(f"{name}: not in {where}, which has {', '.join(entries) or 'nothing'}; a folder is given as a path, ./{name}")
        folder, pin = Path(source or SHIPPED) / str(name), sha256 or entries[str(name)]
    return _checked(folder, pin)


def _checked(folder: Path, pin: str | None) -> Surrogate:
    if pin is not None:
        check_pin(folder, pin)
    return load_surrogate(folder)


def check_pin(folder: Path, pin: str) -> None:
    """Raise `BundleError` unless the sha256 of the bundle's manifest is `pin`."""
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder}: no such bundle folder")
    found = pin_of(folder)
    if found != pin.lower():
        raise BundleError(f"{folder}: its manifest's sha256 is {found[:12]}..., not {pin[:12]}... as asked for: this is another bundle, or "
                          "a changed one")


def pin_of(folder: Path) -> str:
    """What pins a bundle: the sha256 of its manifest."""
    return sha256(folder / MANIFEST)


def write_catalogue(folder: Path | str) -> dict[str, str]:
    """Pin all bundles in a folder, each loaded first, in its `catalogue.json`: what makes it a source. Raises as `load_surrogate`."""
    folder = Path(folder)
    require(folder.is_dir(), "folder", "one that holds bundles", folder)
    entries = {}
    for bundle in sorted(f for f in folder.iterdir() if (f / MANIFEST).is_file()):
        require(_plain_name(bundle.name), "bundle", "a name of letters, digits, '-', '_' and '.'", bundle.name)
        load_surrogate(bundle)
        entries[bundle.name] = pin_of(bundle)
    require(bool(entries), "folder", "one that holds bundles, folders with a SHA256SUMS", folder)
    write_json(folder / CATALOGUE, {"version": 1, "surrogates": entries})
    return entries


def _is_sha256(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text.lower()) <= set("0123456789abcdef")


def _plain_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 80 and name[0].isalnum() and all(c.isalnum() or c in "-_." for c in name)


def _from_hub(address: str, pin: str | None) -> Surrogate:
    repository, _, revision = address.partition("@")
    if repository.count("/") != 1 or not all(map(_plain_name, repository.split("/"))):
        raise expected("name", "hub:owner/name or hub:owner/name@revision", HUB + address)
    if pin is None:
        raise expected("sha256", "the sha256 of the bundle's SHA256SUMS, as its author gives it, for what comes from a hub", None)
    try:
        from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BundleError(f"hub:{address}: needs the package huggingface_hub; pip install 'pdesurr[hub]', or download the folder yourself "
                          "and load that") from None
    try:
        found = Path(snapshot_download(repository, revision=revision or None, allow_patterns=[*FILES, MANIFEST]))
    except Exception as error:  # whatever a network does ends here, as one line
        raise BundleError(f"hub:{address}: could not be had ({type(error).__name__}: {' '.join(str(error).split())[:160]}); try later, or "
                          "load a copy on disk") from error
    with tempfile.TemporaryDirectory() as folder:  # a hub's cache holds links, which no bundle may
        for file in (f for f in found.iterdir() if f.is_file()):
            shutil.copyfile(file, Path(folder) / file.name)
        try:
            return _checked(Path(folder), pin)
        except BundleError as error:
            raise BundleError(str(error).replace(folder, HUB + address)) from error
