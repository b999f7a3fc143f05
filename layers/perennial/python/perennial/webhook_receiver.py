"""What the receiver of a webhook was asked to deploy, and what it reported: one record for each target.

Perennial cannot look at what such a receiver serves; the record is what there is to know. It changes by one write at a
time, each of which names the revision that was read: to ask for something, to note that the receiver took the event, to
note its report. An event that another has followed can no longer be reported on, so that a late "done" never stands for
what was meanwhile asked to be taken back.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

KEPT = timedelta(days=7)  # after the deadline, and after the end of the certificate that it is about
EARLIER = 4  # events before the latest one whose reports are remembered
_HALF = 32  # hexadecimal digits: an event's id begins with its record's, and ends in as many random ones


class Wish(StrEnum):
    """What a receiver is asked for."""

    DEPLOY = "deploy"
    RESTORE = "restore"


class Answered(StrEnum):
    """How far an event is."""

    SENT = "sent"  # or about to be: whether the receiver has it is not known
    REFUSED = "refused"  # the receiver said at once that it does not take it
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"

    @property
    def reported(self) -> bool:
        return self in (Answered.DONE, Answered.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A version by references; the default is no version of Perennial's."""

    version: int = 0
    fingerprint: str = ""
    secret: str = ""  # ARN of the secret with its key
    secret_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The latest event. `since` is the record's revision as the rollout found it. Times are ISO 8601, UTC."""

    id: str
    wish: Wish
    what: Deployed
    since: int
    asked_at: str
    deadline: str
    state: Answered = Answered.SENT
    report: str = ""  # SHA-256 of what was reported
    message: str = ""  # the receiver's, cleaned


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One target's record. `there` is what was last reported done. `secret` is the name of the webhook's secret.
    `earlier` has the ids of the events before, each with the SHA-256 of its report ("" for none)."""

    id: str
    managed: str
    target: str
    secret: str = ""
    there: Deployed = Deployed()
    event: Event | None = None
    earlier: tuple[tuple[str, str], ...] = ()
    expires_at: int = 0  # seconds since 1970
    revision: int = 0  # 0: not kept yet

    @property
    def waits(self) -> bool:
        """Whether an event is under way."""
        return self.event is not None and self.event.state in (Answered.SENT, Answered.ACCEPTED)


def receiver_id(managed: str, target: str) -> str:
    """The id of a target's record."""
    return hashlib.sha256(json.dumps([managed, target]).encode()).hexdigest()[:_HALF]


def receiver_of(event_id: str) -> str:
    """The id of the record that an event belongs to."""
    return event_id[:_HALF]


def asked(
    receiver: Receiver, wish: Wish, what: Deployed, *, since: int, now: datetime, deadline: timedelta, until: datetime
) -> Receiver:
    """With a new event, before it is sent. It is kept for a week after `deadline` and `until`."""
    event = Event(
        id=receiver.id + secrets.token_hex(_HALF // 2),
        wish=wish,
        what=what,
        since=since,
        asked_at=now.isoformat(timespec="seconds"),
        deadline=(now + deadline).isoformat(timespec="seconds"),
    )
    before = ((receiver.event.id, receiver.event.report),) if receiver.event else ()
    ends = max(receiver.expires_at, int((max(now + deadline, until) + KEPT).timestamp()))
    return replace(receiver, event=event, earlier=(*receiver.earlier, *before)[-EARLIER:], expires_at=ends)


def noted(receiver: Receiver, state: Answered) -> Receiver:
    """With how far the latest event is."""
    assert receiver.event is not None
    return replace(receiver, event=replace(receiver.event, state=state))


def reported(receiver: Receiver, state: Answered, report: str, message: str) -> Receiver:
    """With a report on the latest event: what is done is what is there."""
    assert receiver.event is not None
    event = replace(receiver.event, state=state, report=report, message=message)
    return replace(receiver, event=event, there=event.what if state is Answered.DONE else receiver.there)
