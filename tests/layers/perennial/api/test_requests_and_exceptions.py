"""Change requests and exceptions over the API: what is shown, what is decided, and what is passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import api_parts
from api_parts import ASKER, DIGEST, FOREIGN_ID, MISSING_ID, WAITING_ID, Need, Parts
from asked_api import ApiHub, api_hub, as_role
from managed_records import record
from perennial.certificate_request import CertificateRequest
from perennial.managed_certificate import ManagedCertificate

CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::123456789012:role/anna" = ["approver@shop-team/production"]
"arn:aws:iam::123456789012:role/asker" = ["requester@shop-team", "approver@shop-team", "security"]
"arn:aws:iam::123456789012:role/guard" = ["security"]
"arn:aws:iam::123456789012:role/tester" = ["requester@shop-team/test"]
"arn:aws:iam::123456789012:role/mail" = ["approver@mail-team"]

[api.people]
"arn:aws:iam::123456789012:role/guard" = "ada@example.com"
"arn:aws:iam::123456789012:role/ada" = "ada@example.com"
"""
ANNA, GUARD, MAIL = as_role("anna"), as_role("guard"), as_role("mail")
APPROVAL = f"/requests/{WAITING_ID}/approval"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    made = api_parts.stand_in(monkeypatch)
    made.hold("shop-team", "production", "mail-team")
    return made


@pytest.fixture
def hub(parts: Parts) -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION) as made:
        yield made


def needing(parts: Parts, *needs: Need) -> None:
    parts.requests[WAITING_ID] = replace(parts.requests[WAITING_ID], needs=needs)


def test_lists(hub: ApiHub) -> None:
    """Each sees what is of their team, and security everything."""
    for path in ("/requests", "/exceptions"):
        seen = [[each["id"] for each in hub.ask("GET", path, who).document["items"]] for who in (ANNA, GUARD, MAIL)]
        assert seen == [[WAITING_ID], [FOREIGN_ID, WAITING_ID], [FOREIGN_ID]]


def test_pages(hub: ApiHub, parts: Parts) -> None:
    """Pages of one go through everything once, and end; a cursor of one list is none of the other."""
    for path in ("/requests", "/exceptions"):
        first = hub.ask("GET", f"{path}?limit=1", GUARD).document
        second = hub.ask("GET", f"{path}?limit=1&next={first['next']}", GUARD).document
        assert [each["id"] for each in (*first["items"], *second["items"])] == [FOREIGN_ID, WAITING_ID]
        assert second["next"] is None
        other = {"/requests": "/exceptions", "/exceptions": "/requests"}[path]
        assert hub.ask("GET", f"{other}?limit=1&next={first['next']}", GUARD).status == 400


def test_one(hub: ApiHub) -> None:
    """What is asked for, whom it needs, its digest and its ETag; who may not know of one gets 403."""
    answer = hub.ask("GET", f"/requests/{WAITING_ID}", ANNA)
    assert (answer.status, answer.headers["etag"], answer.document["digest"]) == (200, '"1"', DIGEST)
    assert answer.document["needs"] == [
        {"role": "owner", "people": 1, "owner": "shop-team", "environment": "production"}
    ]
    for kind in ("requests", "exceptions"):
        assert hub.ask("GET", f"/{kind}/{WAITING_ID}", ANNA).status == 200
        assert hub.ask("GET", f"/{kind}/{FOREIGN_ID}", ANNA).status == 403
        assert hub.ask("GET", f"/{kind}/{MISSING_ID}", ANNA).status == 403
        assert hub.ask("GET", f"/{kind}/{MISSING_ID}", GUARD).status == 404
        assert hub.ask("GET", f"/{kind}/nothing", GUARD).status == 422


def test_approving_for_the_team_and_for_security(hub: ApiHub, parts: Parts) -> None:
    """A request is approved by whoever can fill a need of it: the team's approver, or security."""
    needing(parts, Need(role="security", people=1))
    assert hub.ask("POST", APPROVAL, ANNA, {"digest": DIGEST}).status == 403
    assert hub.ask("POST", APPROVAL, GUARD, {"digest": DIGEST, "reason": "fine"}).status == 200
    ((name, given),) = parts.called
    assert (name, given["digest"], given["reason"], given["source"]) == ("approve", DIGEST, "fine", "api")
    needing(parts, Need(role="owner", people=1, owner="mail-team"), Need(role="security", people=1))
    assert hub.ask("POST", APPROVAL, MAIL, {"digest": DIGEST}).status == 200


def test_a_certificate_that_changes_hands_is_seen_by_both(hub: ApiHub, parts: Parts) -> None:
    """The team that would get it reads the request too, and may reject it."""
    needing(parts, Need(role="owner", people=1, owner="mail-team"))
    assert hub.ask("GET", f"/requests/{WAITING_ID}", MAIL).status == 200
    assert WAITING_ID in [each["id"] for each in hub.ask("GET", "/requests", MAIL).document["items"]]
    assert hub.ask("POST", f"/requests/{WAITING_ID}/rejection", MAIL, {"reason": "not ours"}).status == 200


def test_nobody_approves_their_own(hub: ApiHub, parts: Parts) -> None:
    """Who asked may not approve or grant, with whatever roles; nor under another identity that is linked to theirs."""
    asker = as_role("asker")
    for path, body in ((APPROVAL, {"digest": DIGEST}), (f"/exceptions/{WAITING_ID}/approval", {})):
        answer = hub.ask("POST", path, asker, body)
        assert (answer.status, "asked for themselves" in answer.document["detail"]) == (403, True)
    needing(parts, Need(role="security", people=1))
    linked = replace(parts.requests[WAITING_ID], asked_by=("arn:aws:iam::123456789012:role/ada",))
    parts.requests[WAITING_ID] = linked
    assert hub.ask("POST", APPROVAL, GUARD, {"digest": DIGEST}).status == 403
    assert parts.called == []
    assert {each.event.action for each in hub.trail()} == {"approval.approve", "exception.approve"}
    assert ASKER in linked.principal


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (APPROVAL, {}),
        (APPROVAL, {"digest": "x"}),
        (APPROVAL, {"digest": DIGEST, "reason": "two\nlines"}),
        (f"/requests/{WAITING_ID}/rejection", {}),
        (f"/requests/{WAITING_ID}/rejection", {"reason": ""}),
        (f"/exceptions/{WAITING_ID}/rejection", {}),
        (f"/exceptions/{WAITING_ID}/end", {"reason": "x" * 1_001}),
        ("/exceptions", {"rule": "keys.weak"}),
        (
            "/exceptions",
            {"rule": "k", "selection": {}, "reason": "x", "owner": "shop-team", "ends": "2026-11-20T00:00:00"},
        ),
    ],
)
def test_what_a_decision_must_say(hub: ApiHub, parts: Parts, path: str, body: dict[str, Any]) -> None:
    """A digest where it is an approval, a reason where it is a refusal, a time with a zone: else 422."""
    assert hub.ask("POST", path, GUARD, body).status == 422
    assert parts.called == []


def test_a_decision_of_another_state(hub: ApiHub, parts: Parts) -> None:
    """With If-Match, one that changed meanwhile is not decided."""
    assert hub.ask("POST", APPROVAL, ANNA, {"digest": DIGEST}, If_Match='"2"').status == 412
    assert hub.ask("POST", f"/exceptions/{WAITING_ID}/end", GUARD, {"reason": "x"}, If_Match='"2"').status == 412
    assert parts.called == []
    assert hub.ask("POST", APPROVAL, ANNA, {"digest": DIGEST}, If_Match='"1"').status == 200


def test_exceptions_are_asked_for_and_decided(hub: ApiHub, parts: Parts) -> None:
    """Each route calls its function, with who, why and when."""
    asked = {
        "rule": "keys.weak",
        "selection": {"name": "shop.example.com", "subtree": True},
        "reason": "a printer",
        "owner": "shop-team",
        "ends": "2026-11-20T00:00:00Z",
    }
    made = hub.ask("POST", "/exceptions", as_role("asker"), asked)
    assert (made.status, made.headers["location"]) == (202, f"/v1/exceptions/{'e' * 32}")
    assert made.document["selection"] == {"name": "shop.example.com", "subtree": True}
    for decision, body in (("approval", {}), ("rejection", {"reason": "no"}), ("end", {"reason": "over"})):
        assert hub.ask("POST", f"/exceptions/{WAITING_ID}/{decision}", GUARD, body).status == 200
    names = [name for name, _ in parts.called]
    assert names == ["ask_exception", "grant_exception", "reject_exception", "end_exception"]
    assert all(given["now"] == hub.estate.clock() for _, given in parts.called)


def test_a_refusal_does_not_tell_what_others_have(hub: ApiHub, parts: Parts) -> None:
    """Who may ask in one environment gets the same words for another team's certificate and for one that is not
    there: neither that there is one nor its environment is told."""
    request = CertificateRequest(names=("x.example.com",), profile="web", owner="mail-team")
    theirs = ManagedCertificate(name="mail", request=request, environment="production")
    hub.estate.deployment.inventory.save_managed(record(declared=theirs))
    asked = {"rule": "keys.weak", "reason": "a printer", "owner": "shop-team", "ends": "2026-11-20T00:00:00Z"}
    said = []
    for name in ("mail", "nothing"):
        answer = hub.ask("POST", "/exceptions", as_role("tester"), {**asked, "selection": {"managed": name}})
        assert answer.status == 403
        said.append(answer.document["detail"])
    assert said[0] == said[1]


def test_withdrawing(hub: ApiHub, parts: Parts) -> None:
    """Who asked may take a request back; another who may only read it may not."""
    assert hub.ask("POST", f"/requests/{WAITING_ID}/withdrawal", ANNA, {}).status == 403
    answer = hub.ask("POST", f"/requests/{WAITING_ID}/withdrawal", as_role("asker"), {})
    assert (answer.status, answer.document["state"]) == (200, "withdrawn")
