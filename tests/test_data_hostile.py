"""Files that are damaged or made to do harm: each is one `DatasetError` of one line; what they point to is not read."""

import contextlib
import time
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_files import opened, small_file, small_values

from pdesurr.checks import DatasetError
from pdesurr.data import _arrays, _guard, dataset_hash, import_arrays, inspect, inspect_file, open_dataset, read_info

SECRET = b"s3cr3t-bytes-of-another-file-" * 40


def refusal(path, opener=open_dataset):
    """The one line with which a file is refused."""
    with pytest.raises(DatasetError) as caught:
        opener(path)
    text = str(caught.value)
    assert "\n" not in text and Path(path).name in text
    return text


def take(path, first, second):
    """Import two arrays of a file."""
    import_arrays(path, path.with_suffix(".out.h5"), input=first, output=second, axes="left", domain=(0, 1))


def changed(tmp_path, change) -> Path:
    """A small file after `change(h5py.File)`."""
    path = small_file(tmp_path / "small.h5")
    with opened(path, "r+") as file:
        change(file)
    return path


# Not a data file at all.

NOT_DATA = {
    "empty.h5": (b"", "is empty"),
    "short.h5": (b"\x89HDF", "is not an HDF5 file"),
    "page.h5": (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "is a web page"),
    "page2.h5": (b"\n  <html><head></head></html>", "is a web page"),
    "text.h5": (b"x,y\n1,2\n" * 100, "is not an HDF5 file"),
    "zip.h5": (b"PK\x05\x06" + bytes(18), "is not an HDF5 file"),
}


@pytest.mark.parametrize("name", NOT_DATA)
def test_not_a_data_file(tmp_path, name):
    content, message = NOT_DATA[name]
    (tmp_path / name).write_bytes(content)
    assert message in refusal(tmp_path / name)


def test_missing_or_a_folder(tmp_path):
    small_file(tmp_path / "small.h5")
    assert "no such file; beside it: small.h5" in refusal(tmp_path / "smal.h5")
    assert "is not a file" in refusal(tmp_path)


@pytest.mark.parametrize("keep", [9, 100, 0.3, 0.9, 0.999])
def test_truncated(tmp_path, keep):
    path = small_file(tmp_path / "small.h5")
    content = path.read_bytes()
    path.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    text = refusal(path)
    assert "truncated" in text or "damaged" in text


def test_another_schema(tmp_path):
    with opened(tmp_path / "other.h5", "w") as file:
        file["train/x"] = np.ones(3)
    assert "is not a pdesurr data file (it has train); bring it in with pdesurr.data.import_arrays" in refusal(
        tmp_path / "other.h5"
    )
    path = changed(tmp_path, lambda file: file.attrs.__setitem__("schema_version", 99))
    assert "schema_version: is 99, this version reads 1" in refusal(path)


# Half-written, changed, or not what the description says.


def replace(file, name, values, **options):
    """Put other values in a dataset's place, with its attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    if values is not None:
        file.create_dataset(name, data=values, **options)
    if name in file:
        file[name].attrs.update(attributes)


def edit(file, old, new):
    """Change the text of the description."""
    text = file["description"][()].decode()
    assert old in text
    replace(file, "description", np.bytes_(text.replace(old, new)))


def write_nan(file):
    file["t0_fields/u"][2, 1, 0, 0] = np.nan


def write_zero(file):
    file["t0_fields/u"][2, 1, 0, 0] = 0.0


CHANGES = {
    "no complete": (lambda f: f.attrs.__delitem__("complete"), "complete: is missing: the file is half-written"),
    "complete is false": (lambda f: f.attrs.__setitem__("complete", np.False_), "half-written"),
    "no description": (lambda f: f.__delitem__("description"), "description: is not an array"),
    "description is no JSON": (lambda f: replace(f, "description", np.bytes_("x")), "damaged"),
    "description is a number": (lambda f: replace(f, "description", 3), "damaged"),
    "description in a heap": (lambda f: replace(f, "description", "{}"), "description: holds text or objects"),
    "description changed": (lambda f: edit(f, '"nu":0.1', '"nu":0.2'), "does not match content_sha256"),
    "no hash": (lambda f: f["t0_fields/u"].attrs.__delitem__("sha256"), "t0_fields/u: its sha256 is missing"),
    "hash in a heap": (lambda f: f["t0_fields/u"].attrs.__setitem__("sha256", "0" * 64), "its sha256 is missing"),
    "version is text": (lambda f: f.attrs.__setitem__("schema_version", "1"), "is not a pdesurr data file"),
    "NaN": (write_nan, "t0_fields/u: sample 2 holds NaN or infinity"),
    "value": (write_zero, "t0_fields/u: its values do not match their sha256"),
    "missing field": (lambda f: f.__delitem__("t0_fields/u"), "t0_fields/u: is missing"),
    "missing group": (lambda f: f.__delitem__("dimensions"), "dimensions/time: is missing"),
    "strings": (lambda f: replace(f, "t0_fields/a", ["x"] * 6), "t0_fields/a: holds text or objects"),
    "fixed strings": (lambda f: replace(f, "t0_fields/a", np.array([b"x"] * 6)), "t0_fields/a: holds text"),
    "complex": (lambda f: replace(f, "t0_fields/a", np.ones((6, 4, 5), complex)), "t0_fields/a: holds complex"),
    "another dtype": (lambda f: replace(f, "t0_fields/u", small_values(dtype="float64")["u"]), "has dtype float64"),
    "records": (lambda f: replace(f, "t0_fields/a", np.zeros(6, [("x", "f4")])), "t0_fields/a: holds records"),
    "another shape": (lambda f: replace(f, "t0_fields/a", np.ones((6, 5, 4), "f4")), "has shape (6, 5, 4)"),
    "fewer samples": (lambda f: f["t0_fields/u"].resize(5, axis=0), "has shape (5, 3, 4, 5)"),
    "a group": (lambda f: (f.__delitem__("t0_fields/a"), f.create_group("t0_fields/a")), "is a group, not an array"),
    "nodes": (lambda f: f["dimensions/x"].__setitem__(0, 9.0), "dimensions/x: its values do not match"),
    "compressed": (lambda f: replace(f, "t0_fields/u", small_values()["u"], compression="gzip"), "HDF5 filters [1]"),
    "scalar": (lambda f: f["scalars/nu"].__setitem__((), 0.2), "scalars/nu: its values do not match"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_files(tmp_path, name):
    change, message = CHANGES[name]
    assert message in refusal(changed(tmp_path, change))


def test_names_in_the_description_are_not_code(tmp_path):
    path = changed(tmp_path, lambda file: edit(file, '"kind":"periodic"', '"kind":"os.system"'))
    assert "axis kind: expected one of" in refusal(path)


def test_hidden_control_characters_do_not_reach_the_terminal(tmp_path):
    path = changed(tmp_path, lambda file: edit(file, '"pde":"Small"', '"pde":"\\u001b[2Jx\\nERROR: y"'))
    text = refusal(path)
    assert "pde: expected a name" in text and "\x1b" not in text


@pytest.mark.parametrize("opener", [open_dataset, dataset_hash])
def test_a_flipped_bit_is_found(tmp_path, opener):
    """In every field's payload, wherever the bit is."""
    path = small_file(tmp_path / "small.h5")
    content = path.read_bytes()
    for name in ("a", "u", "v"):
        payload = small_values()[name][3].tobytes()
        place = content.index(payload) + len(payload) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert f"_fields/{name}: samples 0 to 5 do not match their checksum" in refusal(path, opener)


# Made to do harm.


def link(name, target):
    def change(file):
        del file[name]
        file[name] = target

    return change


def external_storage(path):
    def change(file):
        attributes = dict(file["t0_fields/a"].attrs)
        del file["t0_fields/a"]
        dataset = file.create_dataset("t0_fields/a", (6, 4, 5), "<f4", external=[(str(path), 0, 480)])
        dataset.attrs.update(attributes)

    return change


def virtual(path):
    def change(file):
        del file["t0_fields/a"]
        layout = h5py.VirtualLayout((6, 4, 5), "<f4")
        layout[:] = h5py.VirtualSource(path, "a", (6, 4, 5))
        file.create_virtual_dataset("t0_fields/a", layout)

    return change


@pytest.fixture
def secret(tmp_path):
    """A file that no reader of another file should ever open."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "key").write_bytes(SECRET)
    with opened(folder / "key.h5", "w") as file:
        file["a"] = np.frombuffer(SECRET[:480], "<f4").reshape(6, 4, 5)
    return folder


def attacks(secret):
    return {
        "external storage": (external_storage(secret / "key"), "is stored externally"),
        "external link": (link("t0_fields/a", h5py.ExternalLink(str(secret / "key.h5"), "a")), "is an external link"),
        "external group": (link("t0_fields", h5py.ExternalLink(str(secret / "key.h5"), "/")), "is an external link"),
        "soft link": (link("t0_fields/a", h5py.SoftLink("/t0_fields/u")), "is a soft link"),
        "virtual": (virtual(str(secret / "key.h5")), "is virtual"),
    }


@pytest.mark.parametrize("name", attacks(Path()))
def test_nothing_outside_the_file_is_read(tmp_path, secret, name):
    change, message = attacks(secret)[name]
    path = changed(tmp_path, change)
    said = [refusal(path), refusal(path, dataset_hash), str(inspect_file(path))]
    with pytest.raises(DatasetError) as caught:
        take(path, "t0_fields/a", "t0_fields/u")
    assert message in said[0] and (
        "link" in str(caught.value) or message in str(caught.value) or "no such" in str(caught.value)
    )
    leaked = np.frombuffer(SECRET[:4], "<f4")[0]
    for text in [*said, str(caught.value)]:
        assert "s3cr3t" not in text and str(leaked) not in text


def huge(file):
    attributes = dict(file["t0_fields/a"].attrs)
    del file["t0_fields/a"]
    file.create_dataset("t0_fields/a", (10**6, 1000, 1000), "f8", chunks=(1, 100, 100)).attrs.update(attributes)


def test_eight_terabytes_in_a_small_file(tmp_path):
    path = changed(tmp_path, huge)
    started = time.process_time()
    assert "declares 8,000,000,000,000 bytes, but 0 are stored" in refusal(path)
    tree = inspect_file(path)["members"]["t0_fields"]["members"]["a"]
    assert tree["kind"] == "refused" and "8,000,000,000,000" in tree["reason"]
    assert "8,000,000,000,000" in refusal(
        path,
        lambda p: import_arrays(
            p, tmp_path / "o.h5", input="t0_fields/a", output="t0_fields/u", axes="left", domain=(0, 1)
        ),
    )
    assert time.process_time() - started < 5


def test_unwritten_chunks_are_not_zeros(tmp_path):
    path = tmp_path / "half.h5"
    with opened(path, "w") as file:
        file.create_dataset("a", (100, 8), "f4", chunks=(1, 8))[:60] = 1
        file["b"] = np.ones((100, 8), "f4")
    text = refusal(
        path, lambda p: import_arrays(p, tmp_path / "o.h5", input="a", output="b", axes="left", domain=(0, 1))
    )
    assert "has 60 of its 100 chunks; the others would read as zeros" in text


def test_a_compression_bomb(tmp_path):
    path = tmp_path / "bomb.h5"
    with opened(path, "w") as file:
        file.create_dataset("a", (8, 2**20), "f4", chunks=(8, 2**20), compression="gzip", compression_opts=9)[:] = 0
    reason = inspect_file(path)["members"]["a"]["reason"]
    assert "declares 33,554,432 bytes" in reason
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros((8, 2**20), "f4"))
    assert "declares 33,554,432 bytes" in inspect_file(tmp_path / "bomb.npz")["members"]["a"]["reason"]


def test_an_npz_that_lies_about_its_size(tmp_path):
    path = tmp_path / "lie.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }"
    member = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n" + bytes(80)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", member)
    assert "8,000,000,000,000" in inspect_file(path)["members"]["a"]["reason"]


def test_no_pickles(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([print, None], object), b=np.ones((2, 3)))
    member = inspect_file(tmp_path / "objects.npz")["members"]["a"]
    assert member["kind"] == "refused" and "text or objects" in member["reason"]
    with pytest.raises(DatasetError, match="text or objects"):
        take(tmp_path / "objects.npz", "a", "b")


def test_loops_of_groups_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_arrays, "MOST_MEMBERS", 1000)
    monkeypatch.setattr(inspect.sys, "executable", "")  # in this process, so that the limit holds
    path = tmp_path / "loop.h5"
    with opened(path, "w") as file:
        group = file.create_group("g")
        group["again"] = group
        group["root"] = file["/"]
    assert inspect_file(path)["members"]["g"]["kind"] == "group"
    with opened(path, "w") as file:
        below = file.create_group("bottom")
        for i in range(30):
            above = file.create_group(f"level{i}")
            above["left"] = above["right"] = below
            below = above
    started = time.perf_counter()
    inspect_file(path)
    assert time.perf_counter() - started < 20


def test_a_heap_that_hangs_the_library(tmp_path):
    """Reading text from a heap with an object of size zero never comes back: it is found before anything is read."""
    path = small_file(tmp_path / "small.h5")
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 80] = bytes(64)
    path.write_bytes(content)
    for opener in (open_dataset, read_info, inspect_file, dataset_hash):
        assert "heap of texts is damaged" in refusal(path, opener)


def test_a_crash_of_the_library_is_an_error(tmp_path, monkeypatch):
    """`inspect` reads attributes of any kind, which can crash libhdf5: it does so in another process."""
    path = small_file(tmp_path / "small.h5")
    monkeypatch.setattr(inspect.sys, "executable", str(tmp_path / "crash"))
    (tmp_path / "crash").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "crash").chmod(0o755)
    assert "the HDF5 library crashed on it" in refusal(path, inspect_file)


# Random damage.


def mutants(content: bytes, count: int, seed: int):
    """Copies with a few bytes changed, a range zeroed, or the end cut off."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        data = bytearray(content)
        if i % 10 == 0:
            data = data[: rng.integers(1, len(data))]
        elif i % 10 == 1:
            start = rng.integers(0, len(data) - 64)
            data[start : start + 64] = bytes(64)
        else:
            for place in rng.integers(0, len(data), rng.integers(1, 4)):
                data[place] ^= 1 << rng.integers(0, 8)
        yield bytes(data)


def accepted_wrongly(path, truth) -> bool:
    """Whether a damaged file is accepted with other numbers than those written."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = open_dataset(path)
    except DatasetError as error:
        assert "\n" not in str(error) and len(str(error)) < 700
        return False
    same = np.array_equal(data.inputs, truth.inputs) and np.array_equal(data.outputs, truth.outputs)
    return not (same and data.grid == truth.grid and data.info == truth.info)


@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2, 3))])
def test_random_damage_is_refused_or_harmless(tmp_path, seed):
    path = small_file(tmp_path / "small.h5", 3)
    truth, content = open_dataset(path), path.read_bytes()
    mutant = tmp_path / "mutant.h5"
    for i, data in enumerate(mutants(content, 80, seed)):
        mutant.write_bytes(data)
        assert not accepted_wrongly(mutant, truth), f"mutant {i} of seed {seed} was accepted with other numbers"
        if i % 40 == 1:
            with contextlib.suppress(DatasetError):
                inspect_file(mutant)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_much_random_damage(tmp_path, seed):
    path = small_file(tmp_path / "small.h5", 3)
    truth, content = open_dataset(path), path.read_bytes()
    for i, data in enumerate(mutants(content, 500, seed)):
        (tmp_path / "mutant.h5").write_bytes(data)
        assert not accepted_wrongly(tmp_path / "mutant.h5", truth), f"mutant {i} of seed {seed}"
        if i % 20 == 1:
            with contextlib.suppress(DatasetError):
                inspect_file(tmp_path / "mutant.h5")


def test_read_info_refuses_too(tmp_path):
    assert "half-written" in refusal(changed(tmp_path, lambda f: f.attrs.__delitem__("complete")), read_info)


@pytest.mark.parametrize("offset", [0, 4093, 9000])
def test_a_heap_is_found_wherever_it_is(tmp_path, monkeypatch, offset):
    """Also across two of the parts in which a file is searched."""
    monkeypatch.setattr(_guard, "SEARCHED", 4096)
    data = bytearray(16384)
    data[offset : offset + 16] = _guard.HEAP + bytes(3) + (4096).to_bytes(8, "little")
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DatasetError, match="heap of texts is damaged"):
        _guard.check_heaps(tmp_path / "file")
