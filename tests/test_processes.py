"""Two processes of two devices each train as one of four does."""

import dataclasses
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_train import CONFIG, run, weights

from pdesurr.checks import UsageError
from pdesurr.train.processes import any_of, join, leads

WORKER = Path(__file__).with_name("processes_worker.py")


EPOCHS = 60


def start(folder: Path, epochs: int = EPOCHS, *data: str, checkpoints: str = "safetensors",
          seconds: float = 0.0) -> list[subprocess.Popen]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    environment = os.environ | {"XLA_FLAGS": "", "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    settings = (str(folder), str(epochs), checkpoints, str(seconds), *data)
    return [subprocess.Popen([sys.executable, str(WORKER), address, "2", str(i), *settings], env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in (0, 1)]


def test_two_processes_train_as_one_stop_together_and_resume(tmp_path):
    both, log = start(tmp_path), tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (log.is_file() and log.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline and all(p.poll() is None for p in both), [p.communicate() for p in both if p.poll() is not None]
        time.sleep(0.02)
    both[1].terminate()  # the one that does not write
    said = [p.communicate(timeout=100)[1] for p in both]
    assert all("stopped by SIGTERM; continue with the same command" in text for text in said), said
    both = start(tmp_path)
    said = [p.communicate(timeout=200) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert all(3 <= int(out.split()[-1]) < EPOCHS for out, _ in said)
    alone = weights(run(dataclasses.replace(CONFIG, epochs=EPOCHS), devices=4))
    for i in (0, 1):
        found = np.load(tmp_path / f"{i}.npz")
        for name, wanted in zip(found.files, alone, strict=True):
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_processes_write_their_shards_at_the_same_steps(tmp_path):
    """Each has a clock of its own, but a checkpoint is one that both write."""
    both = start(tmp_path, checkpoints="orbax", seconds=0.03)
    said = [p.communicate(timeout=250) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert (sorted((tmp_path / "run" / "checkpoints").iterdir())[-1] / "state").is_dir()
    alone = weights(run(dataclasses.replace(CONFIG, epochs=EPOCHS), devices=4))
    for i in (0, 1):
        found = np.load(tmp_path / f"{i}.npz")
        for name, wanted in zip(found.files, alone, strict=True):
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-5)


def test_one_process_is_its_own_lead():
    assert leads() and any_of(True) and not any_of(False)
    with pytest.raises(UsageError, match="before anything else of jax"):
        join("127.0.0.1:1", 2, 0)


@pytest.mark.parametrize(("given", "words"), [(("127.0.0.1", 2, 0), "host:port"), (("127.0.0.1:1", 2, 2), "from 0 to 1"),
                                              (("127.0.0.1:1", 0, 0), "processes"), (("127.0.0.1:1",), "or none of them"),
                                              (("127.0.0.1:1", 2, 0, 0), "patience")])
def test_what_is_no_address_is_refused(given, words):
    with pytest.raises(UsageError, match=words):
        join(*given)
