"""The README is true: its example runs, its commands exist, its numbers are those of the result files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUICK
from foreign_files import pdebench_tensor

from pdesurr.cli import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
TINY = {r"--samples \d+": "--samples 32", r"--resolution \d+": "--resolution 64", r"--epochs \d+": "--epochs 1",
        r"--stride( \d+)+": "--stride 1", r"--preset smoke": "--preset smoke --epochs 1"}


def test_python_example_runs_and_ends_in_a_gradient(child_env):
    code = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(code) == 1 and len(code[0].strip().splitlines()) <= 14
    env = child_env | {"XLA_FLAGS": QUICK}  # it compiles more than it computes
    done = subprocess.run([sys.executable, "-c", code[0]], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "(4, 64, 1)", done.stderr


def commands():
    """Every line of the command-line section that starts with pdesurr."""
    section = TEXT.split("## On the command line")[1].split("## How to read")[0]
    return [line.split("#")[0].split()[1:] for line in section.splitlines() if line.strip().startswith("pdesurr ")]


def shrink(arguments):
    """The same command at a tiny size."""
    text = " ".join(arguments)
    for pattern, small in TINY.items():
        text = re.sub(pattern, small, text)
    return text.split()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pdesurr.surrogates.RangeWarning")
def test_commands_run(tmp_path, monkeypatch, shared_data, one_device):
    import numpy as np

    monkeypatch.chdir(tmp_path)
    for arguments in commands():
        arguments = shrink(arguments)
        if arguments[:2] == ["import", "1D_Burgers_Sols_Nu0.01.hdf5"]:
            pdebench_tensor(tmp_path / arguments[1])
        elif arguments[0] == "import":
            arguments[1] = str(shared_data / "darcy_neuraloperator.h5")
            arguments += ["--limit", "40", "--domain", "0", "1"]
        if arguments[0] == "train":
            small = {"--width": "8", "--depth": "2", "--batch-size": "4", "--epochs": "1"}
            small |= {} if "--model" in arguments else {"--modes": "5"}
            arguments += [word for name, value in small.items() if name not in arguments for word in (name, value)]
        if arguments[0] == "predict":
            np.savez("inputs.npz", input=np.ones((2, 64), np.float32))
        assert main(arguments) == 0, arguments


def test_numbers_are_those_of_the_result_files():
    done = subprocess.run([sys.executable, str(ROOT / "experiments" / "render.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["run", "test"])
def test_make_targets_exist(name):
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.M) and f"make {name}" in TEXT
