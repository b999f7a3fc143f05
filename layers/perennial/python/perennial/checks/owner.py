"""Certificates that nobody answers for."""

from __future__ import annotations

from datetime import datetime

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.wording import about_place
from perennial.manifest import Role


def _missing(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    return about_place(None if subject.owner else "No tag, name or account says who owns it.")


CHECKS = (
    Check(
        id="owner.missing",
        severity=Severity.LOW,
        title="The certificate has no owner",
        remediation=(
            "Tag the certificate, or what it is attached to, with its owner, "
            "or name the owner of its host names or account in the [ownership] settings."
        ),
        cites="AWS Well-Architected Framework OPS02-BP01 (resources have identified owners); [ownership] settings",
        applies=lambda subject: subject.owner_known and subject.sighting.role is not Role.ANCHOR,
        run=_missing,
    ),
)
