"""The bench of search: what it judges, that it counts truly, and that a search which reads too much is missed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pytest

from benches import search, search_fleet
from benches.report import Result
from benches.search import Worst
from perennial.inventory.lists import Walk

SIZE = 2_000


ONE = {
    "items": 110,
    "units": 6.0,
    "pages": 30,
    "full": 30,
    "usual": 90.0,
    "read": 3_000,
    "found": 1_500,
    "indexed": True,
}
SHORT = {"full": 0, "found": 20, "indexed": False}  # pages that end before they are full
MISSED_BY_DESIGN = "of an owner, with a rare kind of key: items for each that is found, of 2,000 in all"


def figures(large: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Result]:
    made = (Worst(**{**ONE, **each}) for each in (large, small))
    return {each.name.removeprefix("all: "): each for each in search.figures("all", *made, SIZE)}


OF_PAGE = "items of a page, for each that it may hold, of 2,000 in all"
OF_SMALL = "items of a page, for each that it may hold, of 200 in all"
GROWTH = "items of a page on average, 2,000 to 200"
FOUND = "items for each that is found, of 2,000 in all"


@pytest.mark.parametrize(
    ("large", "small", "missed"),
    [
        ({}, {}, set()),
        ({"usual": 100.0}, {}, {GROWTH}),
        ({"items": 501}, {}, {OF_PAGE}),
        ({}, {"items": 501}, {OF_SMALL}),
        ({"read": 6_001}, {}, {FOUND}),
        ({"read": 6_001, "indexed": False}, {}, set()),
        ({"read": 15_001, "indexed": False}, {}, {FOUND}),
        ({**SHORT, "items": 500, "read": 10_000}, {**SHORT, "items": 500}, {FOUND}),
        ({**SHORT, "items": 600, "usual": 500.0, "read": 200}, {**SHORT, "usual": 400.0}, {OF_PAGE, GROWTH}),
        ({**SHORT, "usual": 500.0, "read": 10, "found": 0}, {**SHORT, "pages": 2}, set()),
        ({"full": 0, "found": 0, "read": 10}, {"full": 0, "found": 0}, set()),
    ],
)
def test_a_list_that_reads_too_much_is_missed(large: dict[str, Any], small: dict[str, Any], missed: set[str]) -> None:
    """For a page, against the smaller inventory where pages are of one kind, and for each certificate found."""
    assert {name for name, each in figures(large, small).items() if each.met is False} == missed


def test_every_list_is_walked_and_meets_its_figures() -> None:
    """With --quick, on a table in memory. No index has an owner's certificates with a kind of key: that is told."""
    found = list(search.run(argparse.Namespace(quick=True)))
    assert [each.name for each in found if each.met is False] == [MISSED_BY_DESIGN]
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

    asked = next(each for each in search_fleet.asked() if each.name == "of an owner")
    honest = max(each.items for each in islice(fleet.pages(asked, 0, 10, 3), 3))
    monkeypatch.setattr(perennial.search, "Walk", lambda **given: Walk(**{**given, "first": 20 * given["first"]}))
    wasteful = max(each.items for each in islice(fleet.pages(asked, 0, 10, 3), 3))
    assert honest <= search.MOST_INDEXED * 10
    assert wasteful > search.MOST_INDEXED * 10
