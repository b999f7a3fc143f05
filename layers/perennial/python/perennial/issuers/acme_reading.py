"""Reads what an ACME server sent, strictly: every value has its type, its bounds and, for a URL, its origin.

`acme`'s own messages are made for sending: reading with them, an authorization's status "expired" (RFC 8555 7.1.6) or a
number in place of a list raises whatever the first operation on it raises.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from perennial.errors import InvalidConfiguration, InvalidReply
from perennial.profiles import AcmeIssuer

MAX_URL = 2_000  # characters
MAX_TEXT = 300  # characters of a server's text that a message has
_URL = re.compile(r"[!#-;=?-\[\]_a-z~%]+")  # RFC 3986's characters; no backslash, quote, space or control character
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,500}")  # base64url: tokens (RFC 8555 8.1) and nonces (6.5.1)


def bounded(text: str, most: int = MAX_TEXT) -> str:
    """A text of a server, fit for a message: without control characters, and not longer than `most`."""
    printable = "".join(each if each.isprintable() else " " for each in text[: most * 4])
    plain = " ".join(printable.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a server's URLs may lead: to the directory's origin, or to one of the configured ones."""

    allowed: frozenset[str]
    plain: bool  # the directory is on loopback and without TLS: then its URLs may be so

    def url(self, value: object, where: str) -> str:
        """A URL that a reply holds at `where`.

        Raises: InvalidReply.
        """
        if not isinstance(value, str) or len(value) > MAX_URL or not _URL.fullmatch(value):
            raise InvalidReply(f"{where} is not a URL: {bounded(repr(value), 100)}")
        if "#" not in value and any(value.startswith(f"{each}/") for each in self.allowed):
            return value  # what is usual needs no parser: orders hold many URLs, and every step reads them
        origin = _origin(value, self.plain)
        if origin is None:
            raise InvalidReply(f"{where} is not an absolute https URL: {bounded(value)}")
        if origin not in self.allowed:
            raise InvalidReply(
                f"{where} leads to {bounded(origin)}, which is not of this issuer ({', '.join(sorted(self.allowed))}); "
                f"if it is right, add it to the issuer's origins"
            )
        return value


def origins(settings: AcmeIssuer) -> Origins:
    """The origins of an issuer.

    Raises: InvalidConfiguration.
    """
    plain = settings.directory.startswith("http://") and _loopback(urlsplit(settings.directory))
    found = {}
    for value in (settings.directory, *settings.origins):
        found[value] = _origin(value, plain) if _URL.fullmatch(value) else None
        if found[value] is None:
            raise InvalidConfiguration(
                f"issuers.{settings.name}: {bounded(value)} is not an https URL; http is accepted on loopback only"
            )
    return Origins(frozenset(each for each in found.values() if each), plain)


def _origin(url: str, plain: bool) -> str | None:
    """Scheme, host and port of a URL (RFC 6454); None where it may not be asked."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        return None
    if parts.scheme != "https" and not (parts.scheme == "http" and plain and _loopback(parts)):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def _loopback(parts: SplitResult) -> bool:
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def json_object(body: bytes, where: str) -> Mapping[str, object]:
    """A JSON object.

    Raises: InvalidReply.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"{where} is not JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise InvalidReply(f"{where} is not a JSON object but {_kind(value)}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of one JSON object; `where` names it in messages. Every method raises InvalidReply."""

    where: str
    values: Mapping[str, object] = field(repr=False)
    origins: Origins

    def text(self, name: str, default: str | None = None, most: int = MAX_URL) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, value, "a text")
        return value

    def url(self, name: str) -> str:
        return self.origins.url(self.values.get(name), f"{self.where}: {name}")

    def optional_url(self, name: str) -> str:
        return self.url(name) if self.values.get(name) is not None else ""

    def link(self, name: str) -> str:
        """A URL for people, of any origin, that is never asked; "" for anything else."""
        value = self.values.get(name)
        shown = isinstance(value, str) and len(value) <= MAX_URL and _URL.fullmatch(value) is not None
        return value if shown and isinstance(value, str) and value.startswith("https://") else ""

    def token(self, name: str) -> str:
        value = self.text(name)
        if not _TOKEN.fullmatch(value):
            raise self._wrong(name, value, "base64url")
        return value

    def one_of(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def time(self, name: str) -> datetime | None:
        """A time (RFC 3339), UTC; None where there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return _utc(datetime.fromisoformat(self.text(name, most=60)))
        except (ValueError, OverflowError) as error:
            raise self._wrong(name, value, "a time (RFC 3339)") from error

    def items(self, name: str, most: int) -> list[Any]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, value, f"a list of at most {most}")
        return value

    def urls(self, name: str, most: int) -> tuple[str, ...]:
        return tuple(self.origins.url(each, f"{self.where}: {name}") for each in self.items(name, most))

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        values = self.items(name, most)
        if not all(isinstance(each, str) and len(each) <= MAX_TEXT for each in values):
            raise self._wrong(name, values, "a list of texts")
        return tuple(values)

    def of(self, name: str) -> Fields:
        """The object of a field; an empty one where there is none."""
        value = self.values.get(name)
        return self._inner(name, {} if value is None else value)

    def each(self, name: str, most: int) -> tuple[Fields, ...]:
        """The objects of a list."""
        return tuple(self._inner(name, value) for value in self.items(name, most))

    def _inner(self, name: str, value: object) -> Fields:
        if not isinstance(value, dict):
            raise self._wrong(name, value, "an object")
        return Fields(where=f"{self.where}: {name}", values=value, origins=self.origins)

    def _wrong(self, name: str, value: object, expected: str) -> InvalidReply:
        told = bounded(value, 100) if isinstance(value, str) else _kind(value)
        return InvalidReply(f"{self.where}: {name} is {told!r}, not {expected}")


def token(value: str, where: str) -> str:
    """A base64url value of a header.

    Raises: InvalidReply.
    """
    if not _TOKEN.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidReply(f"{where} is not base64url: {bounded(value, 100)}")
    return value


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
