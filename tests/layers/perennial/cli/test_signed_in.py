"""Who has signed in is kept in a file of theirs alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from perennial.cli import signed_in
from perennial.cli.signed_in import SignedIn
from perennial.errors import InvalidConfiguration
from perennial.sign_in import SignIn

WHERE = SignIn(issuer="https://l.example", client="c", authorization="https://l.example/a", token="https://l.example/t")
ADA = SignedIn(
    api="https://a.execute-api.eu-west-1.amazonaws.com/v1",
    through="https://a.execute-api.eu-west-1.amazonaws.com/v1",
    sign_in=WHERE,
    subject="ada",
    name="ada@example.com",
    expires=datetime(2026, 11, 28, 12, tzinfo=UTC),
    token="header.payload.signature",
    refresh="refresh",
)


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def test_what_is_kept_is_read(environ: Mapping[str, str]) -> None:
    """All of it; a later one takes its place; forgotten, nobody has signed in."""
    assert signed_in.read(environ) is None
    signed_in.keep(ADA, environ)
    assert signed_in.read(environ) == ADA
    signed_in.keep(replace(ADA, subject="grace", refresh=""), environ)
    assert signed_in.read(environ) == replace(ADA, subject="grace", refresh="")
    assert signed_in.forget(environ)
    assert not signed_in.forget(environ)
    assert signed_in.read(environ) is None


def test_nobody_else_can_read_it(environ: Mapping[str, str]) -> None:
    """0600 in a directory of 0700, whatever the umask; and nothing else is left there."""
    before = os.umask(0)
    try:
        file = signed_in.keep(ADA, environ)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == ["sign-in.json"]


def test_a_directory_that_was_open_is_closed(environ: Mapping[str, str]) -> None:
    """It may be there already."""
    directory = signed_in.path(environ).parent
    directory.mkdir(parents=True, mode=0o755)
    signed_in.keep(ADA, environ)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_link_in_its_place_is_replaced(environ: Mapping[str, str], tmp_path: Path) -> None:
    """Tokens are not written where somebody else's link leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    file = signed_in.path(environ)
    file.parent.mkdir(parents=True)
    file.symlink_to(elsewhere)
    signed_in.keep(ADA, environ)
    assert elsewhere.read_text() == "mine" and not file.is_symlink()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o620])
def test_a_file_that_others_could_read_is_not_used(environ: Mapping[str, str], mode: int) -> None:
    """What to do is said."""
    signed_in.keep(ADA, environ).chmod(mode)
    with pytest.raises(InvalidConfiguration, match="run perennial sign-out, and sign in again"):
        signed_in.read(environ)


def test_a_write_that_fails_leaves_what_was_there(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """And no part of the new one."""
    file = signed_in.keep(ADA, environ)

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        signed_in.keep(replace(ADA, subject="grace"), environ)
    assert signed_in.read(environ) == ADA
    assert list(file.parent.iterdir()) == [file]


DAMAGED: dict[str, Any] = {
    "nothing": "",
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": "[]",
    "another version": {"version": 2},
    "no token": {"token": ...},
    "a token that is none": {"token": "a\nb"},
    "a token of another type": {"token": 1},
    "a long token": {"token": "x" * 20_000},
    "no time": {"expires": "soon"},
    "a name that turns the line": {"name": "a\nb"},
    "no place to sign in": {"sign_in": None},
    "a place without TLS": {"sign_in": {**WHERE.document(), "token": "http://evil.example/t"}},
}


@pytest.mark.parametrize("damage", list(DAMAGED.values()), ids=list(DAMAGED))
def test_a_damaged_file(environ: Mapping[str, str], damage: Any) -> None:
    """Nothing of it is used or quoted, also in the chain of the error; what to do is said."""
    file = signed_in.keep(ADA, environ)
    if isinstance(damage, str):
        file.write_text(damage)
    else:
        kept = {**json.loads(file.read_text()), **damage}
        file.write_text(json.dumps({name: value for name, value in kept.items() if value is not ...}))
    with pytest.raises(InvalidConfiguration, match="is damaged: run perennial sign-in") as raised:
        signed_in.read(environ)
    assert raised.value.__context__ is None


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Below XDG_STATE_HOME, else below ~/.local/state; a relative path does not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".local/state/perennial/sign-in.json"
    assert (
        signed_in.path({}) == signed_in.path({"XDG_STATE_HOME": ""}) == signed_in.path({"XDG_STATE_HOME": "x"}) == usual
    )
    assert signed_in.path({"XDG_STATE_HOME": "/s"}) == Path("/s/perennial/sign-in.json")


def test_it_does_not_show_its_tokens() -> None:
    """Not in a log, not in a traceback."""
    assert ADA.token not in repr(ADA) and "refresh='" not in repr(ADA)
