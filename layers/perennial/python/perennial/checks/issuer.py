"""Certificates of CAs that the organisation does not allow."""

from __future__ import annotations

from datetime import datetime

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, leaf
from perennial.checks.wording import about_place, quoted


def _allowed(subject: Subject) -> bool:
    issuer = (facts(subject).issuer or "").casefold()
    return any(each.casefold() in issuer for each in subject.organisation.allowed_issuers)


def _not_allowed(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    return about_place(None if _allowed(subject) else f"Its issuer is {quoted(facts(subject).issuer)}.")


CHECKS = (
    Check(
        id="issuer.not-allowed",
        severity=Severity.MEDIUM,
        title="The issuer is not one that the organisation allows",
        remediation=(
            "Have the certificate issued by an allowed CA, or add the issuer to allowed_issuers of the [checks] "
            "settings; CAA records of the domain keep other public CAs from issuing."
        ),
        cites="allowed_issuers of the [checks] settings; RFC 8659 (CAA)",
        applies=lambda s: bool(s.organisation.allowed_issuers) and leaf(s) and facts(s).issuer is not None,
        run=_not_allowed,
    ),
)
