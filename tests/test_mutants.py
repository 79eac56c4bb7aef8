"""Mutants of data files, bundles, run settings and checkpoints: refused by one line, or read as what was written."""

import importlib
import sys

import pytest
from conftest import ROOT


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "experiments" / "endurance"), *sys.path])


KINDS = ("data", "bundle", "config", "checkpoint")


def examine(kind, folder, seeds):
    made = importlib.import_module("_kinds").KINDS[kind](folder)
    outcomes = {seed: made.examine(seed) for seed in seeds}
    wrong = {seed: found for seed, found in outcomes.items() if found[0].startswith("WRONG")}
    assert not wrong, wrong
    assert sum(outcome == "refused" for outcome, _ in outcomes.values()) >= len(seeds) // 10


@pytest.mark.parametrize("first", (0, 100, 200))
@pytest.mark.parametrize("kind", KINDS)
def test_no_mutant_of_three_hundred_is_wrongly_read(kind, first, tmp_path):
    examine(kind, tmp_path, range(first, first + 100))


@pytest.mark.slow
def test_a_reader_that_crashes_or_hangs_is_told_by_the_seed(tmp_path, monkeypatch):
    mutants = importlib.import_module("mutants")
    script = tmp_path / "reader.py"
    script.write_text("import json, sys, time, os\nprint(json.dumps('ready'), flush=True)\n"
                      "for seed in range(int(sys.argv[3]), int(sys.argv[3]) + int(sys.argv[4])):\n"
                      "    if seed == 6: os.abort()\n    if seed == 8: time.sleep(60)\n"
                      "    print(json.dumps([seed, 'refused', 'x']), flush=True)\n")
    monkeypatch.setattr(mutants, "__file__", str(script))
    monkeypatch.setattr(mutants, "LIMIT", 15.0)
    found = mutants.examined("data", 5, 5)
    assert [seed for seed, _, _ in found] == [5, 6, 7, 8, 9]
    assert "crashed" in found[1][1] and "hung" in found[3][1] and [found[i][1] for i in (0, 2, 4)] == ["refused"] * 3
