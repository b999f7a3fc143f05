"""What approvers are told: everything that they need to decide, and nothing that decides by itself."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest

from managed_records import DECLARED, NOW, record
from perennial import approvals, change_request_message
from perennial.change_request import ChangeRequest, Kind, Need, Wish
from perennial.change_request_message import MAX_CHANGES, entry, event, lines

ID = "01a196fb16006a34df8d9526c150b2a8"
EVIL = 'x"\\<script>\n\x1b[2J' + "y" * 5_000


def request(wish: Wish, **more: Any) -> ChangeRequest:
    known: dict[str, Any] = {
        "id": ID,
        "wish": wish,
        "owner": "shop-team",
        "environment": "production",
        "digest": approvals.digest(wish),
        "asked_by": ("a",),
        "principal": "a",
        "asked_name": "Ada",
        "asked_at": NOW,
        "source": "api",
        "reason": "the shop moves",
        "needs": (Need(role="owner", people=1, owner="shop-team", environment="production"),),
        "expires_at": NOW + timedelta(days=7),
        "forget_at": NOW + timedelta(days=400),
    }
    return ChangeRequest(**{**known, **more})


CREATE = Wish(kind=Kind.CREATE, managed="shop", declared=DECLARED)


def test_the_whole_message() -> None:
    """Who asks for what and why, what policy says, who may decide until when, where to sign in, and the command."""
    found = list(lines(event(request(CREATE), None, "https://c.example.com/decide")))
    assert found == [
        f"Request: {ID}",
        "Asked: create shop",
        "By: Ada",
        "Why: the shop moves",
        "Owner: shop-team",
        "Environment: production",
        "- names: shop.example.com",
        "- profile: web",
        "- owner: shop-team",
        "- targets: edge",
        "- targets.edge.kind: elbv2",
        "- targets.edge.listener: arn:aws:x",
        "Policy: it is allowed, and needs 1 approver of shop-team for production",
        "May decide: 1 approver of shop-team for production; nobody decides on what they asked for",
        "Until: 2026-12-05 12:00 UTC",
        f"Sign in to decide: https://c.example.com/decide#request={ID}",
        f"Or: perennial approve {ID}",
        f"To refuse: perennial reject {ID} --reason WORDS",
    ]


def test_without_a_page_there_is_no_link() -> None:
    """Nothing is linked to where no page is configured."""
    assert not [each for each in lines(event(request(CREATE), None, "")) if "http" in each]


WORDS: dict[str, tuple[Wish, list[str]]] = {
    "change": (
        Wish(kind=Kind.CHANGE, managed="shop", declared=replace(DECLARED, service="the shop")),
        ["service: the shop"],
    ),
    "take away": (
        Wish(kind=Kind.CHANGE, managed="shop", declared=replace(DECLARED, targets=())),
        ["targets: edge becomes nothing"],
    ),
    "retire": (Wish(kind=Kind.RETIRE, managed="shop"), ["it is no longer renewed"]),
    "revoke": (
        Wish(kind=Kind.REVOKE, managed="shop", version=3, why="key-compromise"),
        ["version 3 is revoked at its issuer (key-compromise)"],
    ),
    "renew": (Wish(kind=Kind.RENEW, managed="shop"), ["it is renewed now or in its next window"]),
    "renew at once": (Wish(kind=Kind.RENEW, managed="shop", force=True), ["it is renewed now, whatever its windows"]),
}


@pytest.mark.parametrize("case", WORDS)
def test_what_is_asked(case: str) -> None:
    """A change is told field by field, as it is and as it would be; everything else in a sentence."""
    wish, begins = WORDS[case]
    found = event(request(wish), record(), "").changes
    assert [each[: len(begin)] for each, begin in zip(found, begins, strict=False)] == begins


def test_it_is_bounded() -> None:
    """A hundred names and many targets are told in some lines, with how many more."""
    many = replace(DECLARED.request, names=tuple(f"{number}.example.com" for number in range(100)))
    targets = tuple(replace(DECLARED.targets[0], name=f"t{number}") for number in range(50))
    wish = Wish(kind=Kind.CREATE, managed="shop", declared=replace(DECLARED, request=many, targets=targets))
    found = event(request(wish), None, "").changes
    assert len(found) == MAX_CHANGES + 1
    assert found[-1].endswith("more fields")
    assert all(len(each) < 400 for each in found)


def test_texts_of_strangers_are_clean() -> None:
    """No text of who asks breaks a line, JSON or a terminal, or floods the message."""
    hostile = replace(DECLARED, service=EVIL, environment=EVIL, request=replace(DECLARED.request, owner=EVIL))
    wish = Wish(kind=Kind.CREATE, managed="shop", declared=hostile)
    needs = (Need(role="owner", people=1, owner=EVIL, environment=EVIL),)
    asked = request(wish, reason=EVIL, asked_name=EVIL, owner=EVIL, environment=EVIL, needs=needs)
    found = event(asked, None, "")
    texts = [each for value in asdict(found).values() for each in (value if isinstance(value, tuple) else (value,))]
    assert not [each for each in texts if set(each) & set('"\\<>\n\x1b')]
    assert len("\n".join(lines(found))) < 20_000


def test_the_event() -> None:
    """The bus gets the same as people, under its own type, in JSON of a few KB."""
    found = entry(event(request(CREATE), None, ""), "perennial", NOW)
    assert (found["Source"], found["DetailType"]) == ("perennial", "Change Request Asked")
    detail = json.loads(found["Detail"])
    assert (detail["version"], detail["id"], detail["kind"]) == ("1", ID, "create")
    assert detail["command"] == f"perennial approve {ID}"


def test_attributes_are_not_empty() -> None:
    """SNS takes no empty text: what is not there is left out."""
    asked = request(CREATE, environment="")
    assert set(change_request_message.attributes(event(asked, None, ""))) == {"managed", "owner", "kind", "state"}


def test_the_subject_is_for_mail() -> None:
    """At most 100 printable ASCII characters on one line, whatever the name is."""
    wish = Wish(kind=Kind.RETIRE, managed="bücher\n" * 50)
    subject = event(request(wish), None, "").subject
    assert len(subject) <= 100
    assert subject.isascii()
    assert subject.isprintable()
