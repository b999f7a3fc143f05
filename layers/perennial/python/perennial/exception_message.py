"""What people are told of exceptions: that one is asked for, that it will end, and that it has. Pure. All texts are
clean. A message decides nothing: it links to the page where people sign in, if there is one, and has the commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from perennial import telling
from perennial.alert_message import MAX_NAME, MAX_SUBJECT, MAX_TEXT, clean, moment
from perennial.exception_record import ExceptionRecord


def wanted(record: ExceptionRecord, page: str) -> tuple[str, Iterator[str]]:
    """Subject and lines of the message that an exception is asked for. `page` is that of `[api]`; "" for none."""
    return _subject(f"Exception wanted: {record.rule}"), _wanted(record, page)


def _wanted(record: ExceptionRecord, page: str) -> Iterator[str]:
    yield from _lines(record, f"Asked for until: {moment(record.ends)}; undecided, it ends then")
    yield "May decide: 1 person of security; nobody decides on what they asked for"
    if page:
        yield f"Sign in to decide: {page_of(record, page)}"
    yield f"Or: {approve(record)}"
    yield f"To refuse: perennial exceptions reject {record.id} --reason WORDS"


def page_of(record: ExceptionRecord, page: str) -> str:
    """Where people sign in to decide on an exception; "" where there is no such page."""
    return f"{page}#exception={record.id}" if page else ""  # a fragment is in no log of a server


def approve(record: ExceptionRecord) -> str:
    """The command that grants it."""
    return f"perennial exceptions approve {record.id}"


def coming(record: ExceptionRecord, now: datetime) -> tuple[str, Iterator[str]]:
    """Subject and lines of the announcement that an exception will end."""
    left = max((record.ends - now).days, 0)
    when = f"in {left} days" if left > 1 else "within a day" if left == 0 else "in a day"
    then = "what it covers is a finding again, and its policy rule holds for every renewal"
    return _subject(f"Exception ends {when}: {record.rule}"), _lines(
        record, f"Ends: {moment(record.ends)}; then {then}"
    )


def ended(record: ExceptionRecord) -> tuple[str, Iterator[str]]:
    """Subject and lines of the message that an exception has ended."""
    at, by = record.ended_at or record.ends, clean(record.ended_name, MAX_NAME)
    why = clean(record.ended_why, MAX_TEXT)
    return _subject(f"Exception ended: {record.rule}"), _lines(record, f"Ended: {moment(at)}, by {by}: {why}")


def attributes(record: ExceptionRecord, state: str) -> telling.Attributes:
    """What subscriptions filter by: whose it is, and whether it is `asked`, `ending` or `ended`."""
    texts = {
        "owner": clean(record.owner, MAX_NAME),
        "managed": record.selection.managed,
        "exception": record.id,
        "state": state,
    }
    return telling.attributes(texts)


def _subject(text: str) -> str:
    return f"Perennial: {text}".encode("ascii", "replace").decode()[:MAX_SUBJECT]


def _lines(record: ExceptionRecord, first: str) -> Iterator[str]:
    facts = {
        "Suspends": record.rule,
        "For": clean(str(record.selection), MAX_TEXT),
        "Owner": clean(record.owner, MAX_NAME),
        "Reason": clean(record.reason, MAX_TEXT),
        "Asked by": clean(record.asked_name, MAX_NAME),
        "Granted by": clean(record.decided_name, MAX_NAME),
    }
    yield first
    yield from (f"{label}: {text}" for label, text in facts.items() if text)
    yield f"All of it: perennial exceptions show {record.id}"
