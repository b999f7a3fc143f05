"""Who owns a certificate: tags, then names, then accounts."""

from __future__ import annotations

import pytest

from certificates import build
from estate import HUB, LISTENERS, SCOPE
from perennial.manifest import Role, Sighting
from perennial.ownership import MAX_OWNER, owner
from perennial.settings import Ownership

NAMES = {
    "*.example.com": "platform",
    "*.shop.example.com": "shop",
    "pay.shop.example.com": "payments",
    "*.Other.Example": "other",
    "b.example.com": "exact",
    "192.0.2.1": "network",
}


def sighting(role: Role = Role.STORED, **tags: str) -> Sighting:
    attributes = {"tags": tags} if tags else {}
    return Sighting(location="arn:place", role=role, resource="arn:place", attributes=attributes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.example.com", "platform"),
        ("a.b.c.example.com", "platform"),
        ("example.com", None),
        ("notexample.com", None),
        ("www.shop.example.com", "shop"),
        ("pay.shop.example.com", "payments"),
        ("*.shop.example.com", "shop"),
        ("WWW.Shop.Example.COM", "shop"),
        ("x.other.example", "other"),
        ("b.example.com", "exact"),
        ("192.0.2.1", "network"),
        ("192.0.2.10", None),
        ("xn--bcher-kva.example.com", "platform"),
    ],
)
def test_a_name_belongs_to_its_most_specific_entry(name: str, expected: str | None) -> None:
    """The name itself wins over every pattern, a longer pattern over a shorter one, whatever their order and case."""
    certificate = build("cn", names=(name,)).certificate
    for names in (NAMES, dict(reversed(NAMES.items()))):
        assert owner(Ownership(names=names), certificate, (SCOPE, sighting())) == expected


@pytest.mark.parametrize(
    ("tags", "attached_tags", "name", "account", "expected"),
    [
        ({"Owner": "tag"}, {"owner": "attached"}, True, True, "tag"),
        ({"TEAM": "tag"}, {}, True, True, "tag"),
        ({"team": "second", "owner": "first"}, {}, True, True, "first"),
        ({"owner": ""}, {"owner": "attached"}, True, True, "attached"),
        ({}, {"owner": "attached"}, True, True, "attached"),
        ({"cost-center": "7"}, {}, True, True, "name"),
        ({}, {}, False, True, "account"),
        ({}, {}, False, False, None),
    ],
)
def test_the_first_that_answers_decides(
    tags: dict[str, str], attached_tags: dict[str, str], name: bool, account: bool, expected: str | None
) -> None:
    """Tags of the place, tags of what is attached, names, accounts: in this order, an empty answer being none."""
    ownership = Ownership(names={"*.example.com": "name"} if name else {}, accounts={HUB: "account"} if account else {})
    place = (SCOPE, sighting(**tags))
    attached = [(LISTENERS, sighting(Role.ATTACHED, **attached_tags))]
    assert owner(ownership, build("www.example.com").certificate, place, attached) == expected


def test_an_unreadable_certificate_still_has_an_owner() -> None:
    """Where nothing is known of the certificate, tags and account decide."""
    assert owner(Ownership(accounts={HUB: "account"}), None, (SCOPE, sighting())) == "account"


def test_an_owner_is_bounded() -> None:
    """A tag's value that is longer than an owner is cut."""
    found = owner(Ownership(), None, (SCOPE, sighting(owner="x" * 256)))
    assert found == "x" * MAX_OWNER
