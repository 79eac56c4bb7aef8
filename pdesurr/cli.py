"""The command line: options are the fields of the dataclasses in `commands.py`; jax is imported only when a command needs it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
import warnings

import tyro

from pdesurr.allocator import tune_allocator
from pdesurr.checks import PdesurrError
from pdesurr.commands import Command

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclasses.dataclass(frozen=True)
class Options:
    """Surrogates for partial differential equations: generate data, train, evaluate, predict.

    Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 a file or a run failed, 2 wrong
    usage, 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1.
    """

    command: Command
    json: bool = False
    """Print the result as one JSON object."""
    debug: bool = False
    """Show tracebacks."""
    version: bool = False
    """Print the version and stop."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags = {name: f"--{name}" in arguments for name in ("json", "debug")}  # allowed before and after the command's own options
    arguments = [a for a in arguments if a not in ("--json", "--debug")]
    if arguments == ["--version"]:
        from pdesurr import __version__

        print(__version__)
        return 0
    try:
        style = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
        command = tyro.cli(Options, prog="pdesurr", args=arguments, config=style).command
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    warnings.showwarning = lambda message, *_, **__: print(f"pdesurr: warning: {message}", file=sys.stderr)

    def say(line: str, result: bool = False) -> None:
        if not (result and flags["json"]):
            print(line, file=sys.stdout if result else sys.stderr, flush=True)

    try:
        tune_allocator()  # what the command line does for its process, and the library never does by itself
        value = command(say)
    except PdesurrError as error:
        if flags["json"] and error.result is not None:
            print(json.dumps(error.result, default=str))
        return _fail(error, error.exit_code, flags["debug"])
    except KeyboardInterrupt:
        return _fail("interrupted before anything was left half done; the same command starts again", 130, flags["debug"])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        fix = "free disk space" if error.errno in FULL else "choose a place that exists and may be written to"
        return _fail(error if flags["debug"] else f"{what}; {fix}", 1, flags["debug"])
    except Exception as error:  # never a traceback for a user: one line, and how to see more
        return _fail(error if flags["debug"] else f"{type(error).__name__}: {error} (unexpected: --debug shows where)", 1, flags["debug"])
    if flags["json"]:
        try:
            print(json.dumps(value, default=str), flush=True)
        except BrokenPipeError:  # whoever read it has had enough; nothing is to be flushed at the end either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _fail(error: object, code: int, debug: bool) -> int:
    if debug and isinstance(error, BaseException):
        raise error
    print(f"pdesurr: error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
