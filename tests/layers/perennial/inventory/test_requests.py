"""Change requests in the table: what is written comes back, one writer wins, and lists read what they return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dict_table import DictTable
from managed_records import DECLARED
from perennial import approvals
from perennial.audit_event import happened
from perennial.change_request import ChangeRequest, Decision, Kind, Need, RequestState, Verdict, Wish
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.inventory.records import DueKind
from perennial.inventory.store import Inventory

NOW = datetime(2026, 11, 28, 12, 0, 0, 123456, tzinfo=UTC)
WAITING, APPROVED, DONE = RequestState.WAITING, RequestState.APPROVED, RequestState.DONE


@pytest.fixture
def table() -> Iterator[DictTable]:
    made = DictTable()
    with made.in_place():
        yield made


@pytest.fixture
def inventory(table: DictTable) -> Inventory:
    return Inventory("inventory")


def request(number: int = 1, owner: str = "shop", **more: Any) -> ChangeRequest:
    wish = Wish(kind=Kind.CREATE, managed="shop", declared=DECLARED)
    known: dict[str, Any] = {
        "id": f"{number:032x}",
        "wish": wish,
        "owner": owner,
        "environment": "production",
        "digest": approvals.digest(wish),
        "asked_by": ("a", "b"),
        "principal": "a",
        "asked_name": "Ada",
        "asked_at": NOW,
        "source": "api",
        "reason": "why",
        "needs": (Need(role="owner", people=2, owner=owner, environment="production"), Need(role="security", people=1)),
        "expires_at": NOW + timedelta(days=7),
        "forget_at": NOW + timedelta(days=400),
    }
    return ChangeRequest(**{**known, **more})


def ids(found: tuple[list[ChangeRequest], str]) -> list[int]:
    return [int(each.id, 16) for each in found[0]]


def test_everything_comes_back(inventory: Inventory) -> None:
    """A request with all that it may have is read as it was written, and its wish has the same digest."""
    event = happened(NOW, principal="a", source="api", action="request.create", subject_kind="request", subject="x")
    decision = Decision(
        verdict=Verdict.APPROVED,
        by=("b",),
        principal="b",
        name="Bob",
        at=NOW,
        fills=(("owner", "shop", "production"),),
        digest="d",
        reason="fine",
    )
    times = {"told_at": NOW, "approved_at": NOW, "ended_at": NOW}
    whole = request(decisions=(decision,), untold=(event,), made_of="m", state=DONE, message="m", failure="f", **times)
    saved = inventory.save_change_request(whole, NOW)
    found = inventory.change_request(whole.id)
    assert found == saved == replace(whole, revision=1)
    assert approvals.digest(found.wish) == whole.digest
    plain = inventory.save_change_request(request(2, wish=Wish(kind=Kind.RENEW, managed="shop", force=True)), None)
    assert inventory.change_request(plain.id) == plain


def test_what_is_not_there(inventory: Inventory) -> None:
    """An id that nobody has is not found, however long it is."""
    with pytest.raises(NotFound, match="requests list"):
        inventory.change_request("x" * 5_000)


def test_one_writer_wins(inventory: Inventory) -> None:
    """Of two who read the same revision, the second is told, and changes nothing."""
    saved = inventory.save_change_request(request(), NOW)
    first = inventory.save_change_request(replace(saved, state=APPROVED), NOW, WAITING)
    with pytest.raises(ConcurrentChange):
        inventory.save_change_request(replace(saved, state=RequestState.REJECTED), None, WAITING)
    with pytest.raises(ConcurrentChange):
        inventory.save_change_request(request(), NOW)
    assert inventory.change_request(saved.id) == first
    assert ids(inventory.change_requests(state=RequestState.REJECTED)) == []
    assert ids(inventory.change_requests(state=APPROVED)) == [1]


def test_lists(inventory: Inventory) -> None:
    """By state, by owner, by both, and all; the newest first. One of two teams is in the lists of both."""
    for number, owner in enumerate(("shop", "bank", "shop", "shop"), start=1):
        inventory.save_change_request(request(number, owner), NOW)
    over = request(5, needs=(Need(role="owner", people=1, owner="bank"),))
    inventory.save_change_request(over, NOW)
    known = inventory.change_request(f"{3:032x}")
    inventory.save_change_request(replace(known, state=APPROVED), NOW, WAITING)
    assert ids(inventory.change_requests()) == [5, 4, 3, 2, 1]
    assert ids(inventory.change_requests(state=WAITING)) == [5, 4, 2, 1]
    assert ids(inventory.change_requests(state=APPROVED)) == [3]
    assert ids(inventory.change_requests(owner="shop")) == [5, 4, 3, 1]
    assert ids(inventory.change_requests(owner="bank")) == [5, 2]
    assert ids(inventory.change_requests(owner="shop", state=WAITING)) == [5, 4, 1]
    assert ids(inventory.change_requests(owner="nobody")) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 50])
def test_pages(inventory: Inventory, size: int) -> None:
    """Pages of any size are the list, each request once, also where others come and go in between."""
    for number in range(1, 8):
        inventory.save_change_request(request(number), NOW)
    found: list[int] = []
    position, turn = "", 0
    while True:
        page = inventory.change_requests(state=WAITING, position=position, limit=size)
        assert len(page[0]) <= size
        found += ids(page)
        position = page[1]
        inventory.save_change_request(request(100 + turn), NOW)
        turn += 1
        if not position:
            break
    assert found == [7, 6, 5, 4, 3, 2, 1]


def test_a_page_reads_what_it_returns(inventory: Inventory, table: DictTable) -> None:
    """A page of two of a thousand requests reads the pointers of three, and these three."""
    for number in range(1, 1_001):
        inventory.save_change_request(request(number), NOW)
    read: list[int] = []
    send = table.around

    def counted(operation: str, ask: Any) -> Any:
        answer = ask()
        read.append(len(answer.get("Items", ())) + sum(map(len, answer.get("Responses", {}).values())))
        return send(operation, lambda: answer)

    table.around = counted
    assert ids(inventory.change_requests(owner="shop", limit=2)) == [1_000, 999]
    assert sum(read) == 6


def test_what_left_a_list_is_not_in_it(inventory: Inventory, table: DictTable) -> None:
    """A pointer that nobody could remove is passed over, and the page is full all the same."""
    for number in range(1, 5):
        inventory.save_change_request(request(number), NOW)
    for number in (4, 3):
        known = inventory.change_request(f"{number:032x}")
        inventory.save_change_request(replace(known, state=DONE), None, RequestState.APPROVED)
    assert ids(inventory.change_requests(state=WAITING, limit=1)) == [2]
    assert ids(inventory.change_requests(state=DONE)) == [4, 3]


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_pages_are_bounded(inventory: Inventory, limit: int) -> None:
    """A page is of one to a thousand."""
    with pytest.raises(InvalidInput):
        inventory.change_requests(limit=limit)


def test_due(inventory: Inventory) -> None:
    """What is due is found in the index by its id, until it is due no more."""
    saved = inventory.save_change_request(request(), NOW)
    (due,) = inventory.due(DueKind.REQUEST, NOW, 10)
    assert due.reference == saved.id
    inventory.started(due, NOW + timedelta(minutes=30))
    assert list(inventory.due(DueKind.REQUEST, NOW, 10)) == []
    again = inventory.save_change_request(saved, None, WAITING)
    assert list(inventory.due(DueKind.REQUEST, NOW + timedelta(days=9), 10)) == []
    assert again.revision == 2


def test_what_has_ended_is_forgotten(inventory: Inventory, table: DictTable) -> None:
    """A request that waits stays; one that has ended goes when its time has come, and its pointers after it."""
    saved = inventory.save_change_request(request(), NOW)
    (item,) = table.items("change-request")
    assert "expires_at" not in item
    inventory.save_change_request(replace(saved, state=DONE), None, WAITING)
    (item,) = table.items("change-request")
    assert item["expires_at"] == {"N": str(int(saved.forget_at.timestamp()))}
    assert all(int(each["expires_at"]["N"]) > saved.forget_at.timestamp() for each in table.items("request-listed"))


def test_the_last_token(inventory: Inventory, table: DictTable) -> None:
    """The token that was kept last is the one that is sent back; no request shows it."""
    saved = inventory.save_change_request(request(), NOW)
    assert inventory.request_token(saved.id) == ""
    for token in ("first", "second"):
        inventory.keep_request_token(saved.id, token, saved.forget_at)
    assert inventory.request_token(saved.id) == "second"
    assert "second" not in repr(inventory.change_request(saved.id))
