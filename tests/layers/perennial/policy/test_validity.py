"""How long a certificate may be valid, by profile, organisation and the day of issue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from layers.perennial.policy.cases import ORGANISATION, PRIVATE, Case, asked, violations
from perennial.policy import days, judge

CASES = {
    "validity.positive": Case((asked(), asked(days=1)), ((asked(days=-1), "validity_days"),)),
    "validity.profile": Case(
        (asked(), asked(days=90), asked(days=30, validity_days=30)),
        ((asked(days=91), "validity_days"), (asked(days=31, validity_days=30), "validity_days")),
    ),
    "validity.public": Case(
        (asked(days=200, validity_days=365), asked(validity_days=365), asked(days=201, issuer=PRIVATE)),
        ((asked(days=201, validity_days=365), "validity_days"),),
    ),
    "validity.private": Case(
        (asked(days=397, issuer=PRIVATE), asked(validity_days=3650, issuer=PRIVATE), asked(days=398)),
        (
            (asked(days=398, issuer=PRIVATE), "validity_days"),
            (
                asked(days=31, issuer=PRIVATE, organisation=replace(ORGANISATION, private_validity_days=30)),
                "validity_days",
            ),
        ),
    ),
}


@pytest.mark.parametrize(
    ("now", "most"),
    [
        (datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC), 398),
        (datetime(2026, 3, 15, tzinfo=UTC), 200),
        (datetime(2027, 3, 14, 23, 59, 59, tzinfo=UTC), 200),
        (datetime(2027, 3, 15, tzinfo=UTC), 100),
        (datetime(2029, 3, 14, 23, 59, 59, tzinfo=UTC), 100),
        (datetime(2029, 3, 15, tzinfo=UTC), 47),
    ],
)
def test_the_schedule_decides_for_public_certificates(now: datetime, most: int) -> None:
    """What may be asked for changes at the days of the schedule; who asks for nothing gets what is allowed then."""
    assert not violations("validity.public", asked(days=most, validity_days=400, now=now))
    (violation,) = violations("validity.public", asked(days=most + 1, validity_days=400, now=now))
    assert f"1 to {most} days" in violation.accepted and f"{now:%Y-%m-%d}" in violation.detail
    open_request = asked(validity_days=400, now=now)
    assert judge(open_request) == () and days(open_request) == most


def test_an_open_request_gets_what_its_profile_and_organisation_allow() -> None:
    """Zero days stand for the profile's, or for less where the organisation allows less."""
    assert days(asked(validity_days=30)) == 30
    assert days(asked(validity_days=396, issuer=PRIVATE)) == 396
    assert days(asked(validity_days=398, issuer=PRIVATE)) == 397
    assert days(asked(days=500, issuer=PRIVATE)) == 500
