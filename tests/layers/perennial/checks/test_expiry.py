"""The expiry ladder: one rung at a time, judged by days and by share of the lifetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import NOW
from layers.perennial.checks.cases import CA, SUMMARY, Case, changes, leaf, place, problem, verdicts
from perennial.certificate import Certificate
from perennial.checks import CHECKS, expiry
from perennial.checks.interface import Organisation, Subject
from perennial.manifest import Role

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LADDER = tuple(check.id for check in expiry.CHECKS)
RANK = {None: 0, "expiry.approaching": 1, "expiry.soon": 2, "expiry.imminent": 3, "expiry.expired": 4}


def ending(left: timedelta, lifetime: timedelta = 398 * DAY) -> Certificate:
    """A leaf with so much left of its lifetime."""
    return leaf(not_before=NOW + left - lifetime, not_after=NOW + left)


GOOD = place(ending(100 * DAY))
CASES = {
    "expiry.expired": Case(GOOD, place(ending(-DAY))),
    "expiry.imminent": Case(GOOD, place(ending(6 * DAY))),
    "expiry.soon": Case(GOOD, place(ending(13 * DAY))),
    "expiry.approaching": Case(GOOD, place(ending(29 * DAY))),
    "expiry.not-yet-valid": Case(GOOD, place(leaf(not_before=NOW + DAY, not_after=NOW + 90 * DAY))),
}


def rungs(subject: Subject, now: datetime = NOW) -> list[str]:
    return [check for check in LADDER if problem(check, subject, now)]


@pytest.mark.parametrize(
    ("lifetime", "left", "expected"),
    [
        (398 * DAY, 31 * DAY, None),
        (398 * DAY, 30 * DAY + timedelta(seconds=1), None),
        (398 * DAY, 30 * DAY, "expiry.approaching"),
        (398 * DAY, 14 * DAY, "expiry.soon"),
        (398 * DAY, 7 * DAY, "expiry.imminent"),
        (398 * DAY, timedelta(0), "expiry.imminent"),
        (398 * DAY, -timedelta.resolution, "expiry.expired"),
        (198 * DAY, 45 * DAY, None),  # ACM has only just begun to renew
        (198 * DAY, 30 * DAY, "expiry.approaching"),
        (90 * DAY, 30 * DAY, None),  # a third is left: the usual time to renew
        (90 * DAY, 18 * DAY, "expiry.approaching"),
        (90 * DAY, 9 * DAY, "expiry.soon"),
        (90 * DAY, 4.5 * DAY, "expiry.imminent"),
        (47 * DAY, 16 * DAY, None),
        (47 * DAY, 10 * DAY, None),
        (47 * DAY, 9 * DAY, "expiry.approaching"),
        (47 * DAY, 4 * DAY, "expiry.soon"),
        (47 * DAY, 2 * DAY, "expiry.imminent"),
        (160 * HOUR, 159 * HOUR, None),
        (160 * HOUR, 80 * HOUR, None),  # half is left: the usual time to renew
        (160 * HOUR, 32 * HOUR, "expiry.approaching"),
        (160 * HOUR, 16 * HOUR, "expiry.soon"),
        (160 * HOUR, 8 * HOUR, "expiry.imminent"),
    ],
)
def test_rung_depends_on_days_and_share(lifetime: timedelta, left: timedelta, expected: str | None) -> None:
    """A long lifetime is judged by days, a short one by what share of it is left."""
    assert rungs(place(ending(left, lifetime))) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("left", "expected"), [(181, []), (180, ["expiry.approaching"]), (84, ["expiry.soon"]), (42, ["expiry.imminent"])]
)
@pytest.mark.parametrize("role", [Role.AUTHORITY, Role.ANCHOR])
def test_ca_is_told_earlier(left: int, expected: list[str], role: Role) -> None:
    """A CA's days count six times, because everything that it issued must be replaced before."""
    assert rungs(place(ending(left * DAY, 3650 * DAY), role)) == expected


def test_organisation_sets_the_days() -> None:
    """The thresholds in days are the organisation's."""
    subject = place(ending(50 * DAY), organisation=Organisation(expiry_days=(60, 40, 20)))
    assert rungs(subject) == ["expiry.approaching"]


def test_certificate_is_valid_on_its_first_and_last_second() -> None:
    """notBefore and notAfter themselves belong to the validity."""
    subject = place(leaf(not_before=NOW - 398 * DAY, not_after=NOW))
    assert "expiry.expired" not in rungs(subject, NOW)
    assert rungs(place(leaf(not_before=NOW, not_after=NOW + 90 * DAY)), NOW) == []


def test_summary_without_begin_is_judged_by_days() -> None:
    """Where a quick scan knows only the end, the days decide."""
    assert rungs(place(SUMMARY), NOW + 290 * DAY) == ["expiry.soon"]


def test_unknown_end_is_not_judged() -> None:
    """A certificate whose dates could not be read stands on no rung and is never looked at again for it."""
    subject = place(leaf(not_after=None))
    assert rungs(subject) == []
    assert changes("expiry.soon", subject) is None
    assert not CHECKS["expiry.soon"].applies(place(None))


def test_end_of_all_time_is_no_problem() -> None:
    """99991231235959Z, which RFC 5280 defines for certificates without an end, overflows nothing."""
    subject = place(leaf(not_before=NOW, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert rungs(subject) == []
    assert changes("expiry.expired", subject) is not None


def test_first_year_is_no_problem() -> None:
    """Dates of the year 1 overflow nothing either."""
    year_one = datetime(1, 1, 1, tzinfo=UTC)
    subject = place(leaf(not_before=year_one, not_after=year_one))
    assert rungs(subject) == ["expiry.expired"]
    assert changes("expiry.expired", subject) is None


def test_detail_is_the_same_every_day() -> None:
    """The detail names dates and not days left, so that an unchanged verdict is not told again."""
    subject = place(ending(12 * DAY))
    assert verdicts("expiry.soon", subject) == verdicts("expiry.soon", subject, NOW + 3 * DAY)
    assert verdicts("expiry.soon", subject)[0].detail == "Valid from 2025-10-11 12:00 UTC until 2026-11-13 12:00 UTC."


seconds = st.integers(-(10**9), 10**9).map(lambda each: timedelta(seconds=each))
subjects = st.builds(
    lambda begin, end, role, days: place(
        leaf(not_before=NOW + begin, not_after=NOW + end), role, organisation=Organisation(expiry_days=days)
    ),
    seconds,
    seconds,
    st.sampled_from([Role.STORED, Role.SERVED, Role.AUTHORITY]),
    st.lists(st.integers(1, 999), min_size=3, max_size=3, unique=True).map(lambda days: tuple(sorted(days)[::-1])),
)


@given(subjects, seconds)
def test_one_rung_at_a_time(subject: Subject, later: timedelta) -> None:
    """At any time a certificate stands on one rung or none, whatever its dates and the settings."""
    assert len(rungs(subject, NOW + later)) <= 1


@given(subjects, seconds, seconds)
def test_severity_never_falls_with_time(subject: Subject, one: timedelta, other: timedelta) -> None:
    """From its first second on, a certificate only climbs the ladder."""
    assert subject.certificate is not None and subject.certificate.not_before is not None
    earlier, later = sorted(max(NOW + each, subject.certificate.not_before) for each in (one, other))
    assert RANK[expiry.rung(subject, earlier)] <= RANK[expiry.rung(subject, later)]


@given(subjects, seconds, st.floats(0, 1, exclude_max=True))
def test_no_change_is_skipped(subject: Subject, later: timedelta, part: float) -> None:
    """Until the time that `changes_at` tells the rung stays, and at no time is there an endless loop."""
    now = NOW + later
    until = changes("expiry.soon", subject, now)
    end = until or now + 10_000 * DAY
    assert until is None or until > now
    assert expiry.rung(subject, min(now + (end - now) * part, end - timedelta.resolution)) == expiry.rung(subject, now)


@given(subjects)
def test_every_rung_is_reached_by_following_the_changes(subject: Subject) -> None:
    """Looking again at each told time ends at expired after a handful of steps."""
    assert subject.certificate is not None and subject.certificate.not_after is not None
    now: datetime | None = NOW - timedelta(seconds=2 * 10**9)
    times = []
    while now is not None and len(times) < 10:
        times.append(now)
        now = changes("expiry.expired", subject, now)
    assert now is None
    assert subject.certificate.not_after + timedelta.resolution in times


def test_stored_ca_certificate_is_told_earlier_too() -> None:
    """A CA certificate that is stored and not presented by a server is judged as a CA."""
    assert CA.not_after is not None
    assert rungs(place(CA), CA.not_after - 150 * DAY) == ["expiry.approaching"]
