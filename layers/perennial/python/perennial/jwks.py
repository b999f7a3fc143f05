"""The keys of the configured issuer, asked for when they are needed and kept for a time.

Only the configured URL is ever asked, by https; a token names nothing that is asked. No redirect is followed, the reply
is bounded, and what it has besides is not read. A kid that is not among the kept keys makes them be asked for once
more, as an issuer may have rotated its keys, but seldom: whoever sends tokens with invented kids costs no requests.

Source: RFC 7517 section 5 (JWK Set); OpenID Connect Core 1.0 section 10.1.1 (rotation of keys).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from perennial.errors import InvalidReply, PerennialError, Unavailable
from perennial.issuers.acme_http import Answer, Http
from perennial.issuers.acme_reading import bounded

KEPT = timedelta(hours=1)  # then they are asked for again: a key that the issuer withdrew ends so
STALE = timedelta(hours=24)  # for so long they are used where the issuer does not answer
AGAIN = timedelta(minutes=5)  # between two requests for a kid that is unknown
RETRY = timedelta(seconds=15)  # between two requests of which the first failed
REPLY_SECONDS = 5.0  # for a whole reply: whoever waits is a person in front of the API
MAX_REPLY = 256 * 1024  # bytes
MAX_KEYS = 100

Jwks = tuple[Mapping[str, object], ...]


class Sender(Protocol):
    """What sends one request: `acme_http.Http`."""

    def send(self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], limit: int) -> Answer: ...


class Keys:
    """The keys of one issuer. One thread uses it at a time, as in a Lambda function."""

    def __init__(self, url: str, http: Sender | None = None) -> None:
        self._url = url
        self._http = http
        self._keys: Jwks = ()
        self._asked: datetime | None = None  # when the last request was made
        self._got: datetime | None = None  # when the last good reply came
        self._failed: PerennialError | None = None  # what the last request raised

    def having(self, kid: str, now: datetime) -> Jwks:
        """The issuer's keys; asked for where none are kept, they are too old, or none has this kid.

        Raises: Unavailable, InvalidReply, InvalidConfiguration where there are none that could be used.
        """
        if self._due(kid, now):
            self._ask(now)
        if self._got is None or now - self._got >= STALE:
            raise self._failed or Unavailable(f"{bounded(self._url)} was not asked yet")
        return self._keys

    def _due(self, kid: str, now: datetime) -> bool:
        if self._asked is None:
            return True
        since = now - self._asked
        if self._failed is not None:
            return since >= RETRY and (self._old(now) or since >= AGAIN)
        unknown = all(each.get("kid") != kid for each in self._keys)
        return self._old(now) or (unknown and since >= AGAIN)

    def _old(self, now: datetime) -> bool:
        return self._got is None or now - self._got >= KEPT

    def _ask(self, now: datetime) -> None:
        """Ask for the keys. What fails is kept as the reason: the keys from before may still do."""
        self._asked = now
        try:
            self._keys = self._fetched()
            self._got, self._failed = now, None
        except PerennialError as error:
            self._failed = error

    def _fetched(self) -> Jwks:
        if not self._url.startswith("https://"):
            raise InvalidReply(f"{bounded(self._url)} is not asked: it is not https")
        if self._http is None:
            self._http = Http("", field="the public roots", reply_seconds=REPLY_SECONDS)
        answer = self._http.send("GET", self._url, body=None, headers={"Accept": "application/json"}, limit=MAX_REPLY)
        if answer.status == 429 or answer.status >= 500:
            raise Unavailable(f"{bounded(self._url)} answered {answer.status}")
        if answer.status != 200:
            raise InvalidReply(f"{bounded(self._url)} answered {answer.status}, not 200; no redirect is followed")
        return read(answer.body, self._url)


def read(body: bytes, where: str) -> Jwks:
    """The keys of a JWK Set, as they are: each is judged when a token names it.

    Raises: InvalidReply.
    """
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"{bounded(where)} answered with no JSON: {type(error).__name__}") from error
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) > MAX_KEYS or not all(isinstance(each, dict) for each in found):
        raise InvalidReply(f"{bounded(where)} answered with no JWK Set of at most {MAX_KEYS} keys")
    return tuple(found)
