"""A server that is a process of its own: started within a bound, with its log in the error, and ended by its id."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_LOG_LINES = 15


class ServerError(RuntimeError):
    """A server that is not installed or did not start; the message is for a person."""


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, answers: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that answers, until the end of the block. Its output goes to ``server.log`` in the directory.

    Raises: ServerError with the end of the log when it ends or is silent for ten seconds.
    """
    log = directory / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, answers, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; one that has ended already is left."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_SECONDS)


def _await(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not answers():
        if process.poll() is not None:
            raise ServerError(f"{process.args!r} ended at once:\n{_end(log)}")
        if time.monotonic() > end:
            raise ServerError(f"{process.args!r} did not answer within {_START_SECONDS:.0f} seconds:\n{_end(log)}")
        time.sleep(0.02)


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
