"""The audit trail: who did what. Reading it is an event of its own, which is kept before anything is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from perennial import audit_reading
from perennial.api import pages
from perennial.api.asking import asking
from perennial.api.models import Line, Model, Time
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.routes import route, routes
from perennial.audit import EARLY, Question
from perennial.audit_chain import Link
from perennial.roles import Action

router = routes()
WINDOW = timedelta(days=7)  # that is asked about where `since` is left out


class AuditEvent(Model):
    """One line of the audit trail."""

    reference: str = Field(description="Where it is in the trail.", examples=["2026-11-01.03.17"])
    id: str
    at: datetime
    principal: str = Field(description="Who: an ARN, or issuer#subject.")
    source: str = Field(description="api, cli, tick or workflow.")
    action: str = Field(examples=["managed.renew"])
    kind: str = Field(description="Kind of the subject.", examples=["managed"])
    subject: str = Field(examples=["shop"])
    owner: str
    outcome: str = Field(description="done or refused.")
    reason: str = Field(description="Why it was refused.")
    why: str = Field(description="The words of who asked.")
    request: str = Field(description="Id of the request that it belongs to.")
    before: Any = Field(description="What changed of the subject, as it was.")
    after: Any = Field(description="What changed of the subject, as it is.")
    hash: str = Field(description="SHA-256 of its link in the chain: `perennial audit verify` checks an export by it.")


@route(router, "GET", "/audit", Action.READ_AUDIT, summary="Read the audit trail")
def list_events(
    since: Annotated[Time | None, Query(description="From then on; a week before `until` if left out.")] = None,
    until: Annotated[Time | None, Query(description="Before then; now if left out.")] = None,
    kind: Annotated[
        str | None, Query(pattern="^[a-z][a-z0-9-]{0,39}$", description="Kind of the subject: managed, certificate …")
    ] = None,
    subject: Annotated[Line | None, Query(min_length=1, description="Name of the subject; needs `kind`.")] = None,
    person: Annotated[Line | None, Query(min_length=1, description="Who: an ARN, or issuer#subject.")] = None,
    action: Annotated[
        str | None, Query(pattern=r"^[a-z-]{1,40}\.[a-z-]{1,40}$", description="Only this action: managed.renew …")
    ] = None,
    outcome: Annotated[Literal["done", "refused"] | None, Query(description="Only those with this outcome.")] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[AuditEvent]:
    """What happened, the newest first. `since` and `until` are at most 366 days apart; `kind` alone, `action` and
    `outcome` are looked for in the days, so that a page may be short. That you read is in the trail too."""
    asker = asking(router)
    asker.reach(Action.READ_AUDIT, kind="audit")
    given = {
        "since": since,
        "until": until,
        "kind": kind,
        "subject": subject,
        "person": person,
        "action": action,
        "outcome": outcome,
    }
    question = {"list": "audit", **given}
    after = pages.mark(question, cursor)
    end = until or asker.now + EARLY
    wanted = Question(
        since=since or end - WINDOW,
        until=end,
        kind=kind or "",
        subject=subject or "",
        principal=person or "",
        action=action or "",
        outcome=outcome or "",
    )
    found = audit_reading.page(asker.hub.inventory, wanted, after, limit)
    asked = {name: str(value) for name, value in given.items() if value is not None}
    asker.happened(
        "audit.read", kind="audit", subject=subject or person or "*", after={**asked, "events": len(found.links)}
    )
    return Page[AuditEvent](items=[event_of(each) for each in found.links], next=pages.cursor(question, found.next))


def event_of(link: Link) -> AuditEvent:
    event = link.event
    return AuditEvent(
        reference=link.reference,
        id=event.id,
        at=event.at,
        principal=event.principal,
        source=event.source,
        action=event.action,
        kind=event.subject_kind,
        subject=event.subject,
        owner=event.owner,
        outcome=event.outcome,
        reason=event.reason,
        why=event.why,
        request=event.request,
        before=event.before,
        after=event.after,
        hash=link.hash,
    )
