"""What is next for an exception, and when. Pure.

| step | when |
| --- | --- |
| record | a change is not in the audit trail yet: at once |
| end | its time is over, also where nobody decided |
| ask | nobody has decided, and who may was not told: at once |
| sweep | it begins or was ended early: at once, and again after `SETTLED` |
| announce | so many days before its end (`[exceptions] announce_days`) |
| tell | it has ended |

Every step may run twice, late, or after an interruption; the record says what is still to be done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from perennial.exception_record import ExceptionRecord, ExceptionState

# An assessment reads what is active when its batch begins, and may write for as long as its function runs (10 minutes):
# what such a one wrote after the first sweep, the second finds. So it does what an index told too late.
SETTLED = timedelta(minutes=15)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
NOT_DECIDED = "nobody decided before its end"
BY_TIME = "its end date has come"
BY_SETTINGS = "[exceptions] never of perennial.toml names its rule now"


class Step(StrEnum):
    """One step of an exception."""

    RECORD = "record"
    END = "end"
    ASK = "ask"
    SWEEP = "sweep"
    ANNOUNCE = "announce"
    TELL = "tell"


def next_step(record: ExceptionRecord, announce_days: tuple[int, ...], now: datetime) -> Step | None:
    """The step that is due now; None where none is."""
    if record.retry_at and now < record.retry_at:
        return None
    return next((step for step, at in _steps(record, announce_days) if at <= now), None)


def due_at(record: ExceptionRecord, announce_days: tuple[int, ...]) -> datetime | None:
    """When something is next to be done; None: never again."""
    found = min((at for _, at in _steps(record, announce_days)), default=None)
    return max(found, record.retry_at) if found and record.retry_at else found


def announced(record: ExceptionRecord, announce_days: tuple[int, ...], now: datetime) -> int:
    """The announcement that fits the time that is left: of several that are late only the last is told."""
    return min(days for days, at in _announcements(record, announce_days) if at <= now)


def postponed(record: ExceptionRecord, trouble: str, now: datetime) -> ExceptionRecord:
    """After a step that failed: tried again after 1, 2, 4 … minutes, an hour at most."""
    pause = min(FIRST_PAUSE * 2 ** min(record.attempts, 10), LONGEST_PAUSE)
    return replace(record, attempts=record.attempts + 1, retry_at=now + pause, trouble=trouble[:500])


def done(record: ExceptionRecord) -> ExceptionRecord:
    """After a step that succeeded, nothing stands in the way of the next."""
    return replace(record, attempts=0, retry_at=None, trouble="")


def swept(record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """After a sweep: the second comes when everything that was under way at the first has ended."""
    changed_at = record.ended_at or record.decided_at or now
    again = changed_at + SETTLED
    return replace(record, sweep_at=again if record.sweep_at and record.sweep_at < again else None)


def _steps(record: ExceptionRecord, announce_days: tuple[int, ...]) -> Iterator[tuple[Step, datetime]]:
    """Every step that is still to be done, with its time, in the order in which those that are due are done."""
    if record.event:
        yield Step.RECORD, record.asked_at
    if record.state in (ExceptionState.ASKED, ExceptionState.ACTIVE):
        yield Step.END, record.ends
    if record.state is ExceptionState.ASKED and not record.told_asked:
        yield Step.ASK, record.asked_at
    if record.sweep_at:
        yield Step.SWEEP, record.sweep_at
    if record.state is ExceptionState.ACTIVE:
        yield from ((Step.ANNOUNCE, at) for _, at in _announcements(record, announce_days))
    if record.state is ExceptionState.ENDED and record.decided_at and not record.told_end:
        yield Step.TELL, record.ended_at or record.ends


def _announcements(record: ExceptionRecord, announce_days: tuple[int, ...]) -> Iterator[tuple[int, datetime]]:
    """Those that were not told, and are after the day on which it was granted: who grants it for two days knows."""
    for days in announce_days:
        at = record.ends - timedelta(days=days)
        if (not record.announced or days < record.announced) and record.decided_at and at > record.decided_at:
            yield days, at
