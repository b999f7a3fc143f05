"""Lifetimes beyond what the Baseline Requirements allow for the day of issue. Private certificates are free of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from perennial.checks.interface import Check, Severity, Subject, Verdict
from perennial.checks.places import facts, public_tls_leaf
from perennial.checks.wording import about_place, on

SCHEDULE = (  # issued on or after, days at most: the newest first (Baseline Requirements 6.3.2)
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
    (datetime(2018, 3, 1, tzinfo=UTC), 825),
    (datetime(2015, 4, 1, tzinfo=UTC), 1_188),  # 39 months
)
BEFORE = 1_827  # 60 months


def allowed(issued: datetime) -> timedelta:
    """The longest lifetime of a public TLS certificate issued then."""
    return timedelta(days=next((days for since, days in SCHEDULE if issued >= since), BEFORE))


def _run(subject: Subject, now: datetime) -> tuple[Verdict, ...]:
    certificate = facts(subject)
    if certificate.not_before is None or certificate.not_after is None:
        return ()
    lifetime = certificate.not_after - certificate.not_before + timedelta(seconds=1)  # both ends are inclusive
    most = allowed(certificate.not_before)
    if lifetime <= most:
        return ()
    begin, end = on(certificate.not_before), on(certificate.not_after)
    return about_place(f"It is valid from {begin} until {end}; when it was issued, {most.days} days were allowed.")


CHECKS = (
    Check(
        id="validity.too-long",
        severity=Severity.HIGH,
        title="The lifetime is longer than public certificates may have",
        remediation=(
            "Have the certificate issued again with a lifetime that the schedule allows (200 days since 2026-03-15, "
            "100 since 2027-03-15, 47 since 2029-03-15): browsers refuse longer ones."
        ),
        cites="Baseline Requirements section 6.3.2",
        applies=lambda subject: public_tls_leaf(subject) and facts(subject).not_before is not None,
        run=_run,
    ),
)
