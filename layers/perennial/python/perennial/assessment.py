"""From a place and the checks to findings, and the time to look again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from perennial.checks.interface import Check, Subject, Verdict
from perennial.findings import Finding
from perennial.manifest import Sighting

MAX_SUBJECT = 300  # characters of what a certificate is called


def assess(subject: Subject, checks: Mapping[str, Check], now: datetime) -> tuple[Finding, ...]:
    """Every problem that the checks see in one subject."""
    return tuple(
        _finding(check, verdict, subject, now)
        for check in checks.values()
        if judged(check, subject)
        for verdict in check.run(subject, now)
    )


def judged(check: Check, subject: Subject) -> bool:
    """Whether enough is known of the subject for this check, and it concerns it."""
    return (subject.full or not check.needs_full) and check.applies(subject)


def again(subject: Subject, checks: Mapping[str, Check], now: datetime) -> datetime | None:
    """The earliest time at which a verdict changes by time alone; None: never."""
    times = (check.changes_at(subject, now) for check in checks.values() if judged(check, subject))
    return min((time for time in times if time is not None), default=None)


def public(sighting: Sighting) -> bool | None:
    """Whether the certificate chains to a publicly trusted root: as its chain shows, or because Amazon's public CA
    issued it, which ACM says by its type. None: unknown."""
    return True if sighting.attributes.get("type") == "AMAZON_ISSUED" else sighting.attributes.get("public")


def _finding(check: Check, verdict: Verdict, subject: Subject, now: datetime) -> Finding:
    sighting = verdict.sighting or subject.sighting
    certificate = subject.certificate
    return Finding(
        check=check.id,
        severity=check.severity,
        title=check.title,
        detail=verdict.detail,
        remediation=check.remediation,
        scope=verdict.scope or subject.scope,
        place=subject.sighting.location,
        location=sighting.location,
        resource=sighting.resource,
        subject=(certificate.title if certificate else sighting.location)[:MAX_SUBJECT],
        fingerprint=certificate.fingerprint if certificate else None,
        not_after=certificate.not_after if certificate else None,
        owner=subject.owner,
        opened_at=now,
        updated_at=now,
    )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order in which a person should read them: severity, then the end of the certificate, then the resource."""
    return sorted(
        findings,
        key=lambda each: (each.severity.rank, each.not_after is None, each.not_after or 0, each.check, each.location),
    )
