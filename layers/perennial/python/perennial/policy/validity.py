"""How long a certificate may be valid: what the profile allows, the Baseline Requirements' schedule for public ones by
the day of issue (200 days since 2026-03-15, 100 since 2027-03-15, 47 since 2029-03-15), the organisation's limit for
private ones.

A request that names no number of days gets as many as all of them allow, so that nothing fails on the day at which the
schedule changes.
"""

from __future__ import annotations

from collections.abc import Iterator

from perennial.policy.asked import days, longest
from perennial.policy.interface import Rule, Subject, Violation

_FIELD = "validity_days"


def _profile(subject: Subject) -> Iterator[Violation]:
    most = subject.profile.validity_days
    if days(subject) > most:
        detail = f"{days(subject)} days are more than the profile {subject.profile.name} allows."
        yield Violation(_FIELD, "validity.profile", detail, _up_to(most))


def _positive(subject: Subject) -> Iterator[Violation]:
    if days(subject) < 1:
        yield Violation(_FIELD, "validity.positive", f"{days(subject)} days are no validity.", _up_to(longest(subject)))


def _public(subject: Subject) -> Iterator[Violation]:
    if subject.issuer.public and days(subject) > longest(subject):
        on = f"{subject.now:%Y-%m-%d}"
        detail = f"{days(subject)} days are more than a public certificate issued on {on} may have."
        yield Violation(_FIELD, "validity.public", detail, _up_to(longest(subject)))


def _private(subject: Subject) -> Iterator[Violation]:
    if not subject.issuer.public and days(subject) > longest(subject):
        detail = f"{days(subject)} days are more than the organisation allows for private certificates."
        yield Violation(_FIELD, "validity.private", detail, _up_to(longest(subject)))


def _up_to(most: int) -> str:
    return f"1 to {most} days, or 0 for as many as are allowed"


RULES = (
    Rule(
        id="validity.positive",
        title="The validity is a day or more",
        cites="RFC 5280 section 4.1.2.5",
        run=_positive,
    ),
    Rule(
        id="validity.profile",
        title="The validity is within the profile's",
        cites="`validity_days` of `[profiles.<name>]`",
        run=_profile,
    ),
    Rule(
        id="validity.public",
        title="The validity of a public certificate is within the schedule",
        cites="Baseline Requirements section 6.3.2",
        run=_public,
    ),
    Rule(
        id="validity.private",
        title="The validity of a private certificate is within the organisation's limit",
        cites="`private_validity_days` of `[policy]`",
        run=_private,
    ),
)
