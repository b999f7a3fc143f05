"""Why and when a certificate is renewed: the order of the reasons, and their times."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managed_records import DAY, DECLARED, HOUR, NOW, REQUEST, RULES, record, serving
from perennial import renewal
from perennial.inventory.records import Advice, ManagedRecord

FORCED = {"forced_at": NOW - HOUR, "forced_by": "anna"}
WINDOW = Advice(start=NOW - 3 * DAY, end=NOW - DAY, at=NOW - 2 * DAY, ask_at=NOW)


def declared(**changes: Any) -> ManagedRecord:
    return record(declared=replace(DECLARED, request=replace(REQUEST, **changes)))


# Reason -> what makes it hold: the record, the certificate that serves, and what is allowed.
HOLDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "changed": ({"declared": replace(DECLARED, request=replace(REQUEST, names=("www.example.com",)))}, {}, {}),
    "not-allowed": ({}, {"signature": "sha1WithRSAEncryption"}, {}),
    "issuer": ({}, {"issuer": "old-ca"}, {}),
    "revoked": ({}, {"revoked_at": NOW - HOUR}, {}),
    "advice": ({"advice": WINDOW}, {}, {}),
    "forced": (FORCED, {}, {}),
}


@pytest.mark.parametrize("number", range(len(HOLDS)))
def test_the_first_reason_is_told(number: int) -> None:
    """With this reason and all later ones at once, this one is told: the order is the one that is documented."""
    reasons = list(HOLDS)
    held: list[dict[str, Any]] = [{}, {}, {}]
    for name in reasons[number:]:
        for known, more in zip(held, HOLDS[name], strict=True):
            known.update(more)
    found = renewal.renewal(record(**held[0]), serving(**held[1]), replace(RULES, **held[2]), NOW)
    assert (found.reason, found.at <= NOW) == (reasons[number], True)


def test_the_order_is_documented() -> None:
    """The module's table has the reasons in the order of the chain, and each has words for people."""
    text = renewal.__doc__ or ""
    named = [line.split("|")[2].strip(" `") for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert [each for each in named if each in HOLDS] == list(HOLDS)
    assert named == [each for each in renewal.WORDS if each != renewal.FIRST]


@pytest.mark.parametrize(
    ("known", "holds"),
    [
        (declared(), False),
        (declared(names=("shop.example.com", "www.example.com")), True),
        (declared(profile="other"), True),
        (declared(validity_days=30), True),
        (declared(key="EC-256"), False),
        (declared(key="RSA-2048"), True),
        (declared(owner="other-team"), False),
    ],
)
def test_what_counts_as_changed(known: ManagedRecord, holds: bool) -> None:
    """Names, profile, validity and key make another certificate; who owns it does not. Their order does not count."""
    assert (renewal.renewal(known, serving(), RULES, NOW).reason == renewal.CHANGED) is holds


def test_an_adopted_certificate_is_as_it_is() -> None:
    """Somebody else requested it: neither what is declared nor its issuer renews it, its key and its time do."""
    adopted = serving(0, issuer="", request=None)
    other = declared(names=("www.example.com",))
    assert renewal.renewal(other, adopted, RULES, NOW).reason == renewal.LIFETIME
    assert renewal.renewal(other, adopted, RULES, NOW).at > NOW
    weak = replace(adopted, key="RSA-1024")
    assert renewal.renewal(other, weak, RULES, NOW).reason == renewal.NOT_ALLOWED


@pytest.mark.parametrize(
    ("days", "share"),
    [(398, 398 / 3), (90, 30), (47, 47 / 3), (10, 10 / 3), (9.9, 4.95), (6, 3), (5 / 1440, 2.5 / 1440)],
)
def test_the_share_of_the_lifetime(days: float, share: float) -> None:
    """A third of the lifetime is left, a half where it is shorter than ten days."""
    known = serving(days=days, age=0)
    left = known.not_after - renewal.share_at(known)
    assert abs(left - timedelta(days=share)) < timedelta(milliseconds=1)


def test_distrust() -> None:
    """A certificate of an issuer that is distrusted is renewed by the one that is declared now."""
    found = renewal.renewal(record(), serving(), replace(RULES, distrusted=("public",)), NOW)
    assert (found.reason, found.detail) == (renewal.ISSUER, "public is distrusted")


# --- the CA's advice (RFC 9773) ---


def advice(start: float, end: float, at: float, **more: Any) -> Advice:
    day = NOW - DAY  # the certificate is one day old
    times = {"start": day + start * DAY, "end": day + end * DAY, "at": day + at * DAY, "ask_at": NOW}
    return Advice(**{**times, **more})


@pytest.mark.parametrize(
    ("known", "reason", "day"),
    [
        (None, "lifetime", 60.0),
        (advice(50, 52, 51), "advice", 51.0),
        (advice(70, 72, 71), "advice", 71.0),  # later than two thirds: the CA's load counts
        (advice(86, 90, 88), "lifetime", 85.5),  # but not than 1/20 before the end
        (advice(70, 72, 71, failed=True), "lifetime", 60.0),  # it does not answer any more
        (advice(50, 52, 51, failed=True), "advice", 51.0),
        (advice(-9, -8, -8.5), "advice", -8.5),  # a window in the past: now
    ],
)
def test_advice_takes_the_place_of_the_share(known: Advice | None, reason: str, day: float) -> None:
    """The time in the CA's window counts instead of the share of the lifetime, as long as the CA answers."""
    found = renewal.timed(serving(), known)
    assert (found.reason, found.at) == (reason, NOW - DAY + day * DAY)


@given(st.floats(0, 1), st.integers(0, 10**7))
def test_what_is_drawn_lies_in_the_window(draw: float, seconds: int) -> None:
    """Any draw gives a time from the window's start to its end."""
    end = NOW + timedelta(seconds=seconds)
    assert NOW <= renewal.drawn(NOW, end, draw) <= end


def test_a_draw_is_kept() -> None:
    """The same version and purpose have the same draw; others differ, and many are spread evenly."""
    assert renewal.draw("shop", 1, "advice") == renewal.draw("shop", 1, "advice")
    assert renewal.draw("shop", 1, "advice") != renewal.draw("shop", 2, "advice")
    draws = sorted(renewal.draw(f"shop-{number}", 1, "advice") for number in range(1_000))
    assert all(abs(each - number / 1_000) < 0.06 for number, each in enumerate(draws))


@pytest.mark.parametrize(
    ("days", "retry_after", "hours"), [(90, 21_600, 43.2), (6, 21_600, 6), (90, 86_400 * 2, 48), (6, 60, 2.88)]
)
def test_how_often_the_ca_is_asked(days: float, retry_after: float, hours: float) -> None:
    """Not before Retry-After, and not more often than fifty times in a lifetime."""
    found: datetime = renewal.ask_again(serving(days=days, age=0), retry_after, NOW)
    assert found - NOW == hours * HOUR
