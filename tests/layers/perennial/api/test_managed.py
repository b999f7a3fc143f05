"""Managed certificates over the API: documents, pages, ETags, and what is asked of change_requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import api_parts
from api_parts import Kind, Parts
from asked_api import ApiHub, api_hub, as_role
from certificates import build
from managed_records import DECLARED, record, rollout, serving, version
from perennial.api.pages import MOST
from perennial.api.preconditions import must_match
from perennial.errors import PreconditionFailed, PreconditionRequired
from perennial.inventory.managed_pages import ManagedPages
from perennial.managed_certificate import ManagedCertificate

CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::123456789012:role/anna" = ["requester@shop-team/production"]
"arn:aws:iam::123456789012:role/bert" = ["requester@shop-team", "requester@mail-team"]
"arn:aws:iam::123456789012:role/admin" = ["admin", "requester"]
"""
ANNA, BERT, ADMIN = as_role("anna"), as_role("bert"), as_role("admin")
TARGET = {"kind": "elb", "name": "a", "load_balancer": "a", "port": 443}
NEW = {
    "name": "new",
    "names": ["New.example.com"],
    "profile": "web",
    "owner": "shop-team",
    "environment": "production",
    "targets": [TARGET],
    "reason": "a new shop",
}


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    return api_parts.stand_in(monkeypatch)


@pytest.fixture
def hub(parts: Parts) -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION) as made:
        yield made


def keep(
    hub: ApiHub, name: str = "shop", owner: str = "shop-team", environment: str = "production", **more: Any
) -> Any:
    request = replace(DECLARED.request, owner=owner)
    declared: ManagedCertificate = replace(DECLARED, name=name, request=request, environment=environment, targets=())
    return hub.estate.deployment.inventory.save_managed(record(declared=declared, **more))


def test_reading_one(hub: ApiHub) -> None:
    """What is declared, as certificates.yaml has it; what serves; and its ETag."""
    keep(hub, serving=serving(3))
    answer = hub.ask("GET", "/managed/shop", ANNA)
    assert (answer.status, answer.headers["etag"]) == (200, '"1"')
    found = answer.document
    assert found["declaration"] == {
        "names": ["shop.example.com"],
        "profile": "web",
        "owner": "shop-team",
        "environment": "production",
    }
    assert (found["serving"]["version"], found["state"], found["revision"]) == (3, "requested", 1)


def test_what_is_read_can_be_written(hub: ApiHub, parts: Parts) -> None:
    """The declaration that GET gives is what PUT takes, and means the same."""
    kept = keep(hub)
    found = hub.ask("GET", "/managed/shop", ANNA)
    body = {**found.document["declaration"], "reason": "as it is"}
    assert hub.ask("PUT", "/managed/shop", ANNA, body, If_Match=found.headers["etag"]).status == 202
    assert parts.called[0][1]["wish"].declared == kept.declared


def test_versions_and_rollouts(hub: ApiHub) -> None:
    """The newest first, and without keys."""
    keep(hub)
    inventory = hub.estate.deployment.inventory
    for number in (1, 2):
        inventory.save_version(version(number), None)
    inventory.save_rollout(rollout(1), None)
    versions = hub.ask("GET", "/managed/shop/versions?limit=1", ANNA).document["items"]
    assert [(each["version"], each["state"]) for each in versions] == [(2, "issued")]
    (only,) = hub.ask("GET", "/managed/shop/rollouts", ANNA).document["items"]
    assert (only["rollout"], only["state"], only["targets"]) == (1, "deployed", 1)


def test_who_may_not_read_does_not_learn_whether_it_is_there(hub: ApiHub) -> None:
    """Another team's and one that is not there get the same answer; who may read all is told 404."""
    keep(hub, "mail", "mail-team")
    there, missing = hub.ask("GET", "/managed/mail", ANNA), hub.ask("GET", "/managed/gone", ANNA)
    assert (there.status, missing.status) == (403, 403)
    assert there.document["type"] == missing.document["type"]
    assert hub.ask("GET", "/managed/gone", ADMIN).status == 404


# --- lists ---


def test_pages(hub: ApiHub) -> None:
    """Pages of two go through all that one may read, by name, each once; another team's never show."""
    for number in range(5):
        keep(hub, f"a{number}")
        keep(hub, f"b{number}", "mail-team")
    names, path = [], "/managed?limit=2"
    for _ in range(9):
        page = hub.ask("GET", path, ANNA).document
        names += [each["name"] for each in page["items"]]
        if page["next"] is None:
            break
        path = f"/managed?limit=2&next={page['next']}"
    assert names == [f"a{number}" for number in range(5)]


def test_what_comes_and_goes_between_pages(hub: ApiHub) -> None:
    """What is new behind the cursor is seen, what is new before it moves nothing, what is gone is left out."""
    for name in ("b", "c", "d"):
        keep(hub, name)
    first = hub.ask("GET", "/managed?limit=2", ANNA).document
    keep(hub, "a")
    keep(hub, "e")
    second = hub.ask("GET", f"/managed?limit=2&next={first['next']}", ANNA).document
    assert [[each["name"] for each in page["items"]] for page in (first, second)] == [["b", "c"], ["d", "e"]]


@pytest.mark.parametrize(("query", "sizes"), [("limit=2", [3]), ("limit=2&state=serving", [3, MOST])])
def test_a_page_reads_what_it_shows_and_one_more(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch, query: str, sizes: list[int]
) -> None:
    """Only where some are left out, others are read in larger steps."""
    for number in range(5):
        keep(hub, f"a{number}")
    asked, read = [], ManagedPages.declared_after

    def counted(self: Any, name: str, limit: int) -> Any:
        asked.append(limit)
        return read(self, name, limit)

    monkeypatch.setattr(ManagedPages, "declared_after", counted)
    assert hub.ask("GET", f"/managed?{query}", ADMIN).status == 200
    assert asked == sizes


def test_filters(hub: ApiHub) -> None:
    """By team and by state."""
    keep(hub, "one")
    keep(hub, "two", "mail-team")
    assert [each["name"] for each in hub.ask("GET", "/managed?owner=mail-team", BERT).document["items"]] == ["two"]
    assert hub.ask("GET", "/managed?state=serving", BERT).document["items"] == []


@pytest.mark.parametrize("cursor", ["x", "bm90LWEtY3Vyc29y", "é", "A" * 2_001])
def test_cursors_that_are_none(hub: ApiHub, cursor: str) -> None:
    """A damaged or foreign one is refused."""
    assert hub.ask("GET", f"/managed?next={cursor}", ANNA).status in (400, 422)


def test_a_cursor_of_another_list(hub: ApiHub) -> None:
    """A cursor leads on in the question that it belongs to, and in no other one."""
    for name in ("a", "b"):
        keep(hub, name)
    following = hub.ask("GET", "/managed?limit=1", ANNA).document["next"]
    assert hub.ask("GET", f"/managed?limit=1&owner=shop-team&next={following}", ANNA).status == 400
    assert hub.ask("GET", f"/managed?limit=1&next={following}", ADMIN).status == 400


# --- writing ---


def test_asking_for_a_new_one(hub: ApiHub, parts: Parts) -> None:
    """The wish has the declaration in its canonical form, who asks, and why; the answer says where the request is."""
    answer = hub.ask("POST", "/managed", ANNA, NEW)
    assert (answer.status, answer.headers["location"]) == (202, f"/v1/requests/{answer.document['id']}")
    ((_, given),) = parts.called
    wish = given["wish"]
    assert (wish.kind, wish.managed, wish.revision) == (Kind.CREATE, "new", 0)
    assert wish.declared.request.names == ("new.example.com",)
    assert wish.declared.targets[0].text("port") == "443"
    assert (given["reason"], given["source"], given["now"]) == ("a new shop", "api", hub.estate.clock())
    assert given["person"].principal == "arn:aws:iam::123456789012:role/anna"


def test_one_that_is_there(hub: ApiHub, parts: Parts) -> None:
    """A name that is taken is 409; of one that was removed both teams are asked."""
    keep(hub, "new")
    assert hub.ask("POST", "/managed", ANNA, NEW).status == 409
    keep(hub, "old", "mail-team", removed_at=hub.estate.clock())
    assert hub.ask("POST", "/managed", ANNA, {**NEW, "name": "old"}).status == 403
    assert hub.ask("POST", "/managed", BERT, {**NEW, "name": "old"}).status == 202
    assert parts.called[0][1]["wish"].revision == 1


def test_what_a_declaration_may_not_say(hub: ApiHub, parts: Parts) -> None:
    """What only the reader of declarations knows is a violation with its place, all of them at once."""
    body = {**NEW, "names": ["a..example.com", "b.example.com", "b.example.com"], "targets": [{**TARGET, "port": "x"}]}
    answer = hub.ask("POST", "/managed", ANNA, body)
    assert answer.status == 422
    assert len(answer.document["violations"]) >= 3
    assert parts.called == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 428),
        ('"2"', 412),
        ('W/"1"', 412),
        ("1", 412),
        ('""', 412),
        ('"1"', 202),
        ('"7", "1"', 202),
        ("*", 202),
        ("x" * 501, 422),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_if_match(hub: ApiHub, parts: Parts, method: str, header: str | None, status: int) -> None:
    """A change without the state that was read is 428, of another state 412; a weak tag is of none."""
    keep(hub)
    body = {name: value for name, value in NEW.items() if name != "name"} if method == "PUT" else None
    path = "/managed/shop" if method == "PUT" else "/managed/shop?reason=gone"
    answer = hub.ask(method, path, ANNA, body, **({"If-Match": header} if header else {}))
    assert answer.status == status
    assert bool(parts.called) is (status == 202)


def test_must_match() -> None:
    """The same, of the function: what it raises."""
    must_match('"3"', 3, "x")
    with pytest.raises(PreconditionRequired):
        must_match(None, 3, "x")
    with pytest.raises(PreconditionFailed):
        must_match('"4"', 3, "x")


def test_handing_one_over(hub: ApiHub) -> None:
    """A certificate changes hands only by who may change both teams': neither is it pushed into foreign hands."""
    keep(hub)
    body = {**NEW, "owner": "mail-team"}
    del body["name"]
    assert hub.ask("PUT", "/managed/shop", ANNA, body, If_Match="*").status == 403
    assert hub.ask("PUT", "/managed/shop", BERT, body, If_Match="*").status == 202
    keep(hub, "mail", "mail-team")
    assert hub.ask("PUT", "/managed/mail", ANNA, {**body, "owner": "shop-team"}, If_Match="*").status == 403


def test_wishes(hub: ApiHub, parts: Parts) -> None:
    """Each route asks for its kind of change, of the revision that is there."""
    keep(hub)
    hub.ask("POST", "/managed/shop/renewals", ANNA, {"reason": "now", "force": True})
    hub.ask("POST", "/managed/shop/revocations", ANNA, {"reason": "lost", "why": "key-compromise", "version": 2})
    hub.ask("DELETE", "/managed/shop?reason=over", ANNA, If_Match='"1"')
    wishes = [given["wish"] for _, given in parts.called]
    assert [(each.kind, each.force, each.version, each.why, each.revision) for each in wishes] == [
        (Kind.RENEW, True, 0, "", 1),
        (Kind.REVOKE, False, 2, "key-compromise", 1),
        (Kind.RETIRE, False, 0, "", 1),
    ]
    assert [given["reason"] for _, given in parts.called] == ["now", "lost", "over"]


@pytest.mark.parametrize("body", [{"reason": "x", "why": "because"}, {"reason": "x"}, {"why": "superseded"}, {}])
def test_a_revocation_says_why(hub: ApiHub, body: dict[str, str]) -> None:
    """The CA's reason is one of RFC 5280 that concern a certificate of one's own, and a person says why too."""
    keep(hub)
    assert hub.ask("POST", "/managed/shop/revocations", ANNA, body).status == 422


def test_adopting(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of the inventory is adopted only by who may act for its owner."""
    built = build("shop.example.com").certificate
    owners = {"a" * 64: "shop-team", "b" * 64: "mail-team", "c" * 64: None}
    inventory = type(hub.estate.deployment.inventory)

    def owned(_: Any, fingerprint: str) -> Any:
        return (built, owners[fingerprint]) if fingerprint in owners else None

    monkeypatch.setattr(inventory, "certificate_and_owner", owned)
    answers = {each: hub.ask("POST", "/managed", ANNA, {**NEW, "adopts": each}).status for each in (*owners, "d" * 64)}
    assert answers == {"a" * 64: 202, "b" * 64: 403, "c" * 64: 403, "d" * 64: 403}
