"""The job script, with SLURM's two commands played by others."""

import os
import signal
import subprocess
import time

import pytest
from conftest import ROOT

SCRIPT = ROOT / "experiments" / "slurm.sh"
RUN = """import signal, sys, time
def stop(number, _):
    print("saved", flush=True)
    sys.exit(128 + number)
for s in (signal.SIGUSR1, signal.SIGTERM): signal.signal(s, stop)
print("runs", flush=True)
time.sleep(30)
"""


@pytest.fixture
def job(tmp_path):
    """Starts the script with a command; `srun` becomes that command, `scontrol` leaves a note."""
    commands = {"srun": '#!/bin/bash\nshift\nexec "$@"\n', "scontrol": f'#!/bin/bash\necho "$@" > {tmp_path}/asked\n'}
    for name, text in commands.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}

    def start(*command):
        return subprocess.Popen([str(SCRIPT), *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    yield start, tmp_path / "asked"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGUSR1, 138), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_queued_again(job, signum, code):
    start, asked = job
    process = start("python", "-c", RUN)
    assert process.stdout.readline() == "runs\n"
    time.sleep(0.1)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=20)
    assert out == "saved\n" and process.returncode == code
    assert asked.read_text() == "requeue 17\n"


@pytest.mark.parametrize(("command", "code"), [(("true",), 0), (("false",), 1), ((), 2)])
def test_a_run_that_ended_is_not(job, command, code):
    start, asked = job
    process = start(*command)
    process.communicate(timeout=20)
    assert process.returncode == code and not asked.exists()
