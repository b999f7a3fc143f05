"""What the clients of the issuance bench are measured against: one Pebble, and a name server that it asks.

Pebble is strict, rejects no nonce, validates without sleeping and asks for no pause.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from acme_servers.pebble import Pebble, pebble
from benches.child import PATHS
from benches.issuance_client import Place

SETTLING_SECONDS = 20.0
SILENT = 3  # exit code of a process to which the CA does not answer


class SilentError(RuntimeError):
    """The CA does not answer any more. Pebble can lock itself up when many orders are looked at while they change."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running Pebble, and the place from which clients reach it."""

    server: Pebble
    place: Place
    directory: Path
    hook: str  # URL of what shows records for lego

    def counted(self, what: Callable[[], object]) -> int:
        """The requests that Pebble has meanwhile, by its own log."""
        before = len(self.server.requests())
        what()
        return len(self.server.requests()) - before

    def settled(self) -> None:
        """Wait until Pebble has done all that it was asked for."""
        end = time.monotonic() + SETTLING_SECONDS
        while time.monotonic() < end:
            if not self.server.busy():
                return
            time.sleep(0.01)
        raise SystemExit(f"bench: Pebble does not end what it was asked for; its log is {self.server.log}")


@contextmanager
def lab() -> Iterator[Lab]:
    """A Pebble and its name server, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as made:
        directory = Path(made)
        records = directory / "records"
        records.mkdir()
        with (
            _names(records) as ports,
            pebble(directory / "pebble", dns=f"127.0.0.1:{ports['dns']}", retry_after=0) as server,
        ):
            roots = directory / "ca.pem"
            roots.write_text(server.directory_roots)
            place = Place(url=server.directory, roots=str(roots), records=str(records), secrets=str(directory))
            yield Lab(server=server, place=place, directory=directory, hook=f"http://127.0.0.1:{ports['hook']}")


@contextmanager
def _names(records: Path) -> Iterator[Mapping[str, int]]:
    """The ports of the name server."""
    with process("benches.issuance_names", str(records)) as running:
        yield json.loads(running.answer())


@dataclass(frozen=True)
class Running:
    """A process of the bench that is talked to in lines."""

    popen: subprocess.Popen[str]

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def answer(self) -> str:
        """The next line. Ends the bench where there is none.

        Raises: SilentError.
        """
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if line:
            return line
        if self.popen.wait() == SILENT:
            raise SilentError
        raise SystemExit(f"bench: {self.popen.args!r} ended with {self.popen.returncode}")


@contextmanager
def process(module: str, *arguments: str) -> Iterator[Running]:
    """A module of this repository as a process, which ends when its input does: at the end of the block."""
    popen = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(popen)
    finally:
        assert popen.stdin is not None
        popen.stdin.close()
        try:
            popen.wait(10)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
