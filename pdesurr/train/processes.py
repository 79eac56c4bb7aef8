"""Several processes that train as one: how they find each other, who writes, what all must agree on, arrays that span them."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding
from jaxtyping import Array

from pdesurr._runtime import Stopped
from pdesurr._xla import backend_started
from pdesurr.checks import DivergedError, PdesurrError, expected, is_whole, require


def join(address: str | None = None, processes: int | None = None, process: int | None = None, patience: int = 30) -> None:
    """Make this process number `process` of `processes`, which then see one another's devices: `fit` runs over all of them.

    Call it first, in every process, with `address` ("host:port") that of process 0. Without arguments SLURM, Open MPI, Kubernetes and TPU
    pods are recognised (`jax.distributed.initialize`). On CPU, collectives go by gloo. Every process must see the same data and the same
    run folder; process 0 writes. After a stop or a failure start all of them again: `fit` resumes. Where one dies the others end within
    seconds; where one no longer answers (its machine is gone), within some `patience` seconds: not with success, and often by jax's abort.
    Raises `UsageError` once jax has started.
    """
    given = [v is not None for v in (address, processes, process)]
    require(all(given) or not any(given), "join", "address, processes and process together, or none of them", (address, processes, process))
    if address is not None:
        host, _, port = str(address).rpartition(":")
        require(bool(host) and port.isdigit(), "address", "'host:port' of process 0", address)
        require(is_whole(processes) and processes >= 1, "processes", "a whole number >= 1", processes)  # pyright: ignore
        require(is_whole(process) and 0 <= process < processes, "process", f"from 0 to {processes - 1}", process)  # pyright: ignore
    require(is_whole(patience) and patience >= 1, "patience", "whole seconds >= 1", patience)
    if backend_started():
        raise expected("join", "a call before anything else of jax", "jax has started", "call it at the top of the program")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, processes, process, heartbeat_timeout_seconds=patience)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Around what all processes do: one that fails alone, or sees that another did, then ends without waiting for the others, as jax would.

    Raises `PdesurrError` where another process is gone.
    """
    try:
        yield
    except (Stopped, DivergedError):  # all of them alike
        raise
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        atexit.register(_leave)  # before jax's own, which was registered earlier
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            what = " ".join(str(error).split())[:160]
            raise PdesurrError(f"another of the {jax.process_count()} processes has ended or no longer answers ({what}); start all of them "
                               "again: the run resumes") from error
        raise


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def leads() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def any_of(flag: bool) -> bool:
    """Whether it holds in any process: all of them must call it."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental.multihost_utils import process_allgather

    return bool(np.any(process_allgather(np.asarray(flag))))


def together(what: str) -> None:
    """Wait until every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import sync_global_devices

        sync_global_devices(what)


def spread(x: Any, sharding: Sharding) -> Any:
    """Arrays that every process holds whole, as ones of all processes' devices; those that are stay what they are."""

    def one(v: Array | np.ndarray) -> Array:
        if isinstance(v, jax.Array) and not v.is_fully_addressable:
            return v
        if jnp.issubdtype(v.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(v)))
        whole = np.asarray(v)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(one, x)


def placed(x: Any, shardings: Any) -> Any:
    """Arrays that every process holds whole, each as its own sharding says."""
    put = spread if jax.process_count() > 1 else jax.device_put
    return jax.tree.map(put, x, shardings)


def own(x: Any) -> Any:
    """What is the same on every device, as arrays of this process alone."""
    return jax.tree.map(lambda v: v.addressable_data(0), x) if jax.process_count() > 1 else x
