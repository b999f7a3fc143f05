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
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's verdict on one resource. `place` is what was assessed, `location` what the problem is about: the
    place itself or something attached to it."""

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

    def __bool__(self) -> bool:
        return bool(self.opened or self.changed or self.resolved)


def difference(before: Iterable[Finding], now: Iterable[Finding], at: datetime) -> FindingsDifference:
    """Compare the open findings of one place with today's verdicts. The time of opening is kept."""
    were: Mapping[str, Finding] = {each.id: each for each in before if each.state is State.OPEN}
    are = {each.id: each for each in now}
    return FindingsDifference(
        opened=tuple(each for key, each in are.items() if key not in were),
        changed=tuple(
            replace(each, opened_at=were[key].opened_at)
            for key, each in are.items()
            if key in were and told(each) != told(were[key])
        ),
        resolved=tuple(
            replace(each, state=State.RESOLVED, updated_at=at) for key, each in were.items() if key not in are
        ),
    )


def told(finding: Finding) -> tuple[str | None, ...]:
    """What a reader is told; the times are not part of it, so that the same state never alerts twice."""
    return (finding.detail, finding.severity, finding.owner, finding.fingerprint, finding.resource, finding.subject)
