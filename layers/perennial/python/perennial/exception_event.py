"""The event of an exception that is asked for, on the bus `perennial`, typed and versioned. Pure.

| detail-type | when |
| --- | --- |
| Exception Asked | someone asked for an exception, and someone else is to grant or reject it |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial import telling
from perennial.alert_message import MAX_NAME, MAX_TEXT, clean, moment
from perennial.exception_message import approve, page_of, wanted
from perennial.exception_record import ExceptionRecord

VERSION = "1"
ASKED = "Exception Asked"  # the event's detail-type


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionEvent:
    """Version 1. Times are ISO 8601 in UTC. No text has a line break, a double quote, a backslash or an angle
    bracket."""

    version: str
    id: str
    rule: str
    selection: str
    certificate: str
    owner: str
    environment: str
    asked_by: str
    asked_at: str
    reason: str
    needs: tuple[str, ...]
    ends: str
    until: str
    page: str
    command: str
    subject: str


def event(record: ExceptionRecord, page: str) -> ExceptionEvent:
    """What is told of an exception that is asked for. `page` is that of `[api]`."""
    subject, _ = wanted(record, page)
    return ExceptionEvent(
        version=VERSION,
        id=record.id,
        rule=record.rule,
        selection=clean(str(record.selection), MAX_TEXT),
        certificate=clean(record.selection.managed, MAX_NAME),
        owner=clean(record.owner, MAX_NAME),
        environment=clean(record.environment, MAX_NAME),
        asked_by=clean(record.asked_name, MAX_NAME),
        asked_at=record.asked_at.isoformat(),
        reason=clean(record.reason, MAX_TEXT),
        needs=("1 person of security",),
        ends=record.ends.isoformat(),
        until=moment(record.ends),
        page=page_of(record, page),
        command=approve(record),
        subject=subject,
    )


def entry(told: ExceptionEvent, bus: str, at: datetime) -> dict[str, Any]:
    """The event as PutEvents takes it."""
    return telling.entry(ASKED, told, bus, at)
