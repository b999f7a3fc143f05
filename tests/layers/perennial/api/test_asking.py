"""Who asks, and that a refusal is in the audit trail whatever was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api_parts import ASKER
from asked_api import ID, ApiHub, api_hub, as_role
from estate import HUB
from perennial.api.asking import Asking, asked
from perennial.errors import ConcurrentChange, NotAllowed
from perennial.identity import CONTEXT
from perennial.principal_tags import PrincipalTags
from perennial.roles import Action, Grant, Person, Role, Source

CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::999988887777:role/other" = ["auditor"]

[api.groups]
shop = ["viewer@shop-team"]
"""
ANNA = Person(principal=ASKER, name="anna", source=Source.IAM, grants=(Grant(role=Role.VIEWER, team="shop-team"),))


@pytest.fixture(scope="module")
def hub() -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION) as made:
        yield made


def asking_of(hub: ApiHub, person: Person = ANNA) -> Asking:
    return Asking(hub=hub.estate.deployment, person=person, now=hub.estate.clock(), request_id=ID)


def token(**claims: Any) -> dict[str, Any]:
    """What the authorizer hands on."""
    kept = {"iss": "https://a.example", "sub": "ada", "exp": 4_000_000_000, "name": "Ada", "email": "", **claims}
    return {"authorizer": {CONTEXT: json.dumps({"groups": ["shop"], "told": [], **kept})}}


def test_a_principal_of_the_hub(hub: ApiHub) -> None:
    """A role of the hub's account has the grants of its tag, and what of it cannot be read is told."""
    iam = hub.estate.deployment.clients("iam")
    iam.create_role(
        RoleName="tagged", AssumeRolePolicyDocument="{}", Tags=[{"Key": "perennial:roles", "Value": "viewer"}]
    )
    iam.create_role(RoleName="wrong", AssumeRolePolicyDocument="{}", Tags=[{"Key": "perennial:roles", "Value": "king"}])
    tagged, wrong = (hub.ask("GET", "/me", as_role(each)).document for each in ("tagged", "wrong"))
    assert (tagged["grants"], tagged["not_understood"]) == (["viewer"], [])
    assert wrong["grants"] == []
    assert "king" in wrong["not_understood"][0]


def test_a_principal_of_another_account(hub: ApiHub) -> None:
    """It has the grants that the configuration gives, and no tag is read there."""
    assert hub.ask("GET", "/me", as_role("other", account="999988887777")).document["grants"] == ["auditor"]
    assert hub.ask("GET", "/me", as_role("other")).document["grants"] == []


def test_a_token(hub: ApiHub) -> None:
    """A person by the groups of their token; one whose token has expired since the authorizer's answer is nobody."""
    assert hub.ask("GET", "/me", token()).document["grants"] == ["viewer@shop-team"]
    expired = hub.ask("GET", "/me", token(exp=1))
    assert (expired.status, "expired" in expired.document["detail"]) == (401, True)


def test_both_at_once(hub: ApiHub) -> None:
    """A request that has a signature and a token is nobody's."""
    assert hub.ask("GET", "/me", {**token(), **as_role("tagged")}).status == 401


@pytest.mark.parametrize("context", [None, [], {"identity": 7}, {"authorizer": {CONTEXT: "{"}}, {"authorizer": []}])
def test_contexts_that_are_none(hub: ApiHub, context: Any) -> None:
    """Whatever stands in the place of a context is nobody."""
    found = asked(hub.estate.deployment, PrincipalTags(None, HUB), context or {}, ID)
    assert found.person.source is Source.NONE


@pytest.mark.parametrize(
    "subject",
    [
        "shop",
        "x" * 5_000,
        "two\nlines\x00",
        "half \ud800",
        "-----BEGIN PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "",
    ],
)
def test_a_refusal_is_audited_whatever_it_is_about(hub: ApiHub, subject: str) -> None:
    """A subject that is too long, of odd characters or like a secret keeps no refusal from the trail, nor comes into it
    as it is."""
    before = len(hub.trail())
    with pytest.raises(NotAllowed):
        asking_of(hub).may(Action.CHANGE, kind="managed", subject=subject, owner="mail-team")
    told = hub.trail()
    assert len(told) == before + 1
    assert "PRIVATE KEY" not in str(told[0].event)


def test_one_who_may_leaves_no_trace(hub: ApiHub) -> None:
    """What is allowed is audited by what it does, and not by the question."""
    before = len(hub.trail())
    asking_of(hub).may(Action.READ_MANAGED, kind="managed", subject="shop", owner="shop-team")
    assert [str(each) for each in asking_of(hub).reach(Action.READ_MANAGED, kind="managed")] == ["viewer@shop-team"]
    assert len(hub.trail()) == before


def test_what_happened(hub: ApiHub) -> None:
    """A route's own event has who, the request, and before and after as they fit."""
    asking_of(hub).happened(
        "discovery.start", kind="run", subject="r1", after={"password": "hunter2", "scopes": ["a"]}, why="new account"
    )
    (event,) = (each.event for each in hub.trail() if each.event.action == "discovery.start")
    assert (event.principal, event.source, event.request, event.why) == (ASKER, "api", ID, "new account")
    assert event.after["scopes"] == ["a"]
    assert "hunter2" not in str(event)


def test_writers_that_meet(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append that meets another one is tried again; where that never ends, the person is not told more than that."""
    left = [ConcurrentChange("another"), ConcurrentChange("another")]

    def meets(*_: Any) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr("perennial.audit.append", meets)
    with pytest.raises(NotAllowed):
        asking_of(hub).may(Action.CHANGE, kind="managed", subject="shop")
    left += [ConcurrentChange("another")] * 9
    with pytest.raises(ConcurrentChange):
        asking_of(hub).may(Action.CHANGE, kind="managed", subject="shop")
