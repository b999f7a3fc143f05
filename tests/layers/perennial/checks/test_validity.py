"""The Baseline Requirements' schedule of lifetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from certificates import build
from layers.perennial.checks.cases import CA, Case, leaf, place, problem
from perennial.checks.interface import Subject
from perennial.manifest import Role

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def issued(day: str, days: float, public: bool | None = True) -> Subject:
    """A public leaf that was issued on a day and is valid for so many days, both ends included."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return place(leaf(not_before=begin, not_after=begin + days * DAY - SECOND), public=public)


CASES = {"validity.too-long": Case(issued("2026-11-01", 200), issued("2026-11-01", 201))}


@pytest.mark.parametrize(
    ("day", "most"),
    [
        ("2014-01-01", 1827),
        ("2016-01-01", 1188),
        ("2018-03-01", 825),
        ("2020-08-31", 825),
        ("2020-09-01", 398),
        ("2026-03-14", 398),
        ("2026-03-15", 200),
        ("2027-03-14", 200),
        ("2027-03-15", 100),
        ("2029-03-14", 100),
        ("2029-03-15", 47),
        ("2040-01-01", 47),
    ],
)
def test_schedule(day: str, most: int) -> None:
    """The day of issue decides how long is too long, to the second."""
    assert not problem("validity.too-long", issued(day, most))
    assert problem("validity.too-long", issued(day, most + 1 / 86_400))


@pytest.mark.parametrize("public", [False, None])
def test_private_certificates_live_as_they_like(public: bool | None) -> None:
    """Only a certificate that is known to be public is judged."""
    assert not problem("validity.too-long", issued("2026-11-01", 3650, public))


def test_only_tls_leaves_are_judged() -> None:
    """Public CAs and certificates for other purposes have other rules."""
    mail = build(eku=("emailProtection",), validity=700 * DAY, issuer=build("Example CA", ca=True)).certificate
    assert not problem("validity.too-long", place(mail, public=True))
    assert not problem("validity.too-long", place(CA, Role.ANCHOR, public=True))


def test_unknown_dates_are_not_judged() -> None:
    """Without both dates there is no lifetime."""
    assert not problem("validity.too-long", place(leaf(not_before=None), public=True))
    assert not problem("validity.too-long", place(leaf(not_after=None), public=True))
