"""Certificates that were requested and did not come."""

from __future__ import annotations

from datetime import datetime, timedelta

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import instant
from perennial.checks.wording import about_place, on
from perennial.manifest import Role

WAITING = "PENDING_VALIDATION"
REFUSED = ("VALIDATION_TIMED_OUT", "FAILED")


def requested(subject: Subject) -> bool:
    """Whether ACM has yet to issue it, or will not: then there is no certificate to read, and that is no defect."""
    status = subject.sighting.attributes.get("status")
    return subject.sighting.role is Role.STORED and subject.scope.source == "acm" and status in (WAITING, *REFUSED)


def _stuck_at(subject: Subject) -> datetime | None:
    since = instant(subject.sighting, "changed_at")
    return since + timedelta(days=subject.organisation.stuck_days) if since else None


def _stuck(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    status = subject.sighting.attributes.get("status")
    if status in REFUSED:
        return about_place(f"ACM gave the request up: {status}.")
    at = _stuck_at(subject)
    return about_place(f"It should have been validated by {on(at)}." if at is not None and now >= at else None)


def _changes_at(subject: Subject, now: datetime) -> datetime | None:
    at = _stuck_at(subject)
    waiting = subject.sighting.attributes.get("status") == WAITING
    return at if waiting and at is not None and now < at else None


CHECKS = (
    Check(
        id="issuance.stuck",
        severity=Severity.LOW,
        title="A requested certificate was not issued",
        remediation=(
            "Put the validation CNAME that aws acm describe-certificate shows into the public DNS zone "
            "and request again, or delete the request."
        ),
        cites="ACM User Guide, Troubleshoot certificate requests",
        applies=requested,
        run=_stuck,
        changes_at=_changes_at,
    ),
)
