"""The audit trail: the one place that writes it, and what it is asked.

    audit.append(inventory, happened(now, principal=…, source="api", action="managed.renew", …), now)

What changes one item of the table is appended in the transaction that changes it: the inventory's `save_managed`,
`save_version` and `save_rollout` take the event. What is done elsewhere is appended before it is done.

The trail is kept by the inventory in hash chains (`audit_chain`), which checkpoints cover (`audit_checkpoint`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from perennial import audit_checkpoint, audit_export
from perennial.audit_chain import Chain, Link
from perennial.audit_event import Event
from perennial.audit_export import Contents
from perennial.audit_json import written
from perennial.audit_settings import MAX_RETENTION
from perennial.errors import (
    InvalidConfiguration,
    InvalidInput,
    NotFound,
    PolicyViolated,
    ServiceRefused,
)

if TYPE_CHECKING:
    from perennial.audit_actor import Actor
    from perennial.audit_checkpoint import Checkpoint
    from perennial.deployment import Deployment
    from perennial.inventory.store import Inventory

LATE = timedelta(hours=1)  # how old an event may be as it is appended; the checkpoints of its day wait as long
EARLY = timedelta(minutes=5)  # by which clocks may differ
UNCOVERED = timedelta(days=7)  # that the first checkpoint of all looks back
REFUSALS = (InvalidInput, NotFound, PolicyViolated, ServiceRefused)  # of what was asked: asking again changes nothing
MOST = 10_000  # events of one answer


def append(inventory: Inventory, event: Event, now: datetime) -> Link:
    """Append an event to the trail. The same event again is the link that it has.

    Raises: InvalidInput for one that may not be kept, also for one of another time than now; ConcurrentChange,
    Throttled, Unavailable: append the same event again.
    """
    if not now - LATE <= event.at <= now + EARLY:
        raise InvalidInput(f"an audit event of {written(event.at)} is appended at {written(now)}; give the time of now")
    return inventory.append_audit(event)


@contextmanager
def refusals(
    inventory: Inventory, actor: Actor, action: str, name: str, now: datetime, *, owner: str = "", after: Any = None
) -> Iterator[None]:
    """Append the event of what someone asked for a managed certificate where the block refuses it, and raise that.

    Raises: what the block raises; what `append` does where the refusal could not be kept.
    """
    try:
        yield
    except REFUSALS as error:
        append(inventory, actor.was_refused(now, action, name, error, owner=owner, after=after), now)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which events: from `since` on and before `until` (UTC); of a subject (its kind and name), by a principal; of an
    action, of an outcome. "" asks for any."""

    since: datetime
    until: datetime
    kind: str = ""
    subject: str = ""
    principal: str = ""
    action: str = ""
    outcome: str = ""


def asked(inventory: Inventory, question: Question, limit: int = 100) -> list[Link]:
    """The events of a question, the newest first. By subject and by principal it reads what is about them; by time
    alone, the days.

    Raises: InvalidInput.
    """
    if question.subject and not question.kind:
        raise InvalidInput("a subject is named by its kind too, as managed shop")
    return list(islice(filter(question_fits(question), _source(inventory, question)), min(limit, MOST)))


def _source(inventory: Inventory, question: Question) -> Iterator[Link]:
    since, until = question.since, question.until
    if question.subject:
        return inventory.audit_of(question.kind, question.subject, since, until)
    if question.principal:
        return inventory.audit_by(question.principal, since, until)
    return inventory.audit_between(since, until)


def question_fits(question: Question) -> Callable[[Link], bool]:
    """Whether a link is what is asked for."""
    wanted = {
        "subject_kind": question.kind,
        "subject": question.subject,
        "principal": question.principal,
        "action": question.action,
        "outcome": question.outcome,
    }
    facts = {name: value for name, value in wanted.items() if value}

    def fits(link: Link) -> bool:
        within = question.since <= link.event.at < question.until
        return within and all(getattr(link.event, name) == value for name, value in facts.items())

    return fits


# --- export ---


def export(inventory: Inventory, days: tuple[str, ...], now: datetime, pem: Callable[[str], str]) -> Iterator[str]:
    """The lines of an export of whole days, oldest first, as they are now. `pem`: from the ARN of a key to its public
    half. The checkpoints are read before the chains, so that none covers more than the export has.

    Raises: InvalidInput where the table holds what Perennial did not write; what AWS's errors mean.
    """
    checkpoints = tuple(inventory.checkpoints_of(days))
    counts = _counts(inventory, days)
    contents = Contents(since=days[0], until=days[-1], exported_at=now, counts=counts)
    keys = {name: pem(name) for name in dict.fromkeys(each.key_id for each in checkpoints)}
    links = chain.from_iterable(inventory.audit_chain(each, count) for each, count in sorted(counts.items()))
    return audit_export.lines(contents, keys, checkpoints, links)


def ocsf(inventory: Inventory, days: tuple[str, ...]) -> Iterator[str]:
    """The events of whole days, oldest first in each of their chains, each as a line of OCSF in JSON.

    Raises: as `export`.
    """
    import json

    from perennial.audit_ocsf import ocsf as document

    for each, count in sorted(_counts(inventory, days).items()):
        for link in inventory.audit_chain(each, count):
            yield json.dumps(document(link), sort_keys=True, separators=(",", ":"))


def _counts(inventory: Inventory, days: tuple[str, ...]) -> Mapping[Chain, int]:
    return {each: head.number for day in days for each, head in inventory.audit_heads(day).items()}


# --- checkpoints ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """With what checkpoints are made: the key that signs them, and the bucket that keeps them for `retention`."""

    kms: Any
    key_id: str
    s3: Any
    bucket: str
    retention: timedelta


def lock_of(deployment: Deployment) -> Lock:
    """What the stack gives the function that makes checkpoints.

    Raises: InvalidConfiguration.
    """
    days = deployment.named("PERENNIAL_AUDIT_RETENTION_DAYS")
    if not days.isdecimal() or not 1 <= int(days) <= MAX_RETENTION:
        raise InvalidConfiguration(
            f"PERENNIAL_AUDIT_RETENTION_DAYS is no number from 1 to {MAX_RETENTION}; deploy again"
        )
    return Lock(
        kms=deployment.clients("kms"),
        key_id=deployment.named("PERENNIAL_AUDIT_KEY_ARN"),
        s3=deployment.clients("s3"),
        bucket=deployment.named("PERENNIAL_AUDIT_BUCKET"),
        retention=timedelta(days=int(days)),
    )


def checkpoint(inventory: Inventory, lock: Lock, now: datetime) -> list[Checkpoint]:
    """Make a checkpoint of each day that has events which none covers yet. Returns those that were made.

    A checkpoint is kept in the table first and locked away then: one whose maker died in between is locked away by the
    next run. Days are looked at from that of the last checkpoint on, and yesterday as long as events may be late.
    A day whose chains are shorter than they were is not signed over, and told once the others are made.
    Raises: ConcurrentChange where another run made one meanwhile; ServiceRefused where chains were cut, or the table
    was set back; what AWS's errors mean.
    """
    last = inventory.last_checkpoint()
    if last:
        audit_checkpoint.lock_away(lock.s3, lock.bucket, last, lock.retention)
    made, cut = [], []
    for day in _open_days(last, now):
        planned = audit_checkpoint.next_checkpoint(last, inventory.audit_heads(day), day, now)
        before = inventory.last_checkpoint(day)
        if before and audit_checkpoint.is_cut(before, planned):
            cut.append(day)
        elif planned.heads and not (before and before.heads == planned.heads):
            last = _made(inventory, lock, planned)
            made.append(last)
    if cut:
        raise ServiceRefused(
            f"the audit trail of {', '.join(cut)} has fewer events than its last checkpoint saw, or others: the table "
            "was tampered with; run perennial audit export and verify, and look for who wrote the table"
        )
    return made


def _open_days(last: Checkpoint | None, now: datetime) -> tuple[str, ...]:
    """The days that may have got events since the last checkpoint."""
    from perennial.inventory.audit import MAX_DAYS, days_of

    since = min(last.at, now) - timedelta(days=1) if last else now - UNCOVERED
    return days_of(max(since, now - timedelta(days=MAX_DAYS - 1)), now + EARLY + timedelta(microseconds=1))


def _made(inventory: Inventory, lock: Lock, planned: Checkpoint) -> Checkpoint:
    signed = audit_checkpoint.sign(lock.kms, lock.key_id, planned)
    inventory.keep_checkpoint(signed)
    audit_checkpoint.lock_away(lock.s3, lock.bucket, signed, lock.retention)
    return signed
