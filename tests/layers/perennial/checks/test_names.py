"""Names: none, not covered, wildcards."""

from __future__ import annotations

import pytest

from certificates import build
from layers.perennial.checks.cases import CA, SUMMARY, Case, leaf, listener, place, problem, verdicts
from perennial.certificate import MAX_NAMES
from perennial.checks.names import uncovered
from perennial.manifest import Role

NAMELESS = build("shop.example.com", names=(), issuer=build("Example CA", ca=True)).certificate
WILDCARD = leaf(dns_names=("example.com", "*.example.com"))
CASES = {
    "names.none": Case(place(), place(NAMELESS)),
    "names.not-covered": Case(
        place(attached=(listener(names=["shop.example.com"]),)),
        place(attached=(listener(names=["shop.example.com", "pay.example.com"]),)),
    ),
    "names.wildcard": Case(place(), place(WILDCARD)),
}


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("shop.example.com", "shop.example.com", True),
        ("shop.example.com", "SHOP.Example.COM", True),
        ("shop.example.com.", "shop.example.com", True),
        ("shop.example.com", "shop.example.com.", True),
        ("shop.example.com", "example.com", False),
        ("*.example.com", "shop.example.com", True),
        ("*.EXAMPLE.com", "shop.example.com", True),
        ("*.example.com", "a.shop.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "xn--mnchen-3ya.example.com", True),
        ("xn--mnchen-3ya.example", "XN--mnchen-3ya.example", True),
        ("s*.example.com", "shop.example.com", False),
        ("shop.*.com", "shop.example.com", False),
        ("*", "localhost", False),
        ("*.", "localhost", False),
        ("192.0.2.1", "192.0.2.1", False),  # an address as DNS name covers no address
    ],
)
def test_wildcards_stand_for_one_label(pattern: str, name: str, covered: bool) -> None:
    """RFC 9525: a wildcard is the whole left-most label; case and a final dot do not matter."""
    assert (not uncovered(leaf(dns_names=(pattern,)), [name])) is covered


@pytest.mark.parametrize(
    ("address", "name", "covered"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "[2001:DB8:0::1]", True),
        ("2001:db8::1", "2001:db8::2", False),
    ],
)
def test_addresses_are_compared_as_addresses(address: str, name: str, covered: bool) -> None:
    """An IP address is covered by an iPAddress entry only, however it is written."""
    assert (not uncovered(leaf(ip_addresses=(address,)), [name])) is covered


def test_each_place_is_told_by_itself() -> None:
    """Of several listeners the one whose names are not covered is named, with its own scope."""
    good, bad = listener(1, names=["shop.example.com"]), listener(2, names=["pay.example.com"])
    (verdict,) = verdicts("names.not-covered", place(attached=(good, bad)))
    assert (verdict.scope, verdict.sighting) == bad


def test_served_name_is_judged_at_its_own_place() -> None:
    """An endpoint that answers with a certificate for another name fails."""
    assert problem("names.not-covered", place(role=Role.SERVED, attributes={"names": ["pay.example.com"]}))
    assert not problem("names.not-covered", place(role=Role.SERVED, attributes={"names": ["192.0.2.1"]}))


def test_detail_is_bounded() -> None:
    """Thousands of hostile names make a short detail without control characters."""
    hostile = [f"{number:04}\x1b[31m\u202e" + "x" * 5_000 for number in range(1_000)]
    (verdict,) = verdicts("names.not-covered", place(attached=(listener(names=hostile),)))
    assert len(verdict.detail) < 900
    assert verdict.detail.endswith("and 997 more.")
    assert verdict.detail.isprintable()


@pytest.mark.parametrize(
    "certificate",
    [
        SUMMARY,
        leaf(fingerprint=None, dns_names=tuple(f"{number}.example.com" for number in range(100))),
        leaf(dns_names=tuple(f"{number}.example.com" for number in range(MAX_NAMES))),
        leaf(dns_names=None),
    ],
)
def test_names_that_are_cut_prove_nothing(certificate: object) -> None:
    """Where the list of names is unknown or may be cut, no name is called missing."""
    subject = place(certificate, attached=(listener(names=["pay.example.com"]),))  # type: ignore[arg-type]
    assert not problem("names.not-covered", subject)


def test_unknown_addresses_prove_nothing() -> None:
    """Where the addresses are unknown, none is called missing."""
    assert not uncovered(leaf(ip_addresses=None), ["192.0.2.7"])


@pytest.mark.parametrize(
    ("purposes", "attached", "told"),
    [
        (("clientAuth",), (), False),
        (("serverAuth",), (), True),
        (("anyExtendedKeyUsage",), (), True),
        (None, (), False),
        (None, (listener(),), True),
    ],
)
def test_only_servers_need_names(purposes: tuple[str, ...] | None, attached: tuple[object, ...], told: bool) -> None:
    """A certificate for clients or signing needs no host name; one that says nothing is judged where it is used."""
    nameless = leaf(dns_names=(), ip_addresses=(), extended_key_usage=purposes)
    assert problem("names.none", place(nameless, attached=attached)) is told  # type: ignore[arg-type]


def test_address_is_a_name() -> None:
    """A certificate for an IP address names a host."""
    assert not problem("names.none", place(leaf(dns_names=(), ip_addresses=("192.0.2.1",))))


def test_ca_needs_no_name() -> None:
    """A CA is no server, unless one presents its certificate."""
    assert not problem("names.none", place(CA, Role.AUTHORITY))
    assert problem("names.none", place(CA, Role.SERVED))
