"""Exceptions: asked for by one person, granted or rejected by another, ended early or by time.

    record = exceptions.ask(hub, person, AskedException(rule="keys.weak", selection=…, …), source="api", now=now)
    exceptions.grant(hub, other, record, source="api", now=now)

A change and its audit event are kept in one write; the event then goes to the trail at once, or by the due entry where
that fails. What an exception covers becomes due for assessment by the due entry too (`exception_serving`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perennial import audit, audit_event, exception_asking, exception_serving, exception_steps, postponed
from perennial.audit_actor import line
from perennial.audit_event import REFUSED, Event, happened
from perennial.clients import meant
from perennial.errors import AccessDenied, InvalidInput, PerennialError
from perennial.exception_record import AskedException, ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection
from perennial.identity import linked
from perennial.roles import Action, Person, judge

if TYPE_CHECKING:
    from perennial.deployment import Deployment

__all__ = ["AskedException", "ExceptionRecord", "ExceptionState", "Selection", "ask", "end", "grant", "reject"]

KIND = "exception"
_AUDITED = {  # what is asked for -> the action in the trail
    Action.ASK_EXCEPTION: "exception.create",
    Action.GRANT_EXCEPTION: "exception.approve",
    Action.END_EXCEPTION: "exception.end",
}


@meant("asking for an exception")
def ask(
    hub: Deployment, person: Person, asked: AskedException, *, source: str, now: datetime, request: str = ""
) -> ExceptionRecord:
    """Ask for an exception. Who may ask for their team alone gets one that covers what their team owns.

    `source` is that of audit events, `request` an id to find the call by.
    Raises: InvalidInput with every problem, one a line; AccessDenied, which is audited.
    """
    record = exception_asking.made(hub, person, asked, now)
    for owner in dict.fromkeys((record.owner, record.selection.owner or None)):
        _allowed(hub, person, Action.ASK_EXCEPTION, record, source, now, request, owner=owner)
    event = _event(Action.ASK_EXCEPTION, person, record, source, now, request, before=None, why=record.reason)
    return _keep(hub, replace(record, event=exception_serving.event_text(event)), ExceptionState.ASKED, now)


@meant("granting an exception")
def grant(
    hub: Deployment,
    person: Person,
    record: ExceptionRecord,
    *,
    source: str,
    now: datetime,
    reason: str = "",
    request: str = "",
) -> ExceptionRecord:
    """Grant an exception that someone else asked for. It holds from now on.

    Raises: AccessDenied, which is audited; InvalidInput; ConcurrentChange where someone else decided meanwhile.
    """
    record = _undecided(hub, person, record, source, now, request)
    problems = [
        *exception_asking.of_rule(hub, record.rule),
        *exception_asking.of_end(hub, record.ends, now),
        *exception_asking.of_words("reason", reason, least=0),
    ]
    exception_asking.raise_all(problems)
    granted = replace(
        _decided(record, person, reason, now),
        state=ExceptionState.ACTIVE,
        sweep_at=None if exception_asking.of_policy(record.rule) else now,
    )
    return _changed(hub, person, Action.GRANT_EXCEPTION, "exception.approve", record, granted, source, now, request)


@meant("rejecting an exception")
def reject(
    hub: Deployment,
    person: Person,
    record: ExceptionRecord,
    *,
    reason: str,
    source: str,
    now: datetime,
    request: str = "",
) -> ExceptionRecord:
    """Reject an exception that someone else asked for, with a reason.

    Raises: as `grant`.
    """
    record = _undecided(hub, person, record, source, now, request)
    exception_asking.raise_all(exception_asking.of_words("reason", reason))
    rejected = replace(_decided(record, person, reason, now), state=ExceptionState.REJECTED)
    return _changed(hub, person, Action.GRANT_EXCEPTION, "exception.reject", record, rejected, source, now, request)


@meant("ending an exception")
def end(
    hub: Deployment,
    person: Person,
    record: ExceptionRecord,
    *,
    reason: str,
    source: str,
    now: datetime,
    request: str = "",
) -> ExceptionRecord:
    """End an active exception before its time, with a reason. What it covered is assessed again within minutes.

    Raises: as `grant`.
    """
    record = hub.inventory.exception(record.id)
    _allowed(hub, person, Action.END_EXCEPTION, record, source, now, request, owner=record.owner)
    record = exception_serving.recorded(hub, record, now)
    if not record.holds(now):
        raise InvalidInput(f"the exception {record.id} is {record.state}, and so nothing is to be ended")
    exception_asking.raise_all(exception_asking.of_words("reason", reason))
    ended = replace(
        record,
        state=ExceptionState.ENDED,
        ended_name=person.name,
        ended_at=now,
        ended_why=reason,
        sweep_at=None if exception_asking.of_policy(record.rule) else now,
    )
    return _changed(hub, person, Action.END_EXCEPTION, "exception.end", record, ended, source, now, request)


# --- who may, and the trail ---


def _undecided(
    hub: Deployment, person: Person, record: ExceptionRecord, source: str, now: datetime, request: str
) -> ExceptionRecord:
    """An exception on which nobody has decided, as it is kept now, for someone who may decide on it."""
    record = hub.inventory.exception(record.id)
    _allowed(hub, person, Action.GRANT_EXCEPTION, record, source, now, request, owner=record.owner)
    record = exception_serving.recorded(hub, record, now)
    if record.state is not ExceptionState.ASKED:
        raise InvalidInput(f"the exception {record.id} is {record.state}: on it was decided already")
    return record


def _allowed(
    hub: Deployment,
    person: Person,
    action: Action,
    record: ExceptionRecord,
    source: str,
    now: datetime,
    request: str,
    *,
    owner: str | None,
) -> None:
    """Nothing, where a person may do this. Else the refusal is in the audit trail.

    Raises: AccessDenied.
    """
    asker = linked(record.asked_by, hub.settings.api)
    refusal = judge(person, action, owner, record.environment or None, asked_by=asker)
    if refusal is None:
        return
    refused: dict[str, Any] = {"outcome": REFUSED, "reason": line(refusal.words, audit_event.MAX_WHY), "before": None}
    event = _event(action, person, record, source, now, request, **refused)
    audit.append(hub.inventory, event, now)
    raise AccessDenied(refusal.words)


def _event(
    action: Action,
    person: Person,
    record: ExceptionRecord,
    source: str,
    now: datetime,
    request: str,
    named: str = "",
    **facts: Any,
) -> Event:
    return happened(
        now,
        principal=person.principal or person.name,
        source=source,
        action=named or _AUDITED[action],
        subject_kind=KIND,
        subject=record.id,
        owner=record.owner,
        after=audit_event.fitting(exception_serving.summary(record)),
        request=request,
        **facts,
    )


def _decided(record: ExceptionRecord, person: Person, words: str, now: datetime) -> ExceptionRecord:
    known = tuple(sorted(person.known_as))
    return replace(record, decided_by=known, decided_name=person.name, decided_at=now, decision=words)


def _changed(
    hub: Deployment,
    person: Person,
    action: Action,
    named: str,
    before: ExceptionRecord,
    after: ExceptionRecord,
    source: str,
    now: datetime,
    request: str,
) -> ExceptionRecord:
    was = audit_event.fitting(exception_serving.summary(before))
    why = after.ended_why if after.state is ExceptionState.ENDED else after.decision
    event = _event(action, person, after, source, now, request, named, before=was, why=why)
    untroubled = exception_steps.done(after)  # what failed before the change does not delay what follows it
    made = replace(untroubled, event=exception_serving.event_text(event))
    return _keep(hub, made, before.state, now)


def _keep(hub: Deployment, record: ExceptionRecord, was: ExceptionState, now: datetime) -> ExceptionRecord:
    """Write a change with its audit event, and put the event into the trail. Where only that fails, the change is done,
    and its due entry does the rest."""
    kept = exception_serving.save(hub, record, was, now)
    try:
        return exception_serving.recorded(hub, kept, now)
    except PerennialError as error:  # the event is kept with the exception, which is due at once
        postponed.log("bringing an exception into the audit trail", error, exception=kept.id)
        return kept
