"""A policy rule that is suspended for a request: what counts of its violations, and what an exception covers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from layers.perennial.policy.cases import NOW, asked
from perennial import policy
from perennial.errors import PolicyViolated
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection

DAY = timedelta(days=1)


def exception(rule: str = "names.profile", **more: Any) -> ExceptionRecord:
    usual: dict[str, Any] = {
        "id": "a" * 32,
        "rule": rule,
        "selection": Selection(name="old.example.org"),
        "reason": "It moves in May.",
        "owner": "shop",
        "ends": NOW + 9 * DAY,
        "asked_by": ("arn:x",),
        "asked_name": "rita",
        "asked_at": NOW - DAY,
        "state": ExceptionState.ACTIVE,
        "decided_name": "sam",
        "decided_at": NOW - DAY,
    }
    return ExceptionRecord(**{**usual, **more})


OWNER = exception("names.owner", id="b" * 32)


def rules(judged: policy.Judgement) -> list[str]:
    return [each.rule for each in judged.violations]


def judged(subject: policy.Subject, *active: ExceptionRecord, managed: str = "") -> policy.Judgement:
    return policy.judged(subject, lambda: active, managed)


def test_what_is_covered_does_not_count_and_is_named() -> None:
    """Both rules that a foreign name breaks are suspended for it: the request is allowed, by these exceptions."""
    found = judged(asked("old.example.org"), exception(), OWNER)
    assert found.violations == ()
    assert [(each.violation.rule, each.exception.id[0]) for each in found.covered] == [
        ("names.profile", "a"),
        ("names.owner", "b"),
    ]
    assert str(found.covered[0]).startswith("names.profile is suspended by the exception aaaa")


def test_a_name_is_covered_and_its_neighbour_is_not() -> None:
    """The exception for one name lets no other one through, whatever is asked for together."""
    found = judged(asked("old.example.org", "evil.example.org"), exception(), OWNER)
    assert rules(found) == ["names.profile", "names.owner"]
    assert all("evil.example.org" in each.field for each in found.violations)
    assert len(found.covered) == 2


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("shop.example.com",), []),
        (("www.shop.example.com", "shop.example.com"), []),
        (("shop.example.com", "blog.example.com"), ["key_strength.profile"]),
    ],
)
def test_what_is_about_the_whole_request_needs_every_name(names: tuple[str, ...], expected: list[str]) -> None:
    """A weak key is allowed for the names that were granted, and not for a request with another one among them."""
    selection = Selection(name="shop.example.com", subtree=True)
    found = judged(asked(*names, key="RSA-2048"), exception("key_strength.profile", selection=selection))
    assert rules(found) == expected


@pytest.mark.parametrize(
    ("more", "covered"),
    [
        ({"selection": Selection(owner="shop")}, True),
        ({"selection": Selection(owner="blog")}, False),
        ({"selection": Selection(managed="old")}, True),
        ({"selection": Selection(managed="new")}, False),
        ({"selection": Selection()}, False),
        ({"selection": Selection(account="111122223333")}, False),
        ({"ends": NOW}, False),
        ({"ends": NOW + timedelta(seconds=1)}, True),
        ({"state": ExceptionState.ASKED}, False),
        ({"state": ExceptionState.ENDED}, False),
        ({"rule": "names.owner"}, False),
    ],
)
def test_an_exception_covers_what_its_selection_says_while_it_holds(more: dict[str, Any], covered: bool) -> None:
    """Owner, managed certificate, rule, state and end all count."""
    found = judged(asked("old.example.org"), exception(**{"selection": Selection(owner="shop"), **more}), managed="old")
    assert ("names.profile" not in rules(found)) is covered


def test_a_request_for_no_managed_certificate_is_covered_by_none() -> None:
    """Where it is not known for which it is, a condition on it does not hold."""
    assert rules(judged(asked("old.example.org"), exception(selection=Selection(managed="old"))))


def test_of_several_exceptions_the_one_that_ends_last_is_named() -> None:
    """What is told as its end is the time until which it is really covered."""
    later = exception(id="c" * 32, ends=NOW + 20 * DAY)
    (covered,) = judged(asked("old.example.org"), exception(), later).covered
    assert covered.exception.id == "c" * 32


def test_exceptions_are_asked_for_only_where_a_rule_is_violated() -> None:
    """A request that is allowed costs nothing more than before."""
    asks: list[int] = []

    def active() -> Iterable[ExceptionRecord]:
        asks.append(1)
        return ()

    assert policy.require(asked(), active) == () and asks == []
    with pytest.raises(PolicyViolated):
        policy.require(asked("old.example.org"), active)
    assert asks == [1]


def test_what_is_left_is_refused_in_its_own_words_alone() -> None:
    """The refusal names what counts, and not what is covered."""
    with pytest.raises(PolicyViolated) as raised:
        policy.require(asked("old.example.org"), lambda: [exception()])
    assert "names.owner" in str(raised.value) and "names.profile" not in str(raised.value)
    assert len(policy.require(asked("old.example.org"), lambda: [exception(), replace(OWNER)])) == 2
