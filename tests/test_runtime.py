"""What a job says and does when it is asked to stop, and how an error shows what came."""

import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from pdesurr import _runtime
from pdesurr.checks import expected
from pdesurr.fields import FourierBasis

# One compiled program of minutes: Python's own handlers would wait for its end.
LONG = """
import jax
from pdesurr._runtime import stop_signals
with stop_signals() as asked:
    print("ready", flush=True)
    jax.block_until_ready(jax.jit(lambda x: jax.lax.fori_loop(0, 2**31 - 2, lambda i, v: v * 1.0000001, x))(1.0))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_compiled_program(child_env, number):
    child = subprocess.Popen([sys.executable, "-c", LONG], env=child_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout and child.stderr and child.stdout.readline() == "ready\n"
    time.sleep(1)
    child.send_signal(number)
    assert "once more to stop at once" in child.stderr.readline()
    assert child.poll() is None
    child.send_signal(number)
    assert child.wait(10) == 128 + number
    child.stdout.close()
    child.stderr.close()


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_runtime.time, "monotonic", lambda: clock[0])
    with _runtime.progress("solving", 10) as advance:
        for done in range(1, 4):
            clock[0] += 20
            advance(done, "")
    assert capsys.readouterr().err == "solving: 2 of 10\n"


@pytest.mark.parametrize("value, shown", [("abc", "'abc'"), ("NaN or infinity", "NaN or infinity"), ((3, 4), "(3, 4)"), (None, "None"),
                                          (jnp.zeros((2, 50)), "an array of shape (2, 50), float32"),
                                          (FourierBasis(5), "FourierBasis(n=5) (FourierBasis)"),
                                          ([1000] * 1000, "[" + "1000, " * 49 + "1000, ..."), (np.float32(2), "np.float32(2.0) (float32)")])
def test_what_came_is_shown_on_one_line(value, shown):
    assert str(expected("n", "a number", value)) == f"n: expected a number, received {shown}"
