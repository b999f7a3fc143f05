"""The JSON of the audit trail: one canonical text for each value, with its times, and the readers of what comes back.
Pure.

The canonical text has sorted members, no spaces, and is in UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from perennial import json_readers
from perennial.errors import InvalidInput
from perennial.json_readers import MAX_WHOLE, Reader, choice, like, line, parsed, several, sha256, whole


def canonical(value: Any) -> str:
    """The one text of a plain value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def members(readers: Mapping[str, Reader], value: Any, where: str) -> dict[str, Any]:
    """The members of an object, each by its reader; it has all of them and no other.

    Raises: InvalidInput.
    """
    return json_readers.members(readers, value, where, "perennial audit export")


def time(value: Any, where: str) -> datetime:
    """A time as `written` writes it, in one spelling alone."""
    try:
        found = datetime.fromisoformat(line(1, 40)(value, where))
    except ValueError as error:
        raise InvalidInput(f"{where} is not a time") from error
    if found.tzinfo != UTC or written(found) != value:
        raise InvalidInput(f"{where} is not a time in UTC as 2026-11-01T12:00:00.000000Z")
    return found


def day(value: Any, where: str) -> str:
    """A day of the calendar, as 2026-11-01."""
    text: str = _day(value, where)
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{where} is not a day of the calendar") from error
    return text


def written(moment: datetime) -> str:
    """A time in UTC, of the same length always, so that texts sort as times do."""
    utc = moment.astimezone(UTC)
    return f"{utc.year:04d}-{utc:%m-%dT%H:%M:%S.%f}Z"


_day = like(re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "a day as 2026-11-01")

__all__ = [
    "MAX_WHOLE",
    "Reader",
    "canonical",
    "choice",
    "day",
    "like",
    "line",
    "members",
    "parsed",
    "several",
    "sha256",
    "time",
    "whole",
    "written",
]
