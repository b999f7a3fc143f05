"""The bench of search: what it judges, that it counts truly, and that a search which reads too much is missed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from benches import search, search_fleet
from benches.report import Result
from benches.search import Worst
from perennial.inventory.lists import Walk

SIZE = 2_000


def figures(**large: Any) -> dict[str, Result]:
    plain = {"for_each": 2.0, "items": 110, "units": 6.0, "pages": 30, "full": 30}
    small = Worst(**plain)
    return {each.name: each for each in search._figures("all", Worst(**{**plain, **large}), small, SIZE)}


@pytest.mark.parametrize(
    ("worst", "missed"),
    [
        ({}, 0),
        ({"for_each": 4.1}, 2),
        ({"for_each": 3.1}, 1),
        ({"items": 5_000}, 1),
        ({"for_each": 0.0, "full": 0, "items": 900}, 0),
        ({"for_each": 0.0, "full": 0, "items": 2_000}, 1),
    ],
    ids=str,
)
def test_a_page_that_reads_too_much_is_missed(worst: dict[str, Any], missed: int) -> None:
    """For each certificate, for a page, and against the smaller inventory."""
    assert sum(each.met is False for each in figures(**worst).values()) == missed


def test_every_list_is_walked_and_meets_its_figures() -> None:
    """With --quick, on a table in memory."""
    found = list(search.run(argparse.Namespace(quick=True)))
    assert [each.name for each in found if each.met is False] == []
    assert {each.name.partition(":")[0] for each in found} == {each.name for each in search_fleet.asked()}


@pytest.fixture(scope="module")
def fleet() -> Iterator[search_fleet.Fleet]:
    with search_fleet.filled(SIZE) as made:
        yield made


@pytest.mark.parametrize("asked", search_fleet.asked(), ids=lambda asked: asked.name)
def test_a_place_deep_within_a_list_is_one(fleet: search_fleet.Fleet, asked: search_fleet.Asked) -> None:
    """The whole list has more pages than its last third."""
    whole = sum(each.found for each in fleet.pages(asked, 0, 50, 1_000))
    rest = sum(each.found for each in fleet.pages(asked, 2 / 3, 50, 1_000))
    assert rest < whole or whole == 0
    assert rest > 0 or whole == 0


def test_a_walk_that_reads_ahead_is_seen(fleet: search_fleet.Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries that are ten times as long as they need to be miss the figure."""
    import perennial.search

    asked = search_fleet.asked()[3]
    honest = max(each.items for each in islice(fleet.pages(asked, 0, 10, 3), 3))
    monkeypatch.setattr(perennial.search, "Walk", lambda **given: Walk(**{**given, "first": 20 * given["first"]}))
    wasteful = max(each.items for each in islice(fleet.pages(asked, 0, 10, 3), 3))
    assert honest <= search.MOST_FOR_EACH * 10
    assert wasteful > search.MOST_FOR_EACH * 10
