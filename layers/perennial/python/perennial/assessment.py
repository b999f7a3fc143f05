"""From a place and the checks to findings, and the time to look again. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from perennial import __version__
from perennial.checks.interface import Check, Subject, Verdict
from perennial.findings import Finding
from perennial.manifest import Sighting
from perennial.settings import Settings

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
    """Whether the certificate chains to a publicly trusted root: as ACM's type says of what Amazon issued, else as its
    chain shows. None: unknown."""
    said: Mapping[str, bool] = {"AMAZON_ISSUED": True, "PRIVATE": False}
    return said.get(sighting.attributes.get("type", ""), sighting.attributes.get("public"))


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


def rules(checks: Mapping[str, Check], settings: Settings) -> str:
    """A mark of everything that verdicts depend on beside certificates and time: other checks, other expectations or
    another way to owners make another mark, and then what did not change is assessed again too."""
    texts = [(each.id, each.severity, each.title, each.remediation) for each in checks.values()]
    told = repr((__version__, sorted(texts), settings.checks, settings.ownership))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order in which a person should read them: severity, then the end of the certificate, then the resource."""
    return sorted(
        findings,
        key=lambda each: (each.severity.rank, each.not_after is None, each.not_after or 0, each.check, each.location),
    )
