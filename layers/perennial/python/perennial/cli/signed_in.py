"""Who has signed in at the command, kept in a file of theirs alone: `perennial/sign-in.json` below XDG_STATE_HOME.

One person at one deployment at a time, as the tokens of one are never sent to another one: the file names the API that
they are for, and what leads there. It is written as a whole, or not at all, and read by nobody else (0600).

Source: XDG Base Directory Specification ($XDG_STATE_HOME, ~/.local/state).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perennial import sign_in
from perennial.errors import InvalidConfiguration
from perennial.sign_in import SignIn

VERSION = 1
MAX_FILE = 128 * 1024  # bytes
_TOKEN = re.compile(r"[!-~]{0,16384}")
_TEXT = re.compile(r"[ -~\u00a0-\U0010ffff]{0,1000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person at a deployment. `token` is for its API until `expires`, `refresh` is "" where the issuer gave none."""

    api: str  # its address, the stage included
    through: str  # what is connected to for it
    sign_in: SignIn
    subject: str
    name: str  # for people
    expires: datetime
    token: str = field(repr=False)
    refresh: str = field(default="", repr=False)


def path(environ: Mapping[str, str]) -> Path:
    """Where it is kept. A relative XDG_STATE_HOME is ignored, as its specification wants it."""
    named = environ.get("XDG_STATE_HOME", "")
    state = Path(named) if named.startswith("/") else Path("~/.local/state").expanduser()
    return state / "perennial" / "sign-in.json"


def keep(found: SignedIn, environ: Mapping[str, str]) -> Path:
    """Keep it, in the place of what was kept before; returns where.

    Raises: OSError.
    """
    file = path(environ)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    document = {**asdict(found), "version": VERSION, "expires": found.expires.isoformat()}
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        _write(part, json.dumps(document | {"sign_in": found.sign_in.document()}, indent=1).encode())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def forget(environ: Mapping[str, str]) -> bool:
    """Delete it; False where there was none.

    Raises: OSError.
    """
    try:
        path(environ).unlink()
    except FileNotFoundError:
        return False
    return True


def read(environ: Mapping[str, str]) -> SignedIn | None:
    """Who has signed in; None for nobody.

    Raises: InvalidConfiguration where others could have read or written the file, or it is damaged; OSError.
    """
    file = path(environ)
    try:
        content = _content(file)
    except FileNotFoundError:
        return None
    found = None
    with suppress(ValueError, RecursionError, InvalidConfiguration, KeyError, TypeError):
        found = _signed_in(json.loads(content))
    if found is None:  # outside the handler: an error's chain would quote the file
        raise InvalidConfiguration(f"{file} is damaged: run perennial sign-in, or perennial sign-out")
    return found


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        status = os.fstat(opened.fileno())
        if os.name == "posix" and (status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077):
            raise InvalidConfiguration(
                f"{file} is not yours alone, so that others may have read it: run perennial sign-out, and sign in again"
            )
        return opened.read(MAX_FILE)


def _signed_in(document: Any) -> SignedIn | None:
    """Raises: KeyError, TypeError, ValueError, InvalidConfiguration."""
    if document["version"] != VERSION:
        return None
    texts = {name: document[name] for name in ("api", "through", "subject", "name")}
    tokens = {name: document[name] for name in ("token", "refresh")}
    if not all(map(_TEXT.fullmatch, texts.values())) or not all(map(_TOKEN.fullmatch, tokens.values())):
        return None
    expires = datetime.fromisoformat(document["expires"]).astimezone(UTC)
    return SignedIn(**texts, **tokens, sign_in=sign_in.read(document["sign_in"]), expires=expires)
