"""Runs programs as children and tells what each used."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(str(ROOT / each) for each in ("layers/perennial/python", "tests", "scripts"))
_UNWANTED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@dataclass(frozen=True)
class Ran:
    """How a child ended, what it printed, and the CPU of it and of all that it waited for."""

    code: int
    output: str
    errors: str
    cpu_seconds: float

    def fine(self, *codes: int) -> Ran:
        """Itself, when it ended with one of the codes (0). Ends the bench with what it said otherwise."""
        if self.code not in (codes or (0,)):
            raise SystemExit(f"bench: a child ended with {self.code}:\n{self.errors[-2_000:]}")
        return self


def module(name: str, *arguments: str, environment: Mapping[str, str]) -> Ran:
    """Run a module of this repository with the Python of the bench."""
    return program([sys.executable, "-m", name, *arguments], environment={**environment, "PYTHONPATH": PATHS})


def program(command: Sequence[str], *, environment: Mapping[str, str]) -> Ran:
    """Run a program to its end, under this process's environment and what is given."""
    inherited = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            list(command),
            env={**inherited, "AWS_EC2_METADATA_DISABLED": "true", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        told, said = output.read().decode(errors="replace"), errors.read().decode(errors="replace")
    return Ran(process.returncode, told, said, used.ru_utime + used.ru_stime)
