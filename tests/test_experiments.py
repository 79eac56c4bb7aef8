"""The experiments' scripts: each is whole, and the table reads what they record."""

import importlib
import json
import subprocess
import sys

import pytest
from conftest import ROOT

FOLDER = ROOT / "experiments" / "neural_operators"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*_*.py") if not p.stem.startswith("_"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(ROOT), *sys.path])


def test_every_script_says_its_row():
    names = set()
    for script in SCRIPTS:
        row = importlib.import_module(script).ROW
        assert {"smoke", "cpu"} <= set(row.presets) and "cpu" in row.allowed
        assert script.startswith(f"{row.table}_"), script
        names.add((row.table, row.name))
    assert len(names) == len(SCRIPTS)


def test_the_table_has_the_fixed_form():
    table = importlib.import_module("table")
    for line in table.rows():
        assert tuple(line) == table.COLUMNS
        assert line["status"] in ("met", "short", "measured", "reduced", "not run")
        assert (line["obtained"] is None) == (line["status"] == "not run")


def test_a_file_is_no_place_for_runs_nor_what_is_read_only(tmp_path, capsys, monkeypatch):
    arguments = importlib.import_module("experiments.options").arguments
    (tmp_path / "file").touch()
    parser = arguments("", ["cpu"], out="runs")
    assert parser.parse_args(["--out", str(tmp_path / "new" / "folder")]).out == tmp_path / "new" / "folder"
    for name in ("file", "file/below"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--out", str(tmp_path / name)])
        assert "file is a file" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", str(tmp_path / "new")])
    assert "may not be written to" in capsys.readouterr().err


def test_a_record_takes_up_more_seeds():
    joined = importlib.import_module("experiments.join").joined
    old = json.loads((ROOT / "experiments" / "results" / "neural_operators" / "darcy_fno_cpu.json").read_text())
    count, shape = len(old["seeds"]), old["trained_at"]
    new = old | {"seeds": [7, 8], "validation": [0.3, 0.4], "training_seconds": [1.0, 2.0],
                 "errors": {name: {"mean": 0.2, "std": 0.1, "each": [0.1, 0.3]} for name in old["errors"]}}
    both = joined(old, new)
    assert both["seeds"] == [*old["seeds"], 7, 8] and both["errors"][shape]["each"][count:] == [0.1, 0.3]
    assert abs(both["errors"][shape]["mean"] - (sum(old["errors"][shape]["each"]) + 0.4) / (count + 2)) < 1e-12
    assert f" --seeds {' '.join(map(str, both['seeds']))}" in both["command"] and both["command"].count("--seeds") == 1
    assert joined(both, new | {"seeds": [9, 10]})["command"].count("--seeds") == 1
    moments = {"input_mean": 0.1, "input_std": 1.0, "output_mean": 0.2, "output_std": 0.5}
    elsewhere = {"dataset_sha256": {"train": "another"}, "samples": {"train": moments | {"output_mean": 0.2 + 1e-6}}}
    assert joined(old | {"samples": {"train": moments}}, new | elsewhere)["seeds"] == both["seeds"]
    other = elsewhere | {"seeds": [7, 8], "samples": {"train": moments | {"output_mean": 0.2 + 1e-3}}}
    for wrong in ({}, {"seeds": [7, 8], "preset": "paper"}, other, {"seeds": [7, 8], "dataset_sha256": {"train": "another"}}):
        with pytest.raises(ValueError, match="seeds alone"):
            joined(old | {"samples": {"train": moments}}, old | wrong)


PHYSICS, SPECTRAL = (ROOT / "experiments" / topic for topic in ("physics_informed", "spectral"))
OTHERS = sorted(p for topic in (PHYSICS, SPECTRAL) for p in topic.glob("*_*.py") if not p.stem.startswith("_"))


@pytest.mark.parametrize("topic", [PHYSICS, SPECTRAL], ids=lambda p: p.name)
def test_the_other_tables_have_its_form_too(topic, child_env):
    done = subprocess.run([sys.executable, str(topic / "table.py"), "--json"], env=child_env, capture_output=True, text=True)
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == len([p for p in OTHERS if p.parent == topic])
    assert all(r["status"] in ("met", "short", "measured", "not run") for r in rows)
    assert all((r["obtained"] is None) == (r["status"] == "not run") for r in rows)


@pytest.mark.slow
@pytest.mark.parametrize("script", OTHERS, ids=lambda p: p.stem)
def test_smoke_of_the_others(script, child_env, tmp_path):
    command = [sys.executable, str(script), "--preset", "smoke", "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < json.loads(done.stdout.strip().splitlines()[-1])["error"]["mean"] < 2


@pytest.mark.slow
@pytest.mark.parametrize("script, options", [("darcy/scattered.py", ()), ("mono_curves.py", ("--out",))])
def test_quick_form_of_other_scripts(script, options, child_env, tmp_path):
    command = [sys.executable, str(ROOT / "experiments" / script), "--quick", "--json", *options, *([str(tmp_path)] if options else [])]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    found = result["errors"].values() if "errors" in result else [row["error"] for row in result["rows"]]
    assert all(0 < error < 1.5 for error in found)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["spectral/losses.py", "burgers/few_data.py", "burgers/optimisers.py", "random_grid/poisson.py",
                                    "random_grid/burgers.py", "random_grid/cavity.py"])
def test_smoke_of_studies(script, child_env, tmp_path):
    command = [sys.executable, str(ROOT / "experiments" / script), "--preset", "smoke", "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(0 < row["u" if "u" in row else "error"] < 2 for row in json.loads(done.stdout.strip().splitlines()[-1])["rows"])


@pytest.mark.slow
def test_smoke_of_corrected_optimisation(child_env):
    command = [sys.executable, str(ROOT / "experiments" / "optimisation" / "corrected.py"), "--preset", "smoke", "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.strip().splitlines()[-1])["rows"]
    assert all(row["excess"] < 0.01 for row in rows if row["method"] == "surrogate corrected") and len(rows) == 6


@pytest.mark.slow
@pytest.mark.parametrize("script, more", [("inverse.py", ("burgers-fno", "heat-fno")), ("trust.py", ()),
                                          ("permeability.py", ("--posterior",))])
def test_smoke_of_surrogates_in_use(script, more, child_env):
    """With what the package brings."""
    command = [sys.executable, str(ROOT / "experiments" / "optimisation" / script), *more, "--preset", "smoke", "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    for row in result.get("rows", []):
        assert "corrected" not in row["method"] or "posterior" in row["method"] or row["excess"] < 0.01
    for part in result.get("surrogates", []):
        assert part["rows"][0]["guarded_kept"] > 0.9


@pytest.mark.slow
def test_smoke_of_control(child_env):
    """Where the surrogate was trained the corrected search ends at the solver's minimum; refinement is only seen to run."""
    command = [sys.executable, str(ROOT / "experiments" / "optimisation" / "control.py"), "--preset", "smoke", "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.strip().splitlines()[-1])["rows"]
    assert [r["excess"] < 0.01 for r in rows if r["method"] == "surrogate corrected" and not r["shift"]] == [True]
    assert any(r["surrogate"].endswith("refined") for r in rows)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("endurance.py", "--only", "together"), ("endurance.py", "--only", "damaged"), ("mutants.py",)])
def test_smoke_of_endurance(options, child_env, tmp_path):
    script = str(ROOT / "experiments" / "endurance" / options[0])
    out = ["--out", str(tmp_path)] if options[0] == "endurance.py" else []
    done = subprocess.run([sys.executable, script, *options[1:], *out, "--preset", "smoke", "--json"], env=child_env, capture_output=True,
                          text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.strip().splitlines()[-1])["rows"]


@pytest.mark.slow
def test_the_official_network_made_again_answers_as_ours(child_env):
    command = [sys.executable, str(ROOT / "experiments" / "benchmarks" / "nsm_step.py"), "--quick", "--json", "--only", "reaction"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [row["ours_error"] < 1e-5 for row in json.loads(done.stdout.strip().splitlines()[-1])["rows"]] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_smoke(script, child_env, tmp_path):
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--preset", "smoke", "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["preset"] == "smoke" and all(e["mean"] < 1.5 for e in result["errors"].values())
