"""Requests and the audit trail: every change of a request is one event, whoever dies in between.

The event is written with the request (an outbox), then appended to the trail, then the request says that it is there.
Who dies in between leaves the request due, and whoever takes it up appends the same event, which is in the trail once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perennial import approvals, audit, postponed
from perennial.audit_actor import line
from perennial.audit_event import REFUSED, Event, fitting, happened
from perennial.change_request import ChangeRequest, RequestState, Wish
from perennial.clients import meant
from perennial.errors import ConcurrentChange, NotAllowed, PerennialError
from perennial.issuers.acme_reading import bounded

if TYPE_CHECKING:
    from perennial.deployment import Deployment
    from perennial.roles import Person, Refusal

PERENNIAL = "perennial"  # who acts where no person does
OLDEST = audit.LATE - timedelta(minutes=10)  # how old an event may be and still be appended as it is
MAX_REASON = 2_000  # characters, as the trail takes them


def keep(
    hub: Deployment, request: ChangeRequest, event: Event, now: datetime, before: RequestState | None
) -> ChangeRequest:
    """Write a request with the event of its change, and bring that into the trail. Returns the request as it is then.

    Where the trail takes nothing now, the change has been made all the same: the tick brings the event in.
    Raises: ConcurrentChange when it was written since it was read; what AWS's errors mean.
    """
    more = replace(request, untold=(*request.untold, event))
    kept = hub.inventory.save_change_request(more, approvals.due_at(more, now), before)
    try:
        return settle(hub, kept, now)
    except PerennialError as error:
        if not error.retry:
            raise
        postponed.log("bringing a request into the audit trail", error, request=kept.id)
        return kept


@meant("bringing a request into the audit trail")
def settle(hub: Deployment, request: ChangeRequest, now: datetime) -> ChangeRequest:
    """Bring into the trail what it may not have yet, and write that it is there."""
    if not request.untold:
        return request
    for each in request.untold:
        late = now - each.at > OLDEST  # the trail takes events of the last hour
        audit.append(hub.inventory, replace(each, at=now) if late else each, now)
    told = replace(request, untold=())
    try:
        return hub.inventory.save_change_request(told, approvals.due_at(told, now), request.state)
    except ConcurrentChange:  # whoever changed it has the events with it, and settles them
        return hub.inventory.change_request(request.id)


def event(
    request: ChangeRequest, action: str, now: datetime, *, before: ChangeRequest | None = None, **more: Any
) -> Event:
    """An event about a request. `more`: principal, source, why, outcome and reason, where they are not those of a step
    that no person does.

    Raises: InvalidInput where the words of who acts look like a secret.
    """
    return happened(
        now,
        **{
            "principal": PERENNIAL,
            "source": "workflow",
            "action": action,
            "subject_kind": "request",
            "subject": request.id,
            "owner": bounded(request.owner, 500),
            "request": request.id,
            "before": fitting(facts(before)) if before else None,
            "after": fitting(facts(request)),
            **more,
        },
    )


def facts(request: ChangeRequest) -> dict[str, Any]:
    """What the trail keeps of a request."""
    from perennial.declaration import document

    wish = request.wish
    asked = {name: value for name in ("version", "why", "force") if (value := getattr(wish, name))}
    declared = {"declared": document(wish.declared)} if wish.declared else {}
    decisions = [{"by": each.principal, "verdict": str(each.verdict)} for each in request.decisions]
    return {
        "kind": str(wish.kind),
        "managed": wish.managed,
        "digest": request.digest,
        "state": str(request.state),
        "needs": list(approvals.told(request.needs)),
        "decisions": decisions,
        "message": request.message,
        **asked,
        **declared,
    }


def refuse(
    hub: Deployment, person: Person, request: ChangeRequest, action: str, why: Refusal | str, source: str, now: datetime
) -> NotAllowed:
    """The error of a refusal, which is in the trail then."""
    words = why if isinstance(why, str) else why.words
    told: dict[str, Any] = {"principal": _principal(person), "source": source, "outcome": REFUSED}
    told["reason"] = _line(words)
    audit.append(hub.inventory, event(request, action, now, **told), now)
    return NotAllowed(words)


def refuse_wish(hub: Deployment, person: Person, wish: Wish, owner: str, why: str, source: str, now: datetime) -> None:
    """Bring into the trail that a wish was refused: what was asked, and why."""
    told = happened(
        now,
        principal=_principal(person),
        source=source,
        action="request.create",
        subject_kind="managed",
        subject=bounded(wish.managed, 100) or "unnamed",
        owner=bounded(owner, 500),
        after=fitting({"kind": str(wish.kind), "managed": wish.managed}),
        outcome=REFUSED,
        reason=_line(why),
    )
    audit.append(hub.inventory, told, now)


def _principal(person: Person) -> str:
    return person.principal or "nobody"


def _line(words: str) -> str:
    return line(words.replace("\n", "; "), MAX_REASON) or "refused"
