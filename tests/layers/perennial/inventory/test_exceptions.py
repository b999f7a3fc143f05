"""Exceptions in the table: conditional writes, exact lists, pages in proportion, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estate import NOW, Estate
from managed_records import record as managed_record
from managed_records import version
from perennial.errors import ConcurrentChange, InvalidInput, NotFound
from perennial.exception_record import ExceptionRecord, ExceptionState
from perennial.exception_selection import Selection
from perennial.inventory import exceptions as table_part
from perennial.inventory.store import Inventory

DAY = timedelta(days=1)


def exception(number: int, **more: Any) -> ExceptionRecord:
    usual: dict[str, Any] = {
        "id": f"{number:032x}",
        "rule": "keys.weak",
        "selection": Selection(owner="shop"),
        "reason": "why",
        "owner": "shop",
        "ends": NOW + 30 * DAY,
        "asked_by": ("arn:x",),
        "asked_name": "rita",
        "asked_at": NOW + timedelta(minutes=number),
    }
    return ExceptionRecord(**{**usual, **more})


def kept(inventory: Inventory, number: int, state: ExceptionState = ExceptionState.ASKED) -> ExceptionRecord:
    made = inventory.save_exception(exception(number), ExceptionState.ASKED, None, NOW)
    if state is ExceptionState.ASKED:
        return made
    return inventory.save_exception(replace(made, state=state), ExceptionState.ASKED, None, NOW)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The AWS calls that are made."""
    calls: list[str] = []
    original = BaseClient._make_api_call

    def call(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        calls.append(operation)
        return original(client, operation, request)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", call)
        yield calls


def test_an_exception_is_in_the_list_of_its_state_alone(estate: Estate) -> None:
    """A change of state moves it in the same write; who reads either finds the same."""
    inventory = estate.deployment.inventory
    made = kept(inventory, 1)
    for state in (ExceptionState.ACTIVE, ExceptionState.ENDED):
        made = inventory.save_exception(replace(made, state=state), made.state, None, NOW)
        assert inventory.exception(made.id) == made
        assert {each: inventory.exceptions(each)[0] for each in ExceptionState} == {
            each: [made] if each is state else [] for each in ExceptionState
        }


def test_who_writes_what_was_changed_meanwhile_writes_nothing(estate: Estate) -> None:
    """Neither the exception nor a list is touched by the slower one; nor can an id be taken twice."""
    inventory = estate.deployment.inventory
    made = kept(inventory, 1)
    active = inventory.save_exception(replace(made, state=ExceptionState.ACTIVE), made.state, None, NOW)
    with pytest.raises(ConcurrentChange):
        inventory.save_exception(replace(made, state=ExceptionState.REJECTED), made.state, None, NOW)
    with pytest.raises(ConcurrentChange):
        inventory.save_exception(exception(1), ExceptionState.ASKED, None, NOW)
    assert inventory.exception(made.id) == active
    assert inventory.exceptions(ExceptionState.REJECTED)[0] == [] and inventory.active_exceptions() == (active,)


def test_what_is_active_is_read_by_one_query(estate: Estate) -> None:
    """However many were asked for, rejected or ended before."""
    inventory = estate.deployment.inventory
    for number in range(40):
        kept(inventory, number, list(ExceptionState)[number % 4])
    with counted() as calls:
        assert len(inventory.active_exceptions()) == 10
    assert calls == ["Query"]


def test_a_page_reads_in_proportion_to_itself(estate: Estate) -> None:
    """Of 120 that have ended a page of ten takes one query, and the same for any later page."""
    inventory = estate.deployment.inventory
    for number in range(120):
        kept(inventory, number, ExceptionState.ENDED)
    with counted() as calls:
        page, position = inventory.exceptions(ExceptionState.ENDED, "", 10)
        assert [int(each.id, 16) for each in page] == list(range(119, 109, -1))
        page, _ = inventory.exceptions(ExceptionState.ENDED, position, 10)
        assert [int(each.id, 16) for each in page] == list(range(109, 99, -1))
    assert calls == ["Query", "Query"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 9), moves=st.lists(st.integers(0, 11), max_size=6), data=st.data())
def test_pages_skip_and_double_nothing_while_exceptions_come_and_change(
    fresh_estate: Any, limit: int, moves: list[int], data: st.DataObject
) -> None:
    """What was there at the first page is told once, in order, whatever changes its state or comes meanwhile."""
    with fresh_estate() as estate:
        inventory = estate.deployment.inventory
        made = {number: kept(inventory, number) for number in range(12)}
        told, position, more = [], "", 12
        while True:
            page, position = inventory.exceptions(None, position, limit)
            told += [int(each.id, 16) for each in page]
            if not position:
                break
            if moves:
                number = moves.pop()
                state = data.draw(st.sampled_from(ExceptionState))
                changed = replace(made[number], state=state)
                made[number] = inventory.save_exception(changed, made[number].state, None, NOW)
                kept(inventory, more := more + 1)
        assert told == list(range(11, -1, -1))


def test_a_page_of_one_owner(estate: Estate) -> None:
    """A list is narrowed while it is read, and its pages still hold what they can."""
    inventory = estate.deployment.inventory
    for number in range(10):
        owner = "shop" if number % 2 else "bank"
        inventory.save_exception(exception(number, owner=owner), ExceptionState.ASKED, None, NOW)
    page, position = inventory.exceptions(None, "", 3, lambda each: each.owner == "bank")
    assert [int(each.id, 16) for each in page] == [8, 6, 4]
    page, position = inventory.exceptions(None, position, 3, lambda each: each.owner == "bank")
    assert [int(each.id, 16) for each in page] == [2, 0] and position == ""


def test_a_page_on_which_nothing_fits_ends_too(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may read little does not read through all that ever was: the page is short or empty, and one goes on."""
    monkeypatch.setattr(table_part, "LOOKED_AT", 4)
    inventory = estate.deployment.inventory
    for number in range(10):
        owner = "bank" if number in (1, 2, 9) else "shop"
        inventory.save_exception(exception(number, owner=owner), ExceptionState.ASKED, None, NOW)
    pages, position = [], ""
    while True:
        page, position = inventory.exceptions(None, position, 3, lambda each: each.owner == "bank")
        pages.append([int(each.id, 16) for each in page])
        if not position:
            break
    assert pages == [[9], [2], [1]]


@pytest.mark.parametrize("state", [ExceptionState.ASKED, ExceptionState.ACTIVE])
def test_there_are_so_many_and_no_more(estate: Estate, monkeypatch: pytest.MonkeyPatch, state: ExceptionState) -> None:
    """Each batch of assessments reads all that are active: beyond the bound it is said what to do; ended ones do not
    count."""
    monkeypatch.setattr(table_part, "MOST", 3)
    inventory = estate.deployment.inventory
    for number in range(3):
        kept(inventory, number, state)
    with pytest.raises(InvalidInput, match="end or reject some first"):
        kept(inventory, 9, state)
    first = inventory.exception(f"{0:032x}")
    inventory.save_exception(replace(first, state=ExceptionState.ENDED), state, None, NOW)
    assert kept(inventory, 10, state).state is state


def test_what_is_full_can_still_be_changed_and_ended(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound stops new ones, not the steps of those that are there."""
    inventory = estate.deployment.inventory
    made = kept(inventory, 1, ExceptionState.ACTIVE)
    monkeypatch.setattr(table_part, "MOST", 1)
    made = inventory.save_exception(replace(made, announced=14), made.state, None, NOW)
    assert inventory.save_exception(replace(made, state=ExceptionState.ENDED), made.state, None, NOW)


def test_what_is_due_is_found_by_one_query(estate: Estate) -> None:
    """A tick asks one partition, and finds what has come due, the longest due first."""
    inventory = estate.deployment.inventory
    for number in range(5):
        inventory.save_exception(exception(number), ExceptionState.ASKED, NOW - number * DAY, NOW)
    inventory.save_exception(exception(9), ExceptionState.ASKED, NOW + DAY, NOW)
    with counted() as calls:
        found = [int(each, 16) for each in inventory.exceptions_due(NOW, 3)]
    assert (found, calls) == ([4, 3, 2], ["Query"])


@pytest.mark.parametrize("named", ["0" * 32, "", "../x", "a" * 5_000])
def test_one_that_is_not_there_is_not_found(estate: Estate, named: str) -> None:
    """Whatever a caller names, in bounded words."""
    with pytest.raises(NotFound) as raised:
        estate.deployment.inventory.exception(named)
    assert len(str(raised.value)) < 200


def test_the_certificates_of_a_managed_one_are_those_of_its_versions_and_what_it_adopts(estate: Estate) -> None:
    """So a version that was deployed a moment ago belongs to it already; of one that is not there, none do."""
    inventory = estate.deployment.inventory
    assert inventory.fingerprints_of("shop") == frozenset()
    made = managed_record()
    inventory.save_managed(replace(made, declared=replace(made.declared, adopts="c" * 64)))
    for number, fingerprint in ((1, "a" * 64), (2, "b" * 64), (3, "")):
        inventory.save_version(replace(version(number), fingerprint=fingerprint, revision=0), None)
    assert inventory.fingerprints_of(made.name) == {"a" * 64, "b" * 64, "c" * 64}
