"""Findings: one check's verdict on one resource, and how the verdicts of today differ from those of before. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from perennial.checks.interface import Severity
from perennial.manifest import Scope

REFRESH = timedelta(days=75)  # Security Hub deletes a finding 90 days after its last update


class State(StrEnum):
    """Whether a finding still holds."""

    OPEN = "open"
    SUPPRESSED = "suppressed"  # it holds, and an exception covers it
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's verdict on one resource. `place` is what was assessed, `location` what the problem is about: the
    place itself or something attached to it. `exception` is the id of what suppresses it; one that is resolved keeps
    it where it was suppressed until then."""

    check: str
    severity: Severity
    title: str
    detail: str
    remediation: str
    scope: Scope
    place: str
    location: str
    resource: str
    subject: str  # what a person would call the certificate
    fingerprint: str | None = None
    not_after: datetime | None = None
    owner: str | None = None
    state: State = State.OPEN
    exception: str = ""
    exception_ends: datetime | None = None
    opened_at: datetime
    updated_at: datetime

    @property
    def id(self) -> str:
        """Stable as long as check and location are the same, in all runs and versions; never made of a date."""
        named = f"{self.check}\n{self.scope.account}\n{self.location}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(named).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class FindingsDifference:
    """What to write and tell. A finding that stays as it is appears in none of these."""

    opened: tuple[Finding, ...]
    changed: tuple[Finding, ...]  # still open, but the detail, owner or certificate is another
    resolved: tuple[Finding, ...]
    suppressed: tuple[Finding, ...] = ()  # was open, or was not there, or something of it or its exception is another

    def __bool__(self) -> bool:
        return bool(self.findings)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (*self.opened, *self.changed, *self.resolved, *self.suppressed)


def difference(before: Iterable[Finding], now: Iterable[Finding], at: datetime) -> FindingsDifference:
    """Compare the findings of one place with today's verdicts. The time of opening is kept, but for one that an
    exception covered: when that ends it opens anew."""
    stood: Mapping[str, Finding] = {each.id: each for each in before if each.state is not State.RESOLVED}
    were = {key: each for key, each in stood.items() if each.state is State.OPEN}
    found = {each.id: each for each in now}
    are = {key: each for key, each in found.items() if each.state is State.OPEN}
    return FindingsDifference(
        opened=tuple(each for key, each in are.items() if key not in were),
        changed=tuple(
            replace(each, opened_at=were[key].opened_at)
            for key, each in are.items()
            if key in were and told(each) != told(were[key])
        ),
        resolved=tuple(
            replace(each, state=State.RESOLVED, updated_at=at) for key, each in stood.items() if key not in found
        ),
        suppressed=tuple(
            replace(each, opened_at=stood[key].opened_at if key in stood else each.opened_at)
            for key, each in found.items()
            if each.state is State.SUPPRESSED and (key not in stood or told(each) != told(stood[key]))
        ),
    )


def told(finding: Finding) -> tuple[str | None, ...]:
    """What a reader is told; the times are not part of it, so that the same state never alerts twice."""
    told = (finding.detail, finding.severity, finding.owner, finding.fingerprint, finding.resource, finding.subject)
    if not finding.exception:
        return told
    return (*told, finding.exception, finding.exception_ends.isoformat() if finding.exception_ends else None)
