"""The inventory answers each of its questions, in order, and only with what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from certificates import build
from estate import HUB, NOW, REGION, SCOPE, Estate
from perennial.inventory.records import CertificateSummary
from perennial.inventory.store import Inventory
from perennial.manifest import Difference, Role, Sighting

DAY = timedelta(days=1)


@pytest.fixture
def inventory(estate: Estate) -> Inventory:
    """Forty certificates, ending on forty days, of two issuers and two kinds of key."""
    issuers = [build("Issuing CA One", ca=True), build("Other CA", ca=True)]
    for number in range(40):
        key = "EC-256" if number % 2 else "RSA-2048#shared"
        leaf = build(
            f"n{number}.example.com",
            names=(f"n{number}.example.com", f"n{number}.deep.shop.example.com", "192.0.2.7"),
            key=key,
            issuer=issuers[number % 2],
            not_before=NOW - 30 * DAY,
            not_after=NOW + number * DAY,
        )
        estate.deployment.inventory.keep([leaf.certificate], NOW)
        estate.deployment.inventory.own(leaf.certificate.fingerprint or "", ("shop", "blog")[number % 2], "p")
    return estate.deployment.inventory


def titles(found: Iterable[CertificateSummary]) -> list[str]:
    return [each.title for each in found]


def expected(numbers: Iterable[int]) -> list[str]:
    return [f"n{number}.example.com" for number in numbers]


@pytest.mark.parametrize(("since", "until"), [(0, 30), (5, 5), (-400, 3), (20, 400), (50, 60)])
def test_expiring_between_two_times_is_exact_and_in_order(inventory: Inventory, since: int, until: int) -> None:
    """A list of ends is exact to the second, over month boundaries too, the earliest first."""
    found = titles(inventory.expiring(NOW + since * DAY, NOW + until * DAY))
    assert found == expected(range(max(since, 0), min(until, 39) + 1))


def test_certificates_by_owner_issuer_key_and_signature(inventory: Inventory) -> None:
    """Each list holds what was asked for and nothing else, in the order of the ends, and can be bounded in time."""
    (issuer,) = inventory.words("issuer", "one")
    assert titles(inventory.owned_by("shop")) == expected(range(0, 40, 2))
    assert titles(inventory.issued_by(issuer)) == expected(range(0, 40, 2))
    assert titles(inventory.with_key("EC-256", NOW + 5 * DAY)) == expected([1, 3, 5])
    signatures = {each.certificate.signature_algorithm for each in [build("Issuing CA One", ca=True)]}
    assert len(titles(inventory.signed_with(str(signatures.pop())))) >= 20


def test_certificates_by_name_and_below_a_name(inventory: Inventory) -> None:
    """A name finds its certificates; a subtree finds every name below, and not names that only begin alike."""
    assert titles(inventory.named("N7.Example.com.")) == expected([7])
    assert titles(inventory.named("shop.example.com")) == []
    assert titles(inventory.named("shop.example.com", subtree=True)) == expected(range(40))
    assert titles(inventory.named("op.example.com", subtree=True)) == []
    assert titles(inventory.named("192.0.2.7")) == expected(range(40))


def test_certificates_by_public_key(estate: Estate) -> None:
    """Certificates that share a key are found by it."""
    first = build("a.example.com")
    second = build("b.example.com", key=first.key)
    estate.deployment.inventory.keep([first.certificate, second.certificate], NOW)
    found = estate.deployment.inventory.with_public_key(first.certificate.public_key_sha256 or "")
    assert sorted(titles(found)) == ["a.example.com", "b.example.com"]


def test_sightings_by_resource(estate: Estate) -> None:
    """A resource's sightings are found by its ARN, and the certificate of a place by the place."""
    leaf = build("a.example.com")
    arn = f"arn:aws:acm:{REGION}:{HUB}:certificate/1"
    sighting = Sighting(location=arn, role=Role.STORED, resource=arn, fingerprint=leaf.certificate.fingerprint)
    estate.deployment.inventory.apply(SCOPE, Difference(added=(sighting,), changed=(), gone=()), NOW)
    assert [each.sighting.fingerprint for each in estate.deployment.inventory.at_resource(arn)] == [
        sighting.fingerprint
    ]
    assert estate.deployment.inventory.certificate_of_place(arn) == leaf.certificate.fingerprint
    assert estate.deployment.inventory.certificate_of_place("arn:nothing") is None


def test_a_certificate_that_cannot_be_read_is_kept_with_the_reason(estate: Estate) -> None:
    """Bytes that no parser takes are kept whole, with fingerprint and reason, and shown."""
    from perennial.certificate import parse

    broken = parse(b"\x30\x03\x02\x01\x05")
    estate.deployment.inventory.keep([broken], NOW)
    record = estate.deployment.inventory.show(broken.fingerprint or "")
    assert record is not None and record.certificate.der == b"\x30\x03\x02\x01\x05"
    assert record.certificate.problems[0].startswith("load: ")


def test_what_is_not_there_is_none(estate: Estate) -> None:
    """A fingerprint that was never seen is answered as such."""
    assert estate.deployment.inventory.show("0" * 64) is None


@pytest.mark.parametrize("location", ["x" * 3_000, "ü" * 1_500])
def test_an_overlong_location_is_kept_under_a_key_that_the_table_takes(estate: Estate, location: str) -> None:
    """Hostile or odd locations do not make the scan fail, and stay distinct."""
    for suffix in ("a", "b"):
        sighting = Sighting(location=location + suffix, role=Role.ATTACHED, resource="r", holder="h")
        estate.deployment.inventory.apply(SCOPE, Difference(added=(sighting,), changed=(), gone=()), NOW)
    assert len(estate.deployment.inventory.place("h").attached) == 2


def test_months_cover_the_time_between(estate: Estate) -> None:
    """No month is left out between two times, however the days fall."""
    from perennial.inventory.questions import _months

    start = datetime(2026, 1, 31, tzinfo=NOW.tzinfo)
    assert _months(start, start + 60 * DAY) == ["2026-01", "2026-02", "2026-03", "2026-04"]


def test_a_fingerprint_is_found_by_its_beginning(inventory: Inventory) -> None:
    """The first digits that a list shows lead to the certificate; what begins no fingerprint leads to none."""
    (first, *_) = inventory.expiring(NOW, NOW + 5 * DAY)
    assert inventory.beginning_with(first.fingerprint[:16], limit=2) == [first.fingerprint]
    assert inventory.beginning_with("0" * 16, limit=2) == []
