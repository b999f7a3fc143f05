"""Whether what depends on time goes on: rules, ticks, Discovery, due entries, checkpoints of the audit trail. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perennial.checks.wording import on
from perennial.doctor import Diagnosis, Topic, Unknown

TOPIC = Topic("schedules")
AUDIT = Topic("audit")
TICK_LATE = timedelta(minutes=5)  # the tick comes each minute
LAG = timedelta(minutes=15)  # of a due entry: longer than any step takes to be started after a busy minute
CHECKPOINT_LATE = timedelta(hours=2)  # checkpoints come each hour
_RATE = re.compile(r"rate\((\d{1,5}) (minute|hour|day)s?\)")
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
CHECKPOINT_ADVICE = "see the log of the function Checkpoint: what no checkpoint covers could be cut off unseen"
ENABLE = "enable it in the EventBridge console, or: aws events enable-rule --name {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFacts:
    """A scheduled rule of the stack."""

    name: str
    enabled: bool
    schedule: str  # rate(12 hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFacts:
    """The last run of Discovery that ended; None where there was none."""

    completed_at: datetime | None
    scopes: int = 0
    incomplete: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFacts:
    """What CloudWatch counted. `anything`: it counted a call of some function of the stack within the day."""

    last: datetime | None
    anything: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFacts:
    """The newest events of the trail that no checkpoint covers: since when; None where all are covered."""

    uncovered_since: datetime | None
    checkpoint_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFacts:
    """Everything about what depends on time. `oldest` has for each kind of due entry since when the oldest is due."""

    rules: tuple[RuleFacts, ...] | Unknown = ()
    tick: TickFacts | Unknown
    discovery: DiscoveryFacts | Unknown
    oldest: Mapping[str, datetime | None] | Unknown = field(default_factory=dict)
    audit: AuditFacts | Unknown


def judge(facts: ScheduleFacts, now: datetime) -> Iterator[Diagnosis]:
    """What is to be said."""
    yield from _rules(facts.rules)
    yield _tick(facts.tick, now)
    yield from _discovery(facts.discovery, _every(facts.rules), now)
    yield from _due(facts.oldest, now)
    yield _audit(facts.audit, now)


def _rules(found: tuple[RuleFacts, ...] | Unknown) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("rules", found.reason)
        return
    disabled = [each for each in found if not each.enabled]
    for each in disabled:
        yield TOPIC.wrong(
            f"rule {each.name}", f"{each.schedule} is disabled: what it starts does not start", _enable(each)
        )
    if not found:
        yield TOPIC.wrong("rules", "the stack has no scheduled rule", "deploy the stack again")
    elif not disabled:
        yield TOPIC.fine("rules", f"all {len(found)} schedules are enabled")


def _enable(rule: RuleFacts) -> str:
    return ENABLE.format(name=rule.name)


def _tick(found: TickFacts | Unknown, now: datetime) -> Diagnosis:
    if isinstance(found, Unknown):
        return TOPIC.unknown("tick", found.reason)
    if found.last and now - found.last <= TICK_LATE:
        return TOPIC.fine("tick", f"the last one was on {on(found.last)}")
    if not found.anything:
        reason = "CloudWatch counted no call of any function within a day"
        return TOPIC.unknown("tick", reason, "either nothing runs here, or nothing is counted: look at the rules")
    last = f"the last one was on {on(found.last)}" if found.last else "there was none within a day"
    return TOPIC.wrong(
        "tick", f"{last}: nothing that is due is started", "see the log of the function Tick, and its rule"
    )


def _every(rules: tuple[RuleFacts, ...] | Unknown) -> timedelta:
    """How often Discovery runs: the longest of the schedules, as all others are hourly or shorter."""
    listed = () if isinstance(rules, Unknown) else rules
    return max((_length(each.schedule) for each in listed), default=timedelta(hours=12)) or timedelta(hours=12)


def _length(schedule: str) -> timedelta:
    match = _RATE.fullmatch(schedule)
    return int(match[1]) * _UNITS[match[2]] if match else timedelta(0)


def _discovery(found: DiscoveryFacts | Unknown, every: timedelta, now: datetime) -> Iterator[Diagnosis]:
    if isinstance(found, Unknown):
        yield TOPIC.unknown("discovery", found.reason)
        return
    start = "start the state machine PerennialDiscovery with the input {}, and look at how its executions end"
    if found.completed_at is None:
        yield TOPIC.wrong("discovery", "it has never ended", start)
    elif now - found.completed_at > 2 * every:
        yield TOPIC.wrong("discovery", f"its last run ended on {on(found.completed_at)}: too long ago", start)
    elif found.incomplete:
        words = f"{found.incomplete} of {found.scopes} scopes of its last run could not be read whole"
        yield TOPIC.warning("discovery", words, "perennial scopes --incomplete says why")
    else:
        yield TOPIC.fine("discovery", f"its last run ended on {on(found.completed_at)}, {found.scopes} scopes")


def _due(oldest: Mapping[str, datetime | None] | Unknown, now: datetime) -> Iterator[Diagnosis]:
    if isinstance(oldest, Unknown):
        yield TOPIC.unknown("due entries", oldest.reason)
        return
    late = {kind: at for kind, at in oldest.items() if at and now - at > LAG}
    for kind, at in late.items():
        words = f"the oldest entry is due since {on(at)}, and was not taken up"
        yield TOPIC.wrong(f"due: {kind}", words, "see the tick above, and the log of the function Tick")
    if not late:
        yield TOPIC.fine("due entries", "nothing is late")


def _audit(found: AuditFacts | Unknown, now: datetime) -> Diagnosis:
    if isinstance(found, Unknown):
        return AUDIT.unknown("checkpoints", found.reason)
    last = f"the last one was made on {on(found.checkpoint_at)}" if found.checkpoint_at else "none was ever made"
    if found.uncovered_since and now - found.uncovered_since > CHECKPOINT_LATE:
        words = f"events since {on(found.uncovered_since)} are in no checkpoint; {last}"
        return AUDIT.wrong("checkpoints", words, CHECKPOINT_ADVICE)
    return AUDIT.fine("checkpoints", last if found.checkpoint_at else "there are no events yet that need one")
