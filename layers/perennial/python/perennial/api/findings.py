"""Findings: what is wrong now, the worst first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from perennial import finding_search, search
from perennial import findings as library
from perennial.api import pages
from perennial.api.asking import asking
from perennial.api.models import Line, Model
from perennial.api.pages import DEFAULT, Limit, Next, Page
from perennial.api.routes import route, routes
from perennial.checks.interface import Severity
from perennial.findings import State
from perennial.roles import Action

router = routes()


class Finding(Model):
    """One check's verdict on one resource."""

    id: str = Field(description="The same as long as check and location are.")
    check: str = Field(examples=["expiry.soon"])
    severity: Severity
    title: str
    detail: str = Field(description="What was found.")
    remediation: str = Field(description="What to do.")
    subject: str = Field(description="What a person would call the certificate.", examples=["shop.example.com"])
    scope: str = Field(description="account/region/source", examples=["123456789012/eu-west-1/acm"])
    place: str = Field(description="What was assessed.")
    location: str = Field(description="What the problem is about: the place, or something attached to it.")
    resource: str
    fingerprint: str | None = Field(description="Of the certificate: GET /certificates/{fingerprint} has more.")
    not_after: datetime | None
    owner: str | None
    state: State
    exception: str | None = Field(description="Id of the exception that suppresses it.")
    exception_ends: datetime | None = Field(description="When that ends, and the finding returns.")
    opened_at: datetime
    updated_at: datetime


@route(router, "GET", "/findings", Action.READ_FINDINGS, summary="List open findings")
def list_findings(
    severity: Annotated[Severity | None, Query(description="Only those of this severity.")] = None,
    check: Annotated[
        str | None,
        Query(pattern=r"^[a-z0-9_]{1,60}(\.[a-z0-9_]{1,60})?$", description="Only those of this check, or of a topic."),
    ] = None,
    owner: Annotated[Line | None, Query(min_length=1, max_length=128, description="Only those of this owner.")] = None,
    limit: Limit = DEFAULT,
    cursor: Next = None,
) -> Page[Finding]:
    """What is wrong now, the worst severity first. Of one's own teams; roles of the whole organisation see all."""
    asker = asking(router)
    teams = search.teams(asker.reach(Action.READ_FINDINGS, kind="finding"))
    if owner is not None:
        asker.may(Action.READ_FINDINGS, kind="owner", subject=owner, owner=owner)
    within = teams if owner is None else frozenset({owner})
    question = {
        "list": "findings",
        "severity": severity,
        "check": check,
        "teams": sorted(within) if within is not None else None,
    }
    wanted = tuple(Severity) if severity is None else (severity,)
    found = finding_search.page(asker.hub.inventory, wanted, check, within, pages.mark(question, cursor), limit)
    return Page[Finding](items=[finding_of(each) for each in found.findings], next=pages.cursor(question, found.next))


def finding_of(finding: library.Finding) -> Finding:
    return Finding(
        id=finding.id,
        check=finding.check,
        severity=finding.severity,
        title=finding.title,
        detail=finding.detail,
        remediation=finding.remediation,
        subject=finding.subject,
        scope=finding.scope.key,
        place=finding.place,
        location=finding.location,
        resource=finding.resource,
        fingerprint=finding.fingerprint,
        not_after=finding.not_after,
        owner=finding.owner,
        state=finding.state,
        exception=finding.exception or None,
        exception_ends=finding.exception_ends,
        opened_at=finding.opened_at,
        updated_at=finding.updated_at,
    )
