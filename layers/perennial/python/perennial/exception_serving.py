"""What is due for exceptions: they are told, begin, are announced, end. Each step is written before the next begins.

Assess and Publish run in one workflow. Publish serves exceptions first: it may tell people. What that makes due for
assessment, the next run takes, a minute later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from perennial import audit, audit_event, exception_event, exception_message, suppression, telling
from perennial.audit_event import Event, happened
from perennial.audit_json import canonical
from perennial.clients import meant
from perennial.errors import ConcurrentChange, PerennialError
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection, may_cover
from perennial.exception_steps import (
    BY_SETTINGS,
    BY_TIME,
    NOT_DECIDED,
    Step,
    announced,
    done,
    due_at,
    next_step,
    postponed,
    swept,
)

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.inventory.store import Inventory

AT_ONCE = 100
PLACES = 500  # that are made due together
FEW = 100  # certificates whose places are asked for one by one
BY = "perennial"  # who ends an exception by time


def serve_due(deployment: Deployment, *, now: datetime, deadline: datetime) -> PerennialError | None:
    """Serve the exceptions that are due. Returns the first trouble: what failed is tried again by its due entry, and
    the others are served all the same."""
    trouble: PerennialError | None = None
    with meant("exceptions: what is due"):
        forbidden = _forbidden(deployment)
        ids = list(deployment.inventory.exceptions_due(now, AT_ONCE))
    for record in forbidden:
        error = _ended_by_settings(deployment, record, now)
        trouble = trouble or error
    for each in ids:
        if deployment.clock() >= deadline:
            break
        error = serve(deployment, each, now)
        trouble = trouble or error
    return trouble


def serve(deployment: Deployment, exception_id: str, now: datetime) -> PerennialError | None:
    """Do every step of an exception that is due. Returns what failed, which is tried again later."""
    days = deployment.settings.exceptions.announce_days
    try:
        with meant(f"exceptions: {exception_id}"):
            record = deployment.inventory.exception(exception_id)
            step = next_step(record, days, now)
            if step is None:  # its time moved, as other days are configured
                save(deployment, record, record.state, now)
            while step:
                record, failed = _tried(deployment, record, step, now)
                if failed:
                    return failed
                step = next_step(record, days, now)
    except ConcurrentChange:  # someone else is at it, and what they wrote is due in its turn
        return None
    except PerennialError as error:  # the table did not answer; it is still due
        return error
    return None


def _tried(
    deployment: Deployment, record: ExceptionRecord, step: Step, now: datetime
) -> tuple[ExceptionRecord, PerennialError | None]:
    try:
        with meant(f"exceptions: {step} of {record.id}"):
            after = _ACTS[step](deployment, record, now)
    except ConcurrentChange:
        raise
    except PerennialError as error:
        return save(deployment, postponed(record, str(error), now), record.state, now), error
    return save(deployment, done(after), record.state, now), None


def save(deployment: Deployment, record: ExceptionRecord, was: ExceptionState, now: datetime) -> ExceptionRecord:
    """Write an exception as it is now, due when something is next to be done.

    Raises: ConcurrentChange.
    """
    due = due_at(record, deployment.settings.exceptions.announce_days)
    return deployment.inventory.save_exception(record, was, due, now)


# --- the trail ---


def recorded(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """An exception whose last change is in the audit trail."""
    if not record.event:
        return record
    return save(deployment, _record(deployment, record, now), record.state, now)


def _record(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """Append the event of a change. The same event again is the link that it has; one that could not be appended for so
    long that the trail's day is closed is told with the time of now."""
    event = audit_event.of(json.loads(record.event))
    if now - event.at > audit.LATE:
        event = replace(event, at=now)
    audit.append(deployment.inventory, event, now)
    return replace(record, event="")


def event_text(event: Event) -> str:
    """An audit event as it is kept with the exception until it is in the trail."""
    return canonical(audit_event.document(event))


def summary(record: ExceptionRecord) -> dict[str, Any]:
    """What the trail says of an exception."""
    told = {
        "state": str(record.state),
        "rule": record.rule,
        "selection": record.selection.given(),
        "reason": record.reason,
        "owner": record.owner,
        "ends": record.ends,
        "asked_by": record.asked_name,
        "decided_by": record.decided_name,
        "decision": record.decision,
        "ended_by": record.ended_name,
        "ended_why": record.ended_why,
    }
    return {name: value for name, value in told.items() if value}


# --- end ---


def _forbidden(deployment: Deployment) -> list[ExceptionRecord]:
    """The exceptions whose rule is never suspended any more, since perennial.toml was changed."""
    never = deployment.settings.exceptions.forbidden
    return [each for each in deployment.inventory.active_exceptions() if never(each.rule)]


def _ended_by_settings(deployment: Deployment, record: ExceptionRecord, now: datetime) -> PerennialError | None:
    """End one of these. It suspends nothing already (`Deployment.active_exceptions`); what it covered is looked at."""
    ended = replace(_ended(record, BY_SETTINGS, now), sweep_at=now)
    try:
        save(deployment, ended, record.state, now)
    except ConcurrentChange:  # someone else ends it
        return None
    except PerennialError as error:
        return error
    return None


def _end(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """Its time is over. What it covered is due at the same moment by itself: the places' own entries say so."""
    return _ended(record, BY_TIME if record.state is ExceptionState.ACTIVE else NOT_DECIDED, now)


def _ended(record: ExceptionRecord, why: str, now: datetime) -> ExceptionRecord:
    ended = replace(record, state=ExceptionState.ENDED, ended_name=BY, ended_at=now, ended_why=why, sweep_at=None)
    event = happened(
        now,
        principal=BY,
        source="tick",
        action="exception.end",
        subject_kind="exception",
        subject=record.id,
        owner=record.owner,
        before=audit_event.fitting(summary(record)),
        after=audit_event.fitting(summary(ended)),
        why=why,
    )
    return replace(ended, event=event_text(event))


# --- sweep ---


def _sweep(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """Make due for assessment what the exception may cover, or covered. Twice is harmless."""
    places = iter(dict.fromkeys(_touched(deployment.inventory, record)))
    while batch := list(islice(places, PLACES)):
        deployment.inventory.assess_soon(batch, now)
    return swept(record, now)


def _touched(inventory: Inventory, record: ExceptionRecord) -> Iterator[str]:
    """The places that an exception may cover, or whose findings it covered.

    What is named by a few certificates is found by these. Everything else is found by the index of findings: what is
    read grows with the open findings of one severity, or with all that are suppressed, and not with the certificates.
    """
    from perennial.checks import CHECKS

    if record.state is ExceptionState.ENDED:
        return (each.place for each in inventory.suppressed_findings() if each.exception == record.id)
    check = CHECKS.get(record.rule)
    if check is None:  # a policy rule; or a check of another release, which finds nothing
        return iter(())
    named = _fingerprints(inventory, record.selection)
    if named is not None and len(named) <= FEW:
        return chain.from_iterable(map(inventory.places_of, sorted(named)))
    return (
        each.place
        for each in inventory.open_findings_of(check.id, check.severity)
        if (named is None or each.fingerprint in named)
        and may_cover(record.selection, suppression.facts_of(each, None, suppression.NOTHING))
    )


def _fingerprints(inventory: Inventory, selection: Selection) -> frozenset[str] | None:
    """Among which certificates those are that a selection covers; None where it names none."""
    if selection.fingerprint:
        return frozenset({selection.fingerprint})
    if selection.managed:
        return inventory.fingerprints_of(selection.managed)
    if selection.name:
        found = inventory.named(selection.name, subtree=selection.subtree)
        return frozenset(each.fingerprint for each in found)
    return None


# --- telling ---


def _ask(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """Tell who may grant it that it is asked for, to the event bus and the topic."""
    page = telling.page(deployment)
    told = exception_event.event(record, page)
    telling.put(deployment, lambda bus: exception_event.entry(told, bus, now), "an exception")
    _publish(deployment, exception_message.wanted(record, page), record, "asked")
    return replace(record, told_asked=True)


def _announce(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    days = announced(record, deployment.settings.exceptions.announce_days, now)
    _publish(deployment, exception_message.coming(record, now), record, "ending")
    return replace(record, announced=days)


def _tell(deployment: Deployment, record: ExceptionRecord, now: datetime) -> ExceptionRecord:
    """Tell that it ended, and let the managed certificate that it was for be looked at: its rule holds again."""
    if record.selection.managed:
        deployment.inventory.wake_managed(record.selection.managed, now)
    _publish(deployment, exception_message.ended(record), record, "ended")
    return replace(record, told_end=True)


def _publish(deployment: Deployment, told: tuple[str, Iterable[str]], record: ExceptionRecord, state: str) -> None:
    subject, lines = told
    telling.publish(deployment, subject, lines, exception_message.attributes(record, state))


_ACTS: Mapping[Step, Callable[[Any, ExceptionRecord, datetime], ExceptionRecord]] = {
    Step.RECORD: _record,
    Step.END: _end,
    Step.ASK: _ask,
    Step.SWEEP: _sweep,
    Step.ANNOUNCE: _announce,
    Step.TELL: _tell,
}
