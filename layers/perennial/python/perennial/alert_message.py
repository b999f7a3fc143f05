"""What people are told of a renewal that does not succeed: which certificate, the services behind it, what Perennial
does next, and what a person must do. Pure.

Names and failures are written by strangers. What goes into an alert is bounded, is on one line, and has no character
that means something to those who pass it on: JSON (EventBridge's input transformers do not escape what they insert),
Slack's and ServiceNow's markup, a terminal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from perennial.errors import POSTPONED, RETRYABLE
from perennial.inventory.records import ManagedRecord
from perennial.lifecycle import ROLLOUT_REFUSED, Decision, Step
from perennial.targets.interface import TargetSettings

MAX_TEXT, MAX_NAME, MAX_SUBJECT = 500, 200, 100  # characters; SNS takes subjects of 100
MAX_SHOWN = 10  # names, targets, people of a group
LEVELS = ("nobody", "owner", "team", "business and on-call", "emergency")
NOTHING = "nothing"
_INSTEAD = str.maketrans({'"': "'", "\\": "/", "<": "(", ">": ")"})
_NEXT = {  # by the lifecycle's next step
    Step.PLAN: "plans the next request",
    Step.REQUEST: "requests a new version",
    Step.ISSUE: "goes on with the version that is under way",
    Step.ROLL_OUT: "puts the new version at its targets",
    Step.DEPLOY: "goes on with the rollout that is under way",
    Step.SUPERSEDE: "lets the new version take over",
    Step.REST: "goes on with what waits",
}
_OTHERWISE = "goes on by itself"
_PASSING = {  # for a person, where a failure that should pass by itself did not, by its reason
    "throttled": "find out who else asks this service so often",
    "unavailable": "see whether the issuer and AWS have an outage; if it lasts, declare another issuer",
    "rate-limited": "ask the issuer for a higher limit, or declare another issuer",
    "concurrent-change": "find out who else changes this",
}
_PASSES = frozenset(each.reason for each in (*RETRYABLE, *POSTPONED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message, for all channels. All texts are clean.

    `id` is the same for all alerts of a managed certificate, so that receivers put them together; with `told_at` it
    names one message. `before` is the level that was told before, 0 for none. Of one that is `resolved`, `level` is the
    highest that was told. `whom` are the owner and, by level, the contacts. `targets` are where it serves or is to
    serve. `failed` is what failed and why, `next` what Perennial does and when, `you` what a person must do.
    """

    id: str
    name: str
    names: tuple[str, ...]
    fingerprint: str
    not_after: datetime | None
    level: int
    before: int
    resolved: bool
    owner: str
    whom: tuple[str, ...]
    service: str
    environment: str
    targets: tuple[str, ...]
    reason: str
    failed: str
    next: str
    you: str
    told_at: datetime

    @property
    def until(self) -> str:
        """The end of what serves, for people."""
        return moment(self.not_after) if self.not_after else "nothing serves yet"


def alert(record: ManagedRecord, decision: Decision, level: int, now: datetime) -> Alert:
    """The message that a renewal does not succeed."""
    reason = record.failure if record.attempts else decision.reason
    return _alert(
        record,
        level,
        now,
        resolved=False,
        reason=reason,
        failed=_failed(record, decision),
        next=_next(decision),
        you=_you(record, reason, level),
    )


def resolved(record: ManagedRecord, now: datetime) -> Alert:
    """The message that a certificate has left the ladder, for all who were told."""
    level = record.told.level if record.told else 0
    if record.removed_at:
        ended, then = "it is no longer declared", "retires its versions"
    else:
        ended, then = "it is valid and proven again", "renews it when its time comes"
    return _alert(record, level, now, resolved=True, reason="", failed=ended, next=then, you=NOTHING)


def _alert(record: ManagedRecord, level: int, now: datetime, *, resolved: bool, **texts: str) -> Alert:
    declared, serving = record.declared, record.serving
    return Alert(
        id=hashlib.sha256(f"perennial alert\n{record.name}".encode("utf-8", "surrogatepass")).hexdigest()[:32],
        name=clean(record.name, MAX_NAME),
        names=_some(declared.request.names),
        fingerprint=serving.fingerprint if serving else "",
        not_after=serving.not_after if serving else None,
        level=level,
        before=record.told.level if record.told else 0,
        resolved=resolved,
        owner=clean(declared.request.owner, MAX_NAME),
        whom=_whom(record, level),
        service=clean(declared.service, MAX_NAME),
        environment=clean(declared.environment, MAX_NAME),
        targets=_some(map(_target, declared.targets)),
        told_at=now,
        **{name: clean(text, MAX_TEXT) for name, text in texts.items()},
    )


def _whom(record: ManagedRecord, level: int) -> tuple[str, ...]:
    """The contacts of a level and of all below it, each once."""
    contacts = record.declared.contacts
    groups = ((record.declared.request.owner,), contacts.team, (*contacts.business, *contacts.on_call))
    told = [each for group in groups[: max(level, 1)] for each in _some(group)]
    return tuple(dict.fromkeys(each for each in told if each))


def _target(settings: TargetSettings) -> str:
    """A target as people know it: its name, and what is asked for there."""
    hosts = settings.names or settings.endpoints
    return f"{settings.name} ({', '.join(_some(hosts)) or settings.kind})"


def _failed(record: ManagedRecord, decision: Decision) -> str:
    if record.attempts:
        what = record.failed or "the renewal"
        times = f", attempt {record.attempts}" if record.attempts > 1 else ""
        return f"{what} failed ({record.failure}{times}): {_said(record.failure_message)}"
    return _said(decision.why) or "it is not renewed yet"


def _said(message: str) -> str:
    """A message without the advice at its end, which an alert gives apart."""
    return message.partition(" Next: ")[0]


def _next(decision: Decision) -> str:
    does = _NEXT.get(decision.step, _OTHERWISE)
    return f"{does}, {moment(decision.at)}" if decision.at and does != _OTHERWISE else does


def _you(record: ManagedRecord, reason: str, level: int) -> str:
    """What a person must do. Nothing, as long as it may pass by itself and time is left."""
    look = f"see what holds it up (perennial why {record.name})"
    if not record.attempts and reason not in _PASSES:
        return NOTHING if level < 2 else look
    if reason in _PASSES:
        return NOTHING if level < 2 else f"{_PASSING.get(reason, look)}; then: perennial renew {record.name} --force"
    return f"{_advice(record, reason) or look}; then: perennial renew {record.name} --force"


def _advice(record: ManagedRecord, reason: str) -> str:
    """The next step that the failed workflow names for a reason, "" where it names none."""
    from perennial import issuance_failure, rollout  # they act; only their words are wanted here

    of_rollout = record.failed.startswith("rollout ") or record.failed == ROLLOUT_REFUSED
    return (rollout.NEXT_STEPS if of_rollout else issuance_failure.NEXT_STEPS).get(reason, "")


# --- texts ---


def clean(text: str, length: int) -> str:
    """A text on one line, of at most so many characters, that shows as itself and that nobody takes for markup."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 4 * length])
    return " ".join(printable.translate(_INSTEAD).split())[:length].strip()


def moment(at: datetime) -> str:
    """A time for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _some(texts: Iterable[str]) -> tuple[str, ...]:
    """The first of some texts, and how many more there are."""
    found = list(texts)
    shown = [clean(each, MAX_NAME) for each in found[:MAX_SHOWN]]
    return (*shown, *([f"and {len(found) - MAX_SHOWN} more"] if len(found) > MAX_SHOWN else []))


def subject(alert: Alert) -> str:
    """One line, at most 100 printable ASCII characters: what SNS takes for the subject of a mail."""
    ends = f"until {alert.not_after:%Y-%m-%d %H:%M} UTC" if alert.not_after else "nothing serves yet"
    word = "Resolved" if alert.resolved else ("Emergency" if alert.level == len(LEVELS) - 1 else "Not renewed")
    return f"{word}: {alert.name[:60]}, {ends}".encode("ascii", "replace").decode()[:MAX_SUBJECT]


def lines(alert: Alert) -> Iterator[str]:
    """The message for people, line by line."""
    facts = {
        "Certificate": f"{alert.name}: {', '.join(alert.names)}",
        "Valid until": alert.until,
        "Fingerprint": alert.fingerprint,
        "Services": ", ".join(alert.targets) or "no target is declared",
        "Business": alert.service,
        "Environment": alert.environment,
        "Resolved" if alert.resolved else "What failed": alert.failed,
        "Perennial": alert.next,
        "You": alert.you,
        "Told": f"{', '.join(alert.whom)} (level {alert.level}, {LEVELS[alert.level]})",
    }
    yield from (f"{label}: {text}" for label, text in facts.items() if text)
    if not alert.resolved:
        yield f"To stop repetitions: perennial alerts ack {alert.name}"
