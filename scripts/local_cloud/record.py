"""The record of a running local cloud: a file that its process keeps locked and that names the process and its port.

The lock answers the question that a bare pid file cannot: whether the process still lives, or another one has its id.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_READERS_SECONDS = 1.0


@dataclass(frozen=True)
class Running:
    """A process that serves a local cloud."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://127.0.0.1:{self.port}"


class AlreadyRunningError(RuntimeError):
    """Another process holds the record."""


@dataclass(frozen=True)
class Record:
    """A record file; it may not exist yet."""

    path: Path

    @contextmanager
    def hold(self, port: int) -> Iterator[None]:
        """Write this process's id and port and keep the lock for the block. Raises `AlreadyRunningError`."""
        with self.path.open("a+") as file:
            if not _locked(file.fileno(), time.monotonic() + _READERS_SECONDS):
                raise AlreadyRunningError(f"another process holds {self.path}")
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "port": port}))
            file.flush()
            yield

    def read(self) -> Running | None:
        """The process that holds the record, or None."""
        if not self.path.exists():
            return None
        with self.path.open() as file:
            if _try(file.fileno(), fcntl.LOCK_SH):
                return None
            text = file.read()
        return Running(**json.loads(text)) if text else None


def _locked(descriptor: int, end: float) -> bool:
    """Take the lock, waiting for readers, who hold it for an instant."""
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
