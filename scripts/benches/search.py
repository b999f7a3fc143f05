"""Search: what a page of the inventory's list reads, as a ratio to the certificates that it holds.

Lists of 100,000 certificates and of a tenth of that are walked from the first page on and from deep within, by each
filter; the worst page counts. What a page reads must not grow with the inventory. Where few certificates fit, a page
may hold none: then what one page reads at the most counts. Items are counted that queries walk over and batches get,
and read units as DynamoDB charges them (Developer Guide, "Capacity unit consumption"). The table is in memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.report import Result

if TYPE_CHECKING:
    from benches.search_fleet import Asked, Fleet

SIZE, QUICK_SIZE = 100_000, 2_000
SMALLER = 10  # the other inventory is a tenth
ENOUGH = 20  # full pages of the smaller one for its worst to tell something
PAGE = 50  # certificates
PAGES = 40  # that are walked from each place
PLACES = 3  # from the first page, from the middle, from near the end
MOST_FOR_EACH = 4  # items for each certificate of a full page, times those that are walked for one that fits
MOST_GROWTH = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The bench's own options."""
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZE:,} certificates instead of {SIZE:,}")


def run(options: argparse.Namespace) -> Iterator[Result]:
    """Ask both inventories the same, and compare."""
    size = QUICK_SIZE if options.quick else SIZE
    small, large = (measured(each) for each in (size // SMALLER, size))
    for name, worst in large.items():
        yield from _figures(name, worst, small[name], size)


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The worst of the pages that were walked: for each certificate of a full page, and of any page whatever it holds.
    `pages` is how many there were, `full` how many of them held all that they may. `walked`: as `Asked.walked`."""

    walked: float = 1
    for_each: float
    items: int
    units: float
    pages: int
    full: int


def measured(size: int) -> dict[str, Worst]:
    """Filter → what its worst page read, in an inventory of so many certificates."""
    from benches import search_fleet
    from benches.report import say

    say(f"an inventory of {size:,} certificates: filling it, then the lists")
    with search_fleet.filled(size) as fleet:
        return {each.name: _worst(fleet, each) for each in search_fleet.asked()}


def _worst(fleet: Fleet, asked: Asked) -> Worst:
    pages = [each for place in range(PLACES) for each in fleet.pages(asked, place / PLACES, PAGE, PAGES)]
    full = [each for each in pages if each.found == PAGE]
    return Worst(
        walked=asked.walked,
        for_each=max((each.items / each.found for each in full), default=0),
        items=max(each.items for each in pages),
        units=max(each.units for each in pages),
        pages=len(pages),
        full=len(full),
    )


def _figures(name: str, large: Worst, small: Worst, size: int) -> Iterator[Result]:
    from perennial.inventory.lists import LONGEST
    from perennial.search import EFFORT

    most = EFFORT + 2 * LONGEST  # the last query of a page, and that which looks whether there is more
    if large.full:
        told = f"{name}: items read for each certificate of a page, {size:,} in all"
        yield Result(told, large.for_each, "items", MOST_FOR_EACH * large.walked)
    yield Result(f"{name}: items of one page at the most", large.items, "items", most)
    yield Result(f"{name}: read units of one page at the most", large.units, "units")
    if small.full >= ENOUGH and large.full:
        told = f"{name}: items for each, {size:,} to {size // SMALLER:,} in all"
        yield Result(told, large.for_each / small.for_each, "x", MOST_GROWTH)
