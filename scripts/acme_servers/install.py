"""What ``scripts/setup`` installs of other people's ACME servers and clients, each only when asked for, and once.

Only the standard library, because this runs before there is an environment. Pebble is built from its Go module where Go
is present, because Debian's is older and knows neither profiles nor renewal information; Go's checksum database vouches
for the pinned version. acme2certifier is under the GPL and wants versions of its own: it gets its own environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
LOCAL = REPOSITORY / ".local"
PROGRAMS = LOCAL / "bin"
ENVIRONMENT = LOCAL / "acme2certifier"
LOCKED = REPOSITORY / "requirements" / "acme2certifier.txt"

PEBBLE_MODULE = "github.com/letsencrypt/pebble/v2/cmd/pebble"
PEBBLE_VERSION = "v2.10.1"

_BUILD_SECONDS = 300
_APT_SECONDS = 600


class NotInstalledError(RuntimeError):
    """Something is not there and could not be installed; the message is for a person."""


def program(name: str) -> Path | None:
    """Where a program is: in .local/bin, else on PATH."""
    own = PROGRAMS / name
    found = shutil.which(name)
    return own if own.exists() else Path(found) if found else None


def acme2certifier_python() -> Path | None:
    """The interpreter of acme2certifier's environment, when that is complete."""
    python = ENVIRONMENT / "bin" / "python"
    return python if python.exists() and _mark().exists() else None


def install_pebble() -> str:
    """Make `program("pebble")` be there; returns what it is. Raises: NotInstalledError."""
    built = PROGRAMS / "pebble.version"
    if built.exists() and built.read_text() == PEBBLE_VERSION and (PROGRAMS / "pebble").exists():
        return f"Pebble {PEBBLE_VERSION} is in {_shown(PROGRAMS)}"
    if shutil.which("go") and _built_pebble():
        built.write_text(PEBBLE_VERSION)
        return f"Pebble {PEBBLE_VERSION}: built from its Go module into {_shown(PROGRAMS)}"
    if not program("pebble"):
        _apt_install("pebble", otherwise=f"Install Go and run this again, or put a pebble {PEBBLE_VERSION} on PATH.")
    return f"Pebble is {program('pebble')} (without Go, so maybe without profiles and renewal information)"


def install_acme2certifier(python: str) -> str:
    """Make acme2certifier's environment, with this interpreter, as it is locked; returns what was done.

    Raises: NotInstalledError.
    """
    wanted = hashlib.sha256(LOCKED.read_bytes()).hexdigest()
    if acme2certifier_python() and _mark().read_text() == wanted:
        return f"acme2certifier is in {_shown(ENVIRONMENT)}"
    _run((python, "-m", "venv", "--clear", str(ENVIRONMENT)))
    pip = (str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    _run((*pip, "--require-hashes", "--no-deps", "-r", str(LOCKED)))
    _mark().write_text(wanted)
    return f"acme2certifier: installed into {_shown(ENVIRONMENT)}"


def install_clients() -> str:
    """Make lego and certbot be there, the clients that the bench compares with. Raises: NotInstalledError."""
    for name in ("lego", "certbot"):
        if not program(name):
            _apt_install(name, otherwise=f"Put {name} on PATH to compare with it.")
    return f"clients to compare with: {program('lego')}, {program('certbot')}"


def _built_pebble() -> bool:
    """Whether Go could build it; a Go that is too old, or cannot reach the module, cannot."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(PROGRAMS)}
    command = ("go", "install", f"{PEBBLE_MODULE}@{PEBBLE_VERSION}")
    print("perennial: building Pebble from its Go module (about 20 seconds) …", file=sys.stderr, flush=True)
    try:
        _run(command, environment, seconds=_BUILD_SECONDS)
    except NotInstalledError as error:
        print(f"perennial: {error}", file=sys.stderr)
        return False
    return True


def _apt_install(package: str, *, otherwise: str) -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise NotInstalledError(
            f"{package} is not installed, and this is no Debian system with root rights. {otherwise}"
        )
    install = ("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", package)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        _run(install, quiet, seconds=_APT_SECONDS)
    except NotInstalledError:  # the lists of packages may be missing or old
        _run(("apt-get", "update", "--quiet=2"), quiet, seconds=_APT_SECONDS)
        _run(install, quiet, seconds=_APT_SECONDS)


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None, *, seconds: float = 600) -> None:
    """Run a step quietly. Raises: NotInstalledError with the end of what it printed."""
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True, timeout=seconds
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NotInstalledError(f"{' '.join(command)} did not end well: {error}") from error
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise NotInstalledError(f"{' '.join(command)} failed:\n{end}")


def _mark() -> Path:
    return ENVIRONMENT / "perennial-setup"


def _shown(path: Path) -> str:
    return os.path.relpath(path, REPOSITORY)
