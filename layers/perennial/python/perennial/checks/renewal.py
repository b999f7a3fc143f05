"""Renewals that do not come: ACM's own that is stuck, and certificates that nothing renews."""

from __future__ import annotations

from datetime import datetime, timedelta

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, leaf, used
from perennial.checks.wording import about_place
from perennial.manifest import Role

ACM_BEGINS = timedelta(days=45)  # before the end of a certificate (ACM User Guide, Managed certificate renewal)
_SAID = {
    "PENDING_VALIDATION": "ACM could not validate every domain name by itself and waits for its owner.",
    "FAILED": "ACM's managed renewal has failed.",
}


def _left_when_stuck(subject: Subject) -> timedelta:
    return ACM_BEGINS - timedelta(days=subject.organisation.stuck_days)


def _stuck(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    status = subject.sighting.attributes.get("renewal_status")
    end = facts(subject).not_after
    if status == "PENDING_AUTO_RENEWAL" and end is not None and end - now <= _left_when_stuck(subject):
        return about_place(f"ACM has tried to renew it for more than {subject.organisation.stuck_days} days.")
    return about_place(_SAID.get(str(status)))


def _becomes_stuck(subject: Subject, now: datetime) -> datetime | None:
    end = facts(subject).not_after
    if subject.sighting.attributes.get("renewal_status") != "PENDING_AUTO_RENEWAL" or end is None:
        return None
    until = end - now - _left_when_stuck(subject)
    return now + until if until > timedelta(0) else None


def _by_acm(subject: Subject) -> bool:
    return subject.sighting.attributes.get("type") in ("AMAZON_ISSUED", "PRIVATE")


def _by_nobody(subject: Subject) -> bool:
    """Held by a service that renews nothing: an import into ACM, an IAM server certificate, a secret."""
    if subject.sighting.role is not Role.STORED or not leaf(subject):
        return False
    imported = subject.sighting.attributes.get("type") == "IMPORTED"
    return imported or subject.scope.source in ("iam", "secretsmanager")


def _none(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    return about_place("It is in use, and the service that holds it does not renew it." if used(subject) else None)


CHECKS = (
    Check(
        id="renewal.stuck",
        severity=Severity.HIGH,
        title="ACM's managed renewal is stuck",
        remediation=(
            "Put the validation CNAME that aws acm describe-certificate shows into DNS and keep it there, answer the "
            "validation e-mail, or let ACM use the private CA again; also look for CAA records that exclude amazon.com."
        ),
        cites="ACM User Guide, Troubleshoot managed certificate renewal",
        applies=lambda subject: _by_acm(subject) and subject.sighting.attributes.get("renewal_status") is not None,
        run=_stuck,
        changes_at=_becomes_stuck,
    ),
    Check(
        id="renewal.none",
        severity=Severity.MEDIUM,
        title="A certificate in use that nothing renews",
        remediation=(
            "Replace it by one that ACM issues and renews (aws acm request-certificate with DNS validation), "
            "or automate its renewal and re-import to the same ARN."
        ),
        cites="ACM User Guide, Managed certificate renewal (imported certificates are not renewed)",
        applies=_by_nobody,
        run=_none,
    ),
)
