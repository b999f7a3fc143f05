"""What a CA's audit report says was issued at some time. Pure: the report comes in pieces, as S3 sends it.

A report lists all that the CA ever issued (hundreds of megabytes are possible) and may be hostile: it is read piece by
piece, within bounds, and what is not as documented ends the reading. Whoever reads it decides from it whether to pay
again, so that "not in the report" must never mean "not understood".
Source: AWS Private CA User Guide, "Use audit reports with your private CA".
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from perennial.errors import InvalidReply

MAX_BYTES = 1_073_741_824  # about two million certificates
MAX_ENTRY = 65_536  # characters
MAX_FOUND = 20_000  # what a CA issues in thirteen minutes at its 25 a second
SLACK = timedelta(days=1)  # of a validity: how AWS rounds is not documented
_BETWEEN = re.compile(r"[\s,\[\]]*")


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """One certificate of a report."""

    issued_at: datetime
    arn: str
    revoked: bool = False


def listed(
    chunks: Iterable[bytes], *, authority: str, since: datetime, until: datetime, validity_days: int
) -> tuple[Listed, ...]:
    """What the CA issued in a span of time with about this validity, the oldest first.

    Raises: InvalidReply.
    """
    found: list[Listed] = []
    for entry in entries(chunks):
        issued_at = _time(entry, "issuedAt")
        if since <= issued_at <= until and _lasts(entry, issued_at, validity_days):
            found.append(Listed(issued_at, _arn(entry, authority), "revokedAt" in entry))
        if len(found) > MAX_FOUND:
            raise InvalidReply(f"the audit report lists more than {MAX_FOUND} certificates from {since} to {until}")
    return tuple(sorted(found))


def entries(chunks: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON list, one at a time. The list must be complete.

    Raises: InvalidReply.
    """
    decode = codecs.getincrementaldecoder("utf-8")().decode
    first = last = text = ""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise InvalidReply(f"the audit report has more than {MAX_BYTES} bytes")
        try:
            text += decode(chunk)
        except UnicodeDecodeError as error:
            raise InvalidReply("the audit report is not UTF-8") from error
        first, last = first or text.lstrip()[:1], text.rstrip()[-1:] or last
        at = yield from _whole(text)
        text = text[at:]
        if len(text) > MAX_ENTRY:
            raise InvalidReply(f"the audit report has an entry that is not JSON, or longer than {MAX_ENTRY}")
    if text or (first, last) != ("[", "]"):
        raise InvalidReply("the audit report is no complete JSON list")


def _whole(text: str) -> Generator[Mapping[str, Any], None, int]:
    """Yields the objects that are complete; returns where the rest begins."""
    decoder = json.JSONDecoder()
    at = _after(text, 0)
    while at < len(text):
        try:
            entry, end = decoder.raw_decode(text, at)
        except ValueError:  # cut off, or no JSON: the caller's bound tells
            return at
        except RecursionError as error:
            raise InvalidReply("the audit report nests too deeply") from error
        if not isinstance(entry, dict):
            raise InvalidReply("the audit report lists something that is no object")
        yield entry
        at = _after(text, end)
    return at


def _after(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _time(entry: Mapping[str, Any], name: str) -> datetime:
    """A time such as 2026-03-02T22:43:58+0000."""
    value = entry.get(name)
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidReply(f"the audit report has an entry without a readable {name}") from error
    raise InvalidReply(f"the audit report has an entry whose {name} has no time zone")


def _lasts(entry: Mapping[str, Any], issued_at: datetime, days: int) -> bool:
    return abs(_time(entry, "notAfter") - issued_at - timedelta(days=days)) <= SLACK


def _arn(entry: Mapping[str, Any], authority: str) -> str:
    arn = entry.get("certificateArn")
    if not isinstance(arn, str) or not arn.startswith(f"{authority}/certificate/") or len(arn) > 200:
        raise InvalidReply("the audit report has an entry whose certificateArn is not of this CA")
    return arn
