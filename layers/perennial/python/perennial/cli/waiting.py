"""Waiting for what goes on elsewhere: a line on stderr for each change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from perennial.cli import change_request
from perennial.cli.plain import plain
from perennial.roles import Action

if TYPE_CHECKING:
    from perennial.cli.api_client import Api

PAUSE, LONG_PAUSE = 2.0, 10.0  # seconds between two looks, in the first minute and later: people take their time
SOON = 30  # looks with the short pause
Document = Mapping[str, Any]


class Told:
    """Says each state once."""

    def __init__(self) -> None:
        self._last = ""
        self._looks = 0

    def say(self, line: str) -> None:
        if line != self._last:
            self._last = line
            click.echo(plain(line), err=True)

    def pause(self) -> None:
        self._looks += 1
        time.sleep(PAUSE if self._looks <= SOON else LONG_PAUSE)


def decided(api: Api, request: Document) -> Document:
    """The request when it has ended. Interrupted, it goes on without us.

    Raises: PerennialError.
    """
    told, named = Told(), change_request.identified(request)
    while change_request.text(request, "state") in ("waiting", "approved"):
        told.say(_state(request))
        told.pause()
        request = api.get("requests", named, action=Action.READ_REQUESTS).document
    told.say(_state(request))
    return request


def _state(request: Document) -> str:
    state = change_request.text(request, "state")
    waits = f" for {change_request.needs(request)}" if state == "waiting" else ""
    message = change_request.text(request, "message")
    return f"{state}{waits}{f': {message}' if message else ''}"


@dataclass(frozen=True, slots=True)
class Before:
    """What served, -1 for nothing, and how many attempts had failed in a row, before something was asked for."""

    version: int = -1
    attempts: int = 0


def before(managed: Document) -> Before:
    """As a managed certificate is now."""
    found = managed.get("serving")
    return Before(_number(found.get("version") if isinstance(found, Mapping) else None, -1), _attempts(managed))


def served(api: Api, name: str, since: Before) -> bool:
    """Wait until another version serves than did before; False where one more attempt fails.

    Raises: PerennialError.
    """
    told = Told()
    while True:
        found = api.get("managed", name, action=Action.READ_MANAGED).document
        now, state = before(found), str(found.get("state", ""))
        if now.version != since.version:
            told.say(f"{name}: version {now.version} serves")
            return True
        told.say(": ".join(each for each in (state, str(found.get("message", ""))) if each))
        if now.attempts > since.attempts or state in ("removing", "retired"):
            told.say(f"{name}: {found.get('failure_message') or state}; perennial why {name} says what is next")
            return False
        told.pause()


def _attempts(managed: Document) -> int:
    return _number(managed.get("attempts"), 0)


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
