"""Surrogates by name: what the package brings is sound, what others bring is pinned, and nothing else is loaded."""

import json
import shutil
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_surrogates import build

import pdesurr
from pdesurr._files import MANIFEST, sha256
from pdesurr.checks import BundleError, UsageError
from pdesurr.cli import main
from pdesurr.pdes import Burgers
from pdesurr.surrogates import catalogue, save_surrogate
from pdesurr.surrogates.zoo import SHIPPED, pin_of


@pytest.fixture
def mirror(tmp_path):
    """A folder of one bundle with its catalogue."""
    bundle = save_surrogate(build(), tmp_path / "mine")
    (tmp_path / "catalogue.json").write_text(json.dumps({"version": 1, "surrogates": {"mine": pin_of(bundle)}}))
    return tmp_path


@pytest.fixture
def hub(mirror, monkeypatch, tmp_path_factory):
    """A hub's client whose cache holds links, and what it was asked."""
    asked, cache = [], tmp_path_factory.mktemp("cache")
    for file in (mirror / "mine").iterdir():
        (cache / file.name).symlink_to(file)

    def snapshot_download(repository, *, revision, allow_patterns):
        asked.append((repository, revision))
        if repository == "owner/down":
            raise ConnectionError("no route to host")
        return str(cache)

    client = types.ModuleType("huggingface_hub")
    monkeypatch.setattr(client, "snapshot_download", snapshot_download, raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    return asked


@pytest.mark.parametrize("name", catalogue())
def test_what_the_package_brings_is_pinned_small_and_answers(name):
    surrogate = pdesurr.load(name)
    grid = surrogate.spec.grid
    a = jnp.ones((*grid.shape, len(surrogate.spec.input))) * surrogate.spec.input[0].upper / 2
    assert bool(jnp.all(jnp.isfinite(surrogate(a)))) and surrogate.spec.errors
    assert sum(f.stat().st_size for f in (SHIPPED / name).iterdir()) < 4e6


def test_the_burgers_surrogate_keeps_the_error_on_its_card():
    surrogate = pdesurr.load("burgers-fno")
    errors = surrogate.check_against_solver(Burgers(nu=surrogate.spec.parameters["nu"]), samples=8, seed=3)
    stated = surrogate.error_estimate()
    assert stated is not None and stated["mean"] < 5e-3 and errors.mean() < 2 * stated["mean"]
    a = Burgers(nu=surrogate.spec.parameters["nu"]).sample(jax.random.key(1), surrogate.spec.grid)
    assert bool(jnp.all(jnp.isfinite(jax.grad(lambda v: jnp.sum(surrogate(v) ** 2))(a))))


def test_a_mirror_on_disk_is_loaded_by_name_and_by_folder(mirror):
    ours = build()
    a = np.ones((32, 1), np.float32)
    for found in (pdesurr.load("mine", source=mirror), pdesurr.load(mirror / "mine"), pdesurr.load(str(mirror / "mine"))):
        np.testing.assert_array_equal(found(jnp.asarray(a)), ours(jnp.asarray(a)))


def doubled(surrogate):
    return jax.tree.map(lambda v: 2 * v if isinstance(v, jax.Array) else v, surrogate)


def test_another_bundle_than_the_pinned_one_is_refused(mirror):
    pin = pin_of(mirror / "mine")
    with pytest.raises(BundleError, match="as asked for: this is another bundle, or a changed one"):
        pdesurr.load(mirror / "mine", sha256="0" * 64)
    other = save_surrogate(doubled(build()), mirror / "other")
    shutil.rmtree(mirror / "mine")
    other.rename(mirror / "mine")  # sound in itself
    assert pin_of(mirror / "mine") != pin
    with pytest.raises(BundleError, match="another bundle"):
        pdesurr.load("mine", source=mirror)
    with pytest.raises(BundleError, match="no such bundle folder"):
        shutil.rmtree(mirror / "mine")
        pdesurr.load("mine", source=mirror)


@pytest.mark.parametrize("text, words", [
    ("{", "not a sound catalogue"),
    ('{"version": 2, "surrogates": {}}', "expected version 1"),
    ('{"version": 1, "surrogates": {"../../etc": "' + "0" * 64 + '"}}', "a table of names"),
    ('{"version": 1, "surrogates": {"mine": "short"}}', "sha256 sums"),
    ('{"version": 1, "surrogates": {"a": 1, "a": 2}}', "duplicate key"),
])
def test_hostile_catalogues_are_refused(mirror, text, words):
    (mirror / "catalogue.json").write_text(text)
    with pytest.raises(BundleError, match=words):
        pdesurr.load("mine", source=mirror)


def test_a_folder_of_the_same_name_is_not_taken_for_the_catalogues(mirror, monkeypatch):
    (mirror / "mine").rename(mirror / "burgers-fno")
    monkeypatch.chdir(mirror)
    assert pdesurr.load("burgers-fno").spec.grid.shape == (256,) and pdesurr.load("./burgers-fno").spec.grid.shape == (32,)


def test_unknown_names_and_missing_catalogues_say_what_there_is(tmp_path, mirror):
    with pytest.raises(BundleError, match="burgers-fn0: not in the package's catalogue, which has .*burgers-fno"):
        pdesurr.load("burgers-fn0")
    with pytest.raises(BundleError, match="no such catalogue"):
        pdesurr.load("mine", source=tmp_path / "nowhere")
    with pytest.raises(BundleError, match="no such bundle folder"):
        pdesurr.load("../mine")
    with pytest.raises(UsageError, match="sha256: expected 64 hexadecimal digits, received 'abc'"):
        pdesurr.load(mirror / "mine", sha256="abc")


def test_a_newer_format_is_refused_by_its_version(mirror):
    config = json.loads((mirror / "mine" / "config.json").read_text()) | {"config_version": 2}
    (mirror / "mine" / "config.json").write_text(json.dumps(config))
    lines = (mirror / "mine" / MANIFEST).read_text().splitlines()
    fixed = [f"{sha256(mirror / 'mine' / 'config.json')}  config.json" if line.endswith("  config.json") else line for line in lines]
    (mirror / "mine" / MANIFEST).write_text("\n".join(fixed) + "\n")
    with pytest.raises(BundleError, match="of version 1"):
        pdesurr.load(mirror / "mine")


def test_a_hub_is_asked_for_a_revision_and_its_answer_pinned(hub, mirror):
    pin = pin_of(mirror / "mine")
    assert pdesurr.load("hub:owner/mine@v1", sha256=pin).spec.pde == "Burgers"
    assert hub == [("owner/mine", "v1")]
    with pytest.raises(BundleError, match="hub:owner/mine: its manifest's sha256"):
        pdesurr.load("hub:owner/mine", sha256="0" * 64)
    with pytest.raises(BundleError, match=r"hub:owner/down: could not be had \(ConnectionError: no route to host\); try later"):
        pdesurr.load("hub:owner/down", sha256=pin)
    with pytest.raises(UsageError, match="sha256: expected the sha256 of the bundle's SHA256SUMS"):
        pdesurr.load("hub:owner/mine")
    with pytest.raises(UsageError, match="hub:owner/name or hub:owner/name@revision"):
        pdesurr.load("hub:mine", sha256=pin)


def test_without_the_hubs_package_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BundleError, match="pip install 'pdesurr"):
        pdesurr.load("hub:owner/mine", sha256="0" * 64)


def test_the_command_lists_shows_and_verifies(mirror, capsys):
    assert main(["zoo"]) == 0 and "burgers-fno: Burgers, 1-dimensional, test error" in capsys.readouterr().out
    assert main(["zoo", "show", "mine", "--source", str(mirror)]) == 0 and "# Burgers surrogate (FNO)" in capsys.readouterr().out
    (mirror / "mine" / "README.md").write_text("better")
    assert main(["zoo", "verify", "--source", str(mirror)]) == 1 and "README.md does not match" in capsys.readouterr().err
    assert main(["zoo", "show"]) == 2 and "pdesurr zoo list tells them" in capsys.readouterr().err


def test_a_folder_of_bundles_is_pinned_and_then_a_source(mirror, tmp_path, capsys):
    (mirror / "catalogue.json").unlink()
    assert main(["zoo", "pin", "--source", str(mirror)]) == 0 and "1 pinned, mine" in capsys.readouterr().out
    assert pdesurr.load("mine", source=mirror).spec.pde == "Burgers"
    assert main(["zoo", "show", str(mirror / "mine")]) == 0 and "# Burgers surrogate (FNO)" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["zoo", "pin", "--source", str(tmp_path / "empty")]) == 2 and "folders with a SHA256SUMS" in capsys.readouterr().err
    assert main(["zoo", "pin"]) == 2 and "--source" in capsys.readouterr().err


@pytest.mark.slow
def test_compare_says_whether_it_is_worth_while(mirror, tmp_path, capsys):
    call = ["compare", str(mirror / "mine"), "--samples", "4", "--spent", "10", "--out", str(tmp_path / "front.svg")]
    assert main([*call, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["surrogate"]["error"] > 0.1 > found["solver"][-1]["error"] and found["spent"] == 10  # it is untrained
    assert (tmp_path / "front.svg").stat().st_size > 5000
    assert main(call) == 0 and "are won back" in capsys.readouterr().out
    assert main(["compare", "nothing-here"]) == 1 and "not in the package's catalogue" in capsys.readouterr().err
    assert main(["compare", "burgers-fno", "--out", "front.gif"]) == 2 and "ends in .png" in capsys.readouterr().err
