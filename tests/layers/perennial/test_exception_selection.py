"""What a selection covers, and which selections are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perennial.errors import InvalidInput
from perennial.exception_selection import Facts, Selection, checked, covers, may_cover

FINGERPRINT = "ab" * 32
ARN = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
FACTS = Facts(
    names=("shop.example.com", "www.shop.example.com"),
    fingerprint=FINGERPRINT,
    owner="shop",
    resource=ARN,
    account="111122223333",
    region="eu-west-1",
    managed=lambda name: name == "shop",
)
HOLDS: dict[str, Any] = {
    "fingerprint": FINGERPRINT,
    "owner": "shop",
    "resource": ARN,
    "account": "111122223333",
    "region": "eu-west-1",
    "managed": "shop",
}
FAILS: dict[str, Any] = {
    "fingerprint": "cd" * 32,
    "name": "bank.example.com",
    "owner": "bank",
    "resource": ARN + "0",
    "account": "111122223334",
    "region": "eu-west-2",
    "managed": "bank",
}


@pytest.mark.parametrize(("field", "value"), HOLDS.items())
def test_a_condition_that_holds_covers(field: str, value: str) -> None:
    """Each condition alone covers what fits it."""
    assert covers(Selection(**{field: value}), FACTS)


@pytest.mark.parametrize(("field", "value"), FAILS.items())
def test_one_condition_that_fails_is_enough(field: str, value: str) -> None:
    """All conditions must hold, however many others do."""
    assert not covers(Selection(**{field: value}), FACTS)
    assert not covers(Selection(**{**HOLDS, "name": "shop.example.com", "subtree": True, field: value}), FACTS)


@pytest.mark.parametrize("field", [*HOLDS, "name"])
def test_what_is_not_known_fits_no_condition(field: str) -> None:
    """A certificate without owner, names or place is not covered by a condition about these."""
    value = {**HOLDS, "name": "shop.example.com"}[field]
    assert not covers(Selection(**{field: value}), Facts())


def test_an_empty_selection_covers_nothing() -> None:
    """Neither without conditions nor with the mark of a subtree alone."""
    assert not covers(Selection(), FACTS) and not covers(Selection(subtree=True), FACTS)
    assert not may_cover(Selection(), FACTS) and not may_cover(Selection(subtree=True), FACTS)


@pytest.mark.parametrize(
    ("name", "subtree", "names", "expected"),
    [
        ("shop.example.com", False, ["shop.example.com"], True),
        ("shop.example.com", False, ["SHOP.Example.COM."], True),
        ("shop.example.com", False, ["www.shop.example.com"], False),
        ("shop.example.com", False, ["shop.example.com", "bank.example.com"], False),  # every name, not any
        ("shop.example.com", True, ["shop.example.com", "a.b.shop.example.com", "*.shop.example.com"], True),
        ("shop.example.com", True, ["workshop.example.com"], False),
        ("shop.example.com", True, ["www.shop.example.com", "bank.example.com"], False),
        ("shop.example.com", True, ["shop.example.com.evil.example"], False),
        ("*.shop.example.com", False, ["*.shop.example.com"], True),
        ("*.shop.example.com", False, ["www.shop.example.com"], False),
        ("192.0.2.7", False, ["192.0.2.7"], True),
        ("shop.example.com", True, [], False),
    ],
)
def test_names_are_covered_only_all_together(name: str, subtree: bool, names: list[str], expected: bool) -> None:
    """An exception for one name hides nothing of a certificate that names something else too."""
    assert covers(Selection(name=name, subtree=subtree), replace(FACTS, names=tuple(names))) is expected


@pytest.mark.parametrize(
    ("resource", "found", "expected"),
    [
        ("arn:aws:acm:eu-west-1:111122223333:*", ARN, True),
        ("arn:aws:acm:eu-west-1:111122223333:certificate/1", ARN + "0", False),
        ("arn:aws:acm:eu-west-1:111122223333:certificate/1*", ARN + "0", True),
        ("arn:aws:acm:eu-west-1:111122223333:x*", ARN, False),
        ("shop.example.com:443", "shop.example.com:443", True),
        ("shop.example.com:443", "shop.example.com:4433", False),
    ],
)
def test_a_resource_is_exact_or_begins_so(resource: str, found: str, expected: bool) -> None:
    """Only with * behind it more than that one is meant."""
    assert covers(checked(Selection(resource=resource)), replace(FACTS, resource=found)) is expected


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ({"fingerprint": ":".join(["AB"] * 32)}, {"fingerprint": FINGERPRINT}),
        ({"name": "Bücher.Example."}, {"name": "xn--bcher-kva.example"}),
        ({"name": "2001:DB8:0::1"}, {"name": "2001:db8::1"}),
        ({"name": "Shop.example.com", "subtree": True}, {"name": "shop.example.com", "subtree": True}),
        ({"region": "aws-global", "account": "111122223333"}, {"region": "aws-global", "account": "111122223333"}),
        ({"resource": "arn:aws-cn:iam::111122223333:server-certificate/*"}, None),
        ({"resource": "[2001:db8::1]:443"}, None),
        ({"managed": "shop", "owner": "Team Ä"}, None),
    ],
)
def test_a_selection_is_made_canonical(said: dict[str, Any], canonical: dict[str, Any] | None) -> None:
    """However people write it, it is held against what the inventory has."""
    assert checked(Selection(**said)).given() == (canonical or said)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "would cover everything"),
        ({"subtree": True}, "would cover everything"),
        ({"resource": "*"}, "selection.resource"),
        ({"resource": "arn:*"}, "at least as far as its account"),
        ({"resource": "arn:aws:acm:*"}, "at least as far as its account"),
        ({"resource": "arn:aws:acm:eu-west-1:*"}, "at least as far as its account"),
        ({"resource": "arn:aws:acm:eu-west-1:*:certificate/1"}, "selection.resource"),
        ({"resource": "arn:aws:acm:*:111122223333:*"}, "selection.resource"),
        ({"resource": "**"}, "selection.resource"),
        ({"resource": "arn:aws:acm:x\ny"}, "selection.resource"),
        ({"resource": "a" * 1_002}, "at most 1000"),
        ({"fingerprint": "ab"}, "64 hexadecimal"),
        ({"fingerprint": "ab*"}, "64 hexadecimal"),
        ({"name": "*"}, "selection.name"),
        ({"name": "."}, "selection.name"),
        ({"name": "a" * 2_000}, "selection.name"),
        ({"name": "*.example.com", "subtree": True}, "selection.subtree"),
        ({"name": "com", "subtree": True}, "two labels"),
        ({"name": ".com", "subtree": True}, "two labels"),
        ({"name": "com.", "subtree": True}, "two labels"),
        ({"name": "192.0.2.7", "subtree": True}, "selection.subtree"),
        ({"name": "2001:db8::1", "subtree": True}, "selection.subtree"),
        ({"owner": "shop\x1b[31m"}, "selection.owner"),
        ({"owner": " shop"}, "selection.owner"),
        ({"owner": "s" * 129}, "selection.owner"),
        ({"account": "self"}, "12 digits"),
        ({"account": "１１１１２２２２３３３３"}, "12 digits"),
        ({"region": "eu"}, "selection.region"),
        ({"region": "eu-west-1\n"}, "selection.region"),
        ({"managed": "Shop"}, "selection.managed"),
        ({"managed": "../x"}, "selection.managed"),
        ({"owner": ["shop"]}, "selection.owner"),
        ({"name": "shop.example.com", "subtree": "yes"}, "selection.subtree"),
    ],
)
def test_a_selection_that_could_be_anything_is_refused(said: dict[str, Any], words: str) -> None:
    """Empty, unbounded, hostile and mistyped selections are refused, each with what is accepted."""
    with pytest.raises(InvalidInput) as raised:
        checked(Selection(**said))
    assert words in str(raised.value)
    assert all(line.isprintable() and len(line) < 1_500 for line in str(raised.value).splitlines())


def test_every_problem_is_told_at_once() -> None:
    """One answer names all that is wrong."""
    with pytest.raises(InvalidInput) as raised:
        checked(Selection(fingerprint="x", owner=" ", account="1", region="?", managed="?"))
    assert len(str(raised.value).splitlines()) == 5


@pytest.mark.parametrize("field", ["fingerprint", "resource", "account", "region"])
def test_a_policy_rule_takes_only_what_a_request_has(field: str) -> None:
    """A request is nowhere yet: a condition about its place would never hold, or was meant otherwise."""
    with pytest.raises(InvalidInput, match="a policy rule judges requests"):
        checked(Selection(owner="shop", **{field: HOLDS[field]}), of_requests=True)
    assert checked(Selection(owner="shop", name="shop.example.com", managed="shop"), of_requests=True)


values = st.sampled_from(["", *"ab"])
selections = st.builds(Selection, fingerprint=values, owner=values, account=values, region=values, resource=values)
found = st.builds(Facts, fingerprint=values, owner=values, account=values, region=values, resource=values)


@settings(max_examples=200, deadline=None)
@given(selections, found)
def test_a_selection_covers_exactly_what_fits_each_condition(selection: Selection, facts: Facts) -> None:
    """It is the conjunction of its conditions; another condition never makes it cover more."""
    wanted = selection.given()
    assert covers(selection, facts) == (bool(wanted) and all(getattr(facts, name) == wanted[name] for name in wanted))
    if covers(replace(selection, owner=selection.owner or "a"), facts) and wanted:
        assert covers(selection, facts)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.sampled_from([*HOLDS, "name"]))
def test_whatever_is_said_is_refused_or_bounded(text: str, field: str) -> None:
    """No text makes anything but a clean selection or a refusal."""
    try:
        made = checked(Selection(**{field: text}))
    except InvalidInput:
        return
    assert all(str(value).isprintable() and len(str(value)) <= 1_000 for value in made.given().values())
    assert made.given() and not covers(made, Facts())
    assert checked(made) == made
