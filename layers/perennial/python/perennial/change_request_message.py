"""What approvers are told of a request: what is asked, what policy says, who may decide, and how. Pure.

The message decides nothing. It links to the page where people sign in, if there is one, and has the command.
All texts are written by strangers, and cleaned as those of alerts are (`alert_message`).

| detail-type | when |
| --- | --- |
| Change Request Asked | someone asked for a change, and someone else is to approve or reject it |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perennial import approvals, telling
from perennial.alert_message import MAX_NAME, MAX_SUBJECT, MAX_TEXT, clean, moment
from perennial.change_request import ChangeRequest, Kind
from perennial.declared_changes import changes
from perennial.inventory.records import ManagedRecord

VERSION = "1"
ASKED = "Change Request Asked"  # the event's detail-type
MAX_CHANGES = 20  # fields that are told
MAX_VALUE = 120  # characters of a value
_VERBS = {
    Kind.CREATE: "create",
    Kind.CHANGE: "change",
    Kind.RETIRE: "retire",
    Kind.REVOKE: "revoke",
    Kind.RENEW: "renew",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent:
    """Version 1 of the event on the bus, and all that the message has. Times are ISO 8601 in UTC. No text has a line
    break, a double quote, a backslash or an angle bracket."""

    version: str
    id: str
    kind: str
    certificate: str
    owner: str
    environment: str
    asked_by: str
    asked_at: str
    reason: str
    changes: tuple[str, ...]
    policy: str
    needs: tuple[str, ...]
    expires_at: str
    until: str
    page: str  # a URL with the id; "" where there is no page
    command: str
    subject: str


def event(request: ChangeRequest, record: ManagedRecord | None, page: str) -> RequestEvent:
    """What is told of a request. `record` is the managed certificate as it is, `page` the URL where people decide."""
    wish = request.wish
    needs = tuple(clean(each, MAX_NAME) for each in approvals.told(request.needs))
    return RequestEvent(
        version=VERSION,
        id=request.id,
        kind=str(wish.kind),
        certificate=clean(wish.managed, MAX_NAME),
        owner=clean(request.owner, MAX_NAME),
        environment=clean(request.environment, MAX_NAME),
        asked_by=clean(request.asked_name or request.principal, MAX_NAME),
        asked_at=request.asked_at.isoformat(),
        reason=clean(request.reason, MAX_TEXT),
        changes=tuple(_changes(request, record)),
        policy=f"it is allowed, and needs {' and '.join(needs) or 'nobody'}",
        needs=needs,
        expires_at=request.expires_at.isoformat(),
        until=moment(request.expires_at),
        page=f"{page}#request={request.id}" if page else "",  # a fragment is in no log of a server
        command=f"perennial approve {request.id}",
        subject=_subject(request),
    )


def _changes(request: ChangeRequest, record: ManagedRecord | None) -> Iterator[str]:
    """What is asked, a line each."""
    wish = request.wish
    if wish.declared:
        (found,) = changes([wish.declared], [record] if record and record.removed_at is None else [])[:1]
        for each in found.fields[:MAX_CHANGES]:
            before, after = (clean(each_one, MAX_VALUE) for each_one in (each.before, each.after))
            yield f"{clean(each.field, MAX_VALUE)}: {before + ' becomes ' if before else ''}{after or 'nothing'}"
        if len(found.fields) > MAX_CHANGES:
            yield f"and {len(found.fields) - MAX_CHANGES} more fields"
    elif wish.kind is Kind.REVOKE:
        yield f"version {wish.version} is revoked at its issuer ({clean(wish.why, MAX_VALUE)}), and what serves renewed"
    elif wish.kind is Kind.RETIRE:
        yield "it is no longer renewed; its versions and keys are removed after the grace period"
    else:
        yield "it is renewed now" + (", whatever its windows are" if wish.force else " or in its next window")


def _subject(request: ChangeRequest) -> str:
    """One line, at most 100 printable ASCII characters: what SNS takes for the subject of a mail."""
    text = f"Approval wanted: {_VERBS[request.wish.kind]} {clean(request.wish.managed, 60)}"
    return text.encode("ascii", "replace").decode()[:MAX_SUBJECT]


def lines(told: RequestEvent) -> Iterator[str]:
    """The message for people, line by line."""
    facts = {
        "Request": told.id,
        "Asked": f"{told.kind} {told.certificate}",
        "By": told.asked_by,
        "Why": told.reason,
        "Owner": told.owner,
        "Environment": told.environment,
    }
    yield from (f"{label}: {text}" for label, text in facts.items() if text)
    yield from (f"- {each}" for each in told.changes)
    yield f"Policy: {told.policy}"
    yield f"May decide: {' and '.join(told.needs)}; nobody decides on what they asked for"
    yield f"Until: {told.until}"
    if told.page:
        yield f"Sign in to decide: {told.page}"
    yield f"Or: {told.command}"
    yield f"To refuse: perennial reject {told.id} --reason WORDS"


def attributes(told: RequestEvent) -> telling.Attributes:
    """What subscriptions filter by."""
    texts = {
        "managed": told.certificate,
        "owner": told.owner,
        "environment": told.environment,
        "kind": told.kind,
        "state": "asked",
    }
    return telling.attributes(texts)


def entry(told: RequestEvent, bus: str, at: datetime) -> dict[str, Any]:
    """The event as PutEvents takes it."""
    return telling.entry(ASKED, told, bus, at)
