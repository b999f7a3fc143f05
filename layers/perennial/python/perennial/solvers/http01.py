"""Challenges as files: http-01 (RFC 8555 8.3), answered by a Lambda behind a rule of the configured load balancers.

The solver keeps the file in the inventory table, from which the Lambda reads it, so that it is visible at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from perennial.clients import meant
from perennial.errors import InvalidInput, NotFound
from perennial.solvers.interface import Challenge, Shown

if TYPE_CHECKING:
    from perennial.deployment import Deployment

SHOWS = (Shown.HTTP,)
ACTIONS: tuple[str, ...] = ()  # the table is the hub's own
PATH = "/.well-known/acme-challenge/"
KEPT = timedelta(days=7)  # a file that a crash left is forgotten then
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")
_CONTENT = re.compile(r"(?P<token>[A-Za-z0-9_-]{1,256})\.[A-Za-z0-9_-]{1,128}")  # a key authorization (8.1)


class Files(Protocol):
    """Where the files are kept: the inventory. `expires_at` is in seconds since 1970."""

    def show_challenge(self, token: str, content: str, expires_at: int) -> None: ...

    def shown_challenge(self, token: str) -> str | None: ...

    def hide_challenge(self, token: str) -> None: ...


def of(deployment: Deployment) -> Http01:
    """The solver of the listeners in `[solvers] listeners`."""
    return Http01(deployment.inventory, listeners=deployment.settings.solvers.listeners, clock=deployment.clock)


class Http01:
    """A Solver for files under /.well-known/acme-challenge/."""

    def __init__(self, files: Files, *, listeners: Sequence[str], clock: Callable[[], datetime]) -> None:
        self._files = files
        self._listeners = listeners
        self._clock = clock

    def present(self, challenges: Sequence[Challenge]) -> tuple[str, ...]:
        """Show all of them; they are visible at once.

        Raises: InvalidInput, NotFound where no listener is configured.
        """
        if challenges and not self._listeners:
            raise NotFound(
                f"no listener can answer http-01 for {challenges[0].name[:253]}: name those of its load balancer on "
                "port 80 in [solvers] listeners and deploy again, or let the issuer use dns-01"
            )
        files = [_checked(each) for each in challenges]
        expires_at = int((self._clock() + KEPT).timestamp())
        for token, content in files:
            self._files.show_challenge(token, content, expires_at)
        return ()

    def ready(self, tokens: Sequence[str]) -> bool:
        """Always: a file is visible once it is kept."""
        return True

    def clean(self, challenges: Sequence[Challenge]) -> None:
        """Remove them, as far as they are there."""
        for token in [_checked(each)[0] for each in challenges if not each.stays]:
            self._files.hide_challenge(token)


def _checked(challenge: Challenge) -> tuple[str, str]:
    """Token and content. Nothing but a key authorization is ever put on the customer's host."""
    found = _CONTENT.fullmatch(challenge.value)
    if not _TOKEN.fullmatch(challenge.where) or not found or found["token"] != challenge.where:
        raise InvalidInput(
            f"the CA's http-01 challenge for {challenge.name[:253]} has no token and key authorization of RFC 8555 8.1"
        )
    return challenge.where, challenge.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the Lambda answers to one request."""

    status: int
    text: str = ""
    allow: str = ""  # the methods that there are, where the request's is another


def answer(files: Files, method: str, path: str) -> Answer:
    """The file of a path: 200, 404 where there is none, 405 for anything but GET and HEAD.

    Raises: PerennialError where the inventory does not answer.
    """
    token = path.removeprefix(PATH)
    if token == path or not _TOKEN.fullmatch(token):
        return Answer(status=404)
    if method not in ("GET", "HEAD"):
        return Answer(status=405, allow="GET, HEAD")
    with meant("http-01: reading a file of the inventory"):
        content = files.shown_challenge(token)
    if content is None:
        return Answer(status=404)
    return Answer(status=200, text=content if method == "GET" else "")
