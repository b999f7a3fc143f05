"""A write that is sent again under its key is done once; a key is its principal's and its route's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

import api_parts
from api_parts import Parts
from asked_api import ApiHub, api_hub, as_role
from managed_records import record
from perennial.api.once import PARTITION
from perennial.errors import Unavailable

CONFIGURATION = b"""
[api.principals]
"arn:aws:iam::123456789012:role/anna" = ["requester"]
"arn:aws:iam::123456789012:role/bert" = ["requester"]
"""
ANNA, BERT = as_role("anna"), as_role("bert")
BODY = {"reason": "it is time"}
RENEW = "/managed/shop/renewals"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    return api_parts.stand_in(monkeypatch)


@pytest.fixture
def hub(parts: Parts) -> Iterator[ApiHub]:
    with api_hub(CONFIGURATION) as made:
        made.estate.deployment.inventory.save_managed(record())
        yield made


def _key(hub: ApiHub, who: Any = ANNA, body: Any = None, path: str = RENEW, key: str = "k-1", **more: str) -> Any:
    return hub.ask("POST", path, who, body or BODY, Idempotency_Key=key, **more)


def test_the_same_again_is_done_once(hub: ApiHub, parts: Parts) -> None:
    """The second answer is the first one, and says so; what was asked is asked once, and audited once."""
    first, again = _key(hub), _key(hub)
    assert (first.status, again.status) == (202, 202)
    assert first.document == again.document
    assert first.headers["location"] == again.headers["location"]
    assert first.headers["etag"] == again.headers["etag"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert [name for name, _ in parts.called] == ["ask"]


def test_without_a_key_it_is_asked_twice(hub: ApiHub, parts: Parts) -> None:
    """A key is an offer: without one each request is one."""
    for _ in range(2):
        assert hub.ask("POST", RENEW, ANNA, BODY).status == 202
    assert len(parts.called) == 2


@pytest.mark.parametrize(
    "more", [{"body": {"reason": "another"}}, {"body": {"reason": "it is time", "force": True}}, {"If_Match": '"1"'}]
)
def test_the_same_key_with_another_request(hub: ApiHub, parts: Parts, more: dict[str, Any]) -> None:
    """It is refused with 422, and not done."""
    _key(hub)
    answer = _key(hub, **more)
    assert answer.status == 422
    assert len(parts.called) == 1


def test_a_key_is_its_principal_s(hub: ApiHub, parts: Parts) -> None:
    """Another principal under the same key asks anew, and is not answered with what the first one asked."""
    first, other = _key(hub), _key(hub, BERT)
    assert other.status == 202
    assert "idempotency-replayed" not in other.headers
    assert first.document["id"] != other.document["id"]
    assert len(parts.called) == 2


def test_a_key_is_its_route_s(hub: ApiHub, parts: Parts) -> None:
    """The same key on another route, or another managed certificate, is another one."""
    _key(hub)
    revocation = {**BODY, "why": "superseded"}
    assert _key(hub, path="/managed/shop/revocations", body=revocation).status == 202
    assert len(parts.called) == 2


def test_what_failed_may_be_tried_again(hub: ApiHub, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem is not kept: the same key does it the next time."""
    import perennial

    done = perennial.change_requests.ask  # type: ignore[attr-defined]

    def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("not now")

    monkeypatch.setattr(perennial.change_requests, "ask", fail)  # type: ignore[attr-defined]
    assert _key(hub).status == 503
    monkeypatch.setattr(perennial.change_requests, "ask", done)  # type: ignore[attr-defined]
    assert _key(hub).status == 202
    assert len(parts.called) == 1


def test_a_refusal_is_not_kept(hub: ApiHub) -> None:
    """Who may not is refused each time, and each time that is audited."""
    viewer = as_role("nobody-known")
    assert [_key(hub, viewer).status for _ in range(2)] == [403, 403]
    assert len(hub.trail()) == 2


def test_one_that_is_being_done(hub: ApiHub, parts: Parts) -> None:
    """While the first one is at work, the second one is told to come back: 409 with a time."""
    answers = []

    def at_work(*given: Any, **more: Any) -> Any:
        answers.append(_key(hub))
        return parts.ask(*given, **more)

    import perennial

    before = perennial.change_requests.ask  # type: ignore[attr-defined]
    perennial.change_requests.ask = at_work  # type: ignore[attr-defined]
    try:
        assert _key(hub).status == 202
    finally:
        perennial.change_requests.ask = before  # type: ignore[attr-defined]
    assert (answers[0].status, answers[0].headers["retry-after"]) == (409, "2")


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "a b", "é", "\x00"])
def test_what_is_no_key(hub: ApiHub, parts: Parts, key: str) -> None:
    """A key that is empty, too long or of other characters is refused with 400 before anything is done."""
    assert _key(hub, key=key).status == 400
    assert parts.called == []


def test_what_is_kept(hub: ApiHub) -> None:
    """One item in the inventory's table, that forgets itself within a day; neither the key nor the body is in it."""
    _key(hub, body={"reason": "reason-of-the-body"}, key="the-key")
    hub_of = hub.estate.deployment
    found = hub_of.clients("dynamodb").query(
        TableName=hub_of.named("PERENNIAL_TABLE"),
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": PARTITION}},
    )["Items"]
    (item,) = found
    assert {"pk", "sk", "status", "data", "validation", "expires_at"} <= set(item)
    assert item["sk"]["S"].startswith("api#")
    assert "the-key" not in str(item)


def test_the_table_that_does_not_answer(hub: ApiHub, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the key cannot be kept, nothing is done: 503 or 429, as the table says."""
    client = hub.estate.deployment.clients("dynamodb")

    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "PutItem")

    monkeypatch.setattr(client, "put_item", fail)
    assert _key(hub).status == 429
    assert parts.called == []


def test_reading_needs_no_key(hub: ApiHub) -> None:
    """A key on a GET changes nothing: each answer is as things are now."""
    answers = [hub.ask("GET", "/me", ANNA, Idempotency_Key="k-1") for _ in range(2)]
    assert [each.status for each in answers] == [200, 200]
    assert "idempotency-replayed" not in answers[1].headers
