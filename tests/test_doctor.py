"""`pdesurr doctor`: what is right, and what is wrong, said in a line each."""

import json
import subprocess
import sys

import jax

from pdesurr import doctor
from pdesurr.cli import main


def test_all_is_well_here(tmp_path, capsys):
    assert main(["doctor", "--folder", str(tmp_path / "runs"), "--json"]) == 0
    found = {f["name"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert {"versions", "devices", "precision", "compiled sums", "compiled transforms", "folder"} <= set(found)
    assert not any(tmp_path.iterdir())  # the trial is gone, and nothing else was made


def test_a_folder_that_takes_no_files_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--folder", str(tmp_path / "file" / "runs"), "--json"]) == 1
    out, err = capsys.readouterr()
    wrong = [f for f in json.loads(out)["findings"] if f["advice"]]
    assert [f["name"] for f in wrong] == ["folder"] and "1 of" in err


def test_a_platform_that_is_not_there(child_env):
    done = subprocess.run([sys.executable, "-m", "pdesurr", "doctor"], env=child_env | {"JAX_PLATFORMS": "nonsense"}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 1 and "unset it" in done.stdout and "Traceback" not in done.stderr


def test_wrong_numbers_are_seen(monkeypatch):
    monkeypatch.setattr(doctor.jnp.fft, "rfft2", lambda u: 2 * jax.numpy.fft.fft2(u)[:, :33])
    assert [f.name for f in doctor._numbers() if "transforms are wrong" in f.advice] == ["compiled transforms"]
