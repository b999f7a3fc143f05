"""What the inventory returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from perennial.certificate import Certificate
from perennial.findings import Finding
from perennial.manifest import Scope, Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSummary:
    """A line of a list of certificates. `gone_at`: since when it is nowhere any more; None while it is somewhere."""

    fingerprint: str
    title: str
    issuer: str | None
    serial: str | None
    not_after: datetime | None
    key: str | None
    owner: str | None
    gone_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingRecord:
    """A sighting as kept: when it was first seen there, and since when it is gone."""

    scope: Scope
    sighting: Sighting
    first_seen: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """All that is known of one certificate: facts, where it is held and was, what is attached, what is wrong."""

    certificate: Certificate
    owner: str | None
    first_seen: datetime
    gone_at: datetime | None
    held: tuple[SightingRecord, ...]
    attached: tuple[SightingRecord, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRecord:
    """What an assessment needs of one place. `held` is None when only attachments to it are known."""

    place: str
    held: SightingRecord | None
    attached: tuple[SightingRecord, ...]
    findings: tuple[Finding, ...]
    due_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFinding:
    """A finding that is leased for publication. `told`: people and the event bus know this very state already."""

    finding: Finding
    due_at: str
    attempts: int
    told: bool


class ScopeStatus(StrEnum):
    """How a scope's last scan ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # with the reason; its sightings stay as they were
    CONTINUE = "continue"  # out of time; goes on where it stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRecord:
    """A scope's last scan. `completed_at` is the `last_seen` of all its sightings."""

    scope: Scope
    status: ScopeStatus
    reason: str | None
    message: str | None
    attempted_at: datetime
    completed_at: datetime | None
    sightings: int
    run: str | None
    rules: str | None = None  # the mark of what its places were judged by (`assessment.rules`)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One execution of Discovery."""

    run: str
    started_at: datetime
    completed_at: datetime | None
    scopes: int
    incomplete: int


class DueKind(StrEnum):
    """What is due."""

    SCAN = "scan"  # a scope, after an event
    ASSESS = "assess"  # a place, after a change or when time alone changes a verdict
    PUBLISH = "publish"  # a finding, after a change or before it would be forgotten


@dataclass(frozen=True, slots=True)
class Due:
    """An entry of the due index: which item, since when."""

    kind: DueKind
    pk: str
    sk: str
    due_at: str
