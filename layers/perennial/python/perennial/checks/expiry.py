"""How much of a certificate's life is left: a ladder of which a certificate stands on one rung at a time.

A rung begins when fewer days are left than `expiry_days` says (30, 14 and 7 unless configured) or, for short lifetimes,
when less than a share of the lifetime is left (1/5, 1/10, 1/20), whichever is later. Automation renews with about 1/3
left, or half of it for lifetimes under ten days, so that no rung is reached before a renewal is late:

| lifetime | approaching | soon | imminent |
| --- | --- | --- | --- |
| 398 and 200 days | 30 days | 14 days | 7 days |
| 90 days | 18 days | 9 days | 4.5 days |
| 47 days | 9.4 days | 4.7 days | 2.4 days |
| 160 hours | 32 hours | 16 hours | 8 hours |

A CA must be replaced long before what it issued ends: for it the days count six times (180, 84, 42).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, leaf
from perennial.checks.wording import about_place, on

SHARES = (5, 10, 20)  # 1/5 of the lifetime: approaching; 1/10: soon; 1/20, certmagic's emergency: imminent
CA_FACTOR = 6
RUNGS = ("expiry.approaching", "expiry.soon", "expiry.imminent")
_RENEW = (
    "Renew the certificate and put the new one in place. For an import into ACM, re-import to the same ARN "
    "(aws acm import-certificate --certificate-arn) so that everything attached moves with it."
)


def rung(subject: Subject, now: datetime) -> str | None:
    """The id of the one rung that the certificate stands on. Its last second is still valid (RFC 5280 4.1.2.5)."""
    certificate = facts(subject)
    if certificate.not_after is None:
        return None
    left = certificate.not_after - now
    if left < timedelta(0):
        return "expiry.expired"
    if certificate.not_before is not None and now < certificate.not_before:
        return "expiry.not-yet-valid"
    if left > timedelta(days=CA_FACTOR * max(subject.organisation.expiry_days)):  # no rung is that long
        return None
    passed = [name for name, least in zip(RUNGS, thresholds(subject), strict=True) if left <= least]
    return passed[-1] if passed else None


def thresholds(subject: Subject) -> tuple[timedelta, ...]:
    """How much must be left, for each of the rungs."""
    certificate = facts(subject)
    factor = 1 if leaf(subject) else CA_FACTOR
    days = [timedelta(days=each * factor) for each in subject.organisation.expiry_days]
    if certificate.not_before is None or certificate.not_after is None:
        return tuple(days)
    lifetime = max(certificate.not_after - certificate.not_before, timedelta(0))
    return tuple(min(least, lifetime / share) for least, share in zip(days, SHARES, strict=True))


def next_change(subject: Subject, now: datetime) -> datetime | None:
    """The first time after now at which the certificate may stand on another rung.

    Counted from now, because a threshold before a date of the year 1 is none that Python knows.
    """
    certificate = facts(subject)
    if certificate.not_after is None:
        return None
    left = certificate.not_after - now
    begins = [certificate.not_before - now] if certificate.not_before is not None else []
    steps = [*begins, *(left - least for least in thresholds(subject)), left + timedelta.resolution]
    return min((now + step for step in steps if step > timedelta(0)), default=None)


def _check(name: str, severity: Severity, title: str, remediation: str = _RENEW) -> Check:
    def run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
        return about_place(_detail(subject) if rung(subject, now) == name else None)

    return Check(
        id=name,
        severity=severity,
        title=title,
        remediation=remediation,
        cites="RFC 5280 section 4.1.2.5; expiry_days of the [checks] settings",
        applies=lambda subject: facts(subject).not_after is not None,
        run=run,
        changes_at=next_change,
    )


def _detail(subject: Subject) -> str:
    certificate = facts(subject)
    begin = f"from {on(certificate.not_before)} " if certificate.not_before else ""
    return f"Valid {begin}until {on(certificate.not_after)}." if certificate.not_after else ""


CHECKS = (
    _check("expiry.expired", Severity.CRITICAL, "The certificate has expired"),
    _check("expiry.imminent", Severity.CRITICAL, "The certificate expires imminently: past the last expiry threshold"),
    _check("expiry.soon", Severity.HIGH, "The certificate expires soon: past the second expiry threshold"),
    _check("expiry.approaching", Severity.MEDIUM, "The certificate's expiry approaches and nothing has renewed it"),
    _check(
        "expiry.not-yet-valid",
        Severity.HIGH,
        "The certificate is not valid yet",
        "Keep the previous certificate in place until this one begins, or have it issued again; "
        "check the clock of the issuing CA.",
    ),
)
