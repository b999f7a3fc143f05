"""Details in bounded words: what they quote was written by strangers.

A detail names dates and never "days left": while a verdict stays the same, so does its text, and nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from perennial.checks.interface import Verdict

MAX_TEXT = 253  # characters of the longest host name (RFC 1035 section 2.3.4)
MAX_LISTED = 3


def quoted(text: object, limit: int = MAX_TEXT) -> str:
    """A foreign text, cut to `limit` characters; control characters and marks that turn the direction are replaced."""
    clean = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text)[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def listed(texts: Iterable[object]) -> str:
    """The first three and how many more."""
    every = list(texts)
    more = len(every) - MAX_LISTED
    return ", ".join(map(quoted, every[:MAX_LISTED])) + (f" and {more} more" if more > 0 else "")


def on(time: datetime) -> str:
    """A time as a person reads it."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def about_place(detail: str | None) -> tuple[Verdict, ...]:
    """The verdict on the place itself, none without a detail."""
    return (Verdict(detail),) if detail else ()
