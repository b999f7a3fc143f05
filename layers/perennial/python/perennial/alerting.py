"""The ladder: who is told that a renewal does not succeed, and when. Pure.

| level | who is told | when |
| --- | --- | --- |
| 1 | the owner | an attempt failed, or the renewal is late |
| 2 | and the team | 1/6 of the lifetime is left; nothing served within a day of the declaration |
| 3 | and the business contact and on-call | 1/10 is left; nothing served within three days |
| 4 | all of them, at once | 1/50 is left, or it has expired |

All times scale with the lifetime of what serves. Levels 1 to 3 count only while the renewal fails or is late. A failure
that passes by itself (`errors`: those worth trying again) counts from the third attempt in a row on, or when the
renewal is late: by 1/20 of the lifetime. What has not failed and waits for its window, or for the issuer's budget, is
told to the owner alone, and not before 1/6 is left.

While the same trouble lasts, the level never falls. Each level is told once, then again after a span that scales with
the lifetime, until someone acknowledges it. A higher level is told whatever was acknowledged before.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from perennial import renewal
from perennial.alert_message import Alert, alert, resolved
from perennial.errors import POSTPONED, RETRYABLE
from perennial.inventory.records import ManagedRecord, ManagedState, Serving
from perennial.lifecycle import Decision

NONE, OWNER, TEAM, BUSINESS, EMERGENCY = range(5)
TEAM_SHARE, BUSINESS_SHARE = 6, 10  # one sixth, one tenth of the lifetime is left
LATE = 20  # a renewal is late one twentieth of the lifetime after its time
UNSERVED = {TEAM: timedelta(days=1), BUSINESS: timedelta(days=3)}  # after the declaration, where nothing serves yet
ENOUGH = 3  # attempts in a row, after which a failure does not seem to pass by itself
WORKING = timedelta(minutes=10)  # that issuing and deploying may take, however short the lifetime is
REPEATED, SOONEST, LATEST = 30, timedelta(minutes=1), timedelta(days=3)  # a level, each 1/30 of the lifetime
HOURLY = timedelta(hours=1)  # an emergency, at the latest
AGAIN = timedelta(minutes=5)  # until what could not be told is tried again, at the latest
PASSES = frozenset(each.reason for each in (*RETRYABLE, *POSTPONED))
_GONE = (ManagedState.REMOVING, ManagedState.RETIRED)


def level(record: ManagedRecord, decision: Decision, now: datetime) -> int:
    """The step of the ladder, 0 for none. `decision` is the one that was made of the record, now or earlier."""
    if record.removed_at or decision.state in _GONE:
        return NONE
    found = _reached(record, decision, now)
    told = record.told.level if record.told else NONE
    return max(found, told) if found or _lasts(record, decision) else NONE


def must_tell(record: ManagedRecord, level: int, now: datetime) -> bool:
    """Whether a level is to be told: it is higher than what was told, or nobody answered within its span."""
    told = record.told
    if level == NONE or told is None or level > told.level:
        return level != NONE
    return not told.acknowledged_by and now >= told.at + span(record, level)


def next_at(record: ManagedRecord, decision: Decision, now: datetime) -> datetime | None:
    """The next moment at which something is to be told, if nothing else changes; None where there is none. What should
    have been told by now could not be: it is tried again soon."""
    if _untold(record, decision, now):
        return now + min(span(record, EMERGENCY), AGAIN)
    moments = sorted({each for each in _moments(record, decision) if each > now})
    return next((each for each in moments if _untold(record, decision, each)), None)


def span(record: ManagedRecord, level: int) -> timedelta:
    """How long a level is not repeated."""
    lifetime = renewal.lifetime(record.serving) if record.serving else LATEST * REPEATED
    found = min(max(lifetime / REPEATED, SOONEST), LATEST)
    return min(found, HOURLY) if level == EMERGENCY else found


# --- what level is reached ---


def _reached(record: ManagedRecord, decision: Decision, now: datetime) -> int:
    """The level that the facts of this moment give, whatever was told."""
    serving = record.serving
    if serving and now >= renewal.emergency_at(serving):
        return EMERGENCY
    if decision.state is ManagedState.SERVING and _ahead(decision, now) and not record.attempts:
        return NONE
    by_time = _by_time(record, now)
    if _fails(record, decision):
        tells = not _passes(record, decision) or record.attempts >= ENOUGH or now >= _failing_late_at(record)
        return max(by_time, OWNER) if tells else NONE
    if _ahead(decision, now):
        return min(by_time, OWNER)
    return max(by_time, OWNER) if now >= _working_late_at(record) else NONE


def _by_time(record: ManagedRecord, now: datetime) -> int:
    return max((level for level, at in _steps(record).items() if at <= now), default=NONE)


def _steps(record: ManagedRecord) -> dict[int, datetime]:
    """When time alone gives a level, to a renewal that does not succeed."""
    serving = record.serving
    if serving is None:
        return {level: record.declared_at + age for level, age in UNSERVED.items()}
    whole, end = renewal.lifetime(serving), serving.not_after
    return {TEAM: end - whole / TEAM_SHARE, BUSINESS: end - whole / BUSINESS_SHARE}


def _failing_late_at(record: ManagedRecord) -> datetime:
    """From when on a renewal that fails is late. Retries that are planned for later postpone nothing."""
    serving = record.serving
    if serving is None:
        return record.declared_at + UNSERVED[TEAM]
    return _time(record, serving) + renewal.lifetime(serving) / LATE


def _working_late_at(record: ManagedRecord) -> datetime:
    """From when on a renewal that has not failed is late: counted from the window that was planned, and with the time
    that the work may take."""
    serving = record.serving
    if serving is None:
        return record.declared_at + UNSERVED[TEAM]
    due, whole = _time(record, serving), renewal.lifetime(serving)
    return max(due, record.planned_at or due) + max(whole / LATE, min(WORKING, whole / 4))


def _time(record: ManagedRecord, serving: Serving) -> datetime:
    """When it is to be renewed. One that was adopted later than that is not late at once."""
    return max(renewal.timed(serving, record.advice).at, serving.since)


def _fails(record: ManagedRecord, decision: Decision) -> bool:
    return record.attempts > 0 or decision.state in (ManagedState.FAILING, ManagedState.EXPIRED)


def _passes(record: ManagedRecord, decision: Decision) -> bool:
    """Whether the last failure passes by itself. One that waits within its version is told by the decision alone."""
    return (record.failure if record.attempts else decision.reason) in PASSES


def _ahead(decision: Decision, now: datetime) -> bool:
    return decision.at is not None and decision.at > now


def _lasts(record: ManagedRecord, decision: Decision) -> bool:
    """Whether what was told goes on, though no level is reached now: the renewal failed and is being tried again. It is
    over when something new serves, or when nothing is to be renewed any more."""
    told, serving = record.told, record.serving
    if told is None:
        return False
    if record.attempts:
        return True
    renewed = serving is not None and serving.since > told.at
    return not renewed and decision.state is not ManagedState.SERVING


# --- the next moment ---


def _untold(record: ManagedRecord, decision: Decision, at: datetime) -> bool:
    found = level(record, decision, at)
    return must_tell(record, found, at) if found else record.told is not None


def _moments(record: ManagedRecord, decision: Decision) -> Iterator[datetime]:
    """All moments at which time alone changes what is to be told."""
    yield from _steps(record).values()
    yield from (_failing_late_at(record), _working_late_at(record))
    if record.serving:
        yield renewal.emergency_at(record.serving)
    if decision.at:
        yield decision.at
    if record.told:
        yield from (record.told.at + span(record, each) for each in range(OWNER, EMERGENCY + 1))


__all__ = ["Alert", "alert", "level", "must_tell", "next_at", "resolved", "span"]
